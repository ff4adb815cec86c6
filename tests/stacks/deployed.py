"""The program, run against Pulumi's test double: what it would create, with which inputs, and what it exports.

The double answers with ids and ARNs of the shape that AWS gives, so that an Output that nothing supplies shows as an error
and not as an empty text. It creates nothing; `tests/e2e` applies the same program to an emulator.
"""

import asyncio
import atexit
import json
import runpy
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc, set_all_config, set_mocks
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_root_resource, set_root_resource
from pulumi.runtime.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "payments-sandbox"
ACCOUNT = "123456789012"
REGION = "eu-central-1"
SECRET = "0123456789abcdef" * 4
DEMO_KEY = "the-demo-key-that-api-gateway-made-up"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that Pulumi keeps encrypted."""

    value: Any


@dataclass(slots=True)
class Made:
    """A resource that would be created.

    inputs: by Pulumi's names on the wire, secrets marked. parent: the type of what it is part of. after: names of what it
    waits for.
    """

    type: str
    name: str
    inputs: Json
    outputs: Json = field(default_factory=dict)
    parent: str = ""
    protect: bool = False
    after: set[str] = field(default_factory=set)

    @property
    def plain(self) -> Json:
        """The inputs with their secrets as they are."""
        revealed: Json = reveal(self.inputs)
        return revealed

    def document(self, name: str) -> Json:
        """An input that is JSON."""
        document: Json = json.loads(self.plain[name])
        return document


@dataclass(slots=True)
class Deployed:
    """What a run of the program would create, and its outputs."""

    resources: list[Made] = field(default_factory=list)
    outputs: Json = field(default_factory=dict)

    def of_type(self, kind: str) -> list[Made]:
        """Resources whose type ends so, for example `Function`."""
        return [made for made in self.resources if made.type.rsplit(":", 1)[-1] == kind]

    def one(self, kind: str, name: str | None = None) -> Made:
        """The one resource of this kind, or of this kind and name."""
        (made,) = [made for made in self.of_type(kind) if name in (None, made.name)]
        return made

    def names(self, kind: str) -> set[str]:
        return {made.name for made in self.of_type(kind)}


@cache
def _deploy(stack: str, region: str, config: frozenset[tuple[str, str]], secrets: frozenset[str]) -> Deployed:
    recorder = _Recorder()
    # A test that called `asyncio.run` has left the thread without a loop, which Pulumi's double runs in.
    asyncio.set_event_loop(_loop())
    # Left over from whatever ran in this process before.
    set_root_resource(None)  # type: ignore[arg-type]  # that is how Pulumi begins itself
    set_mocks(recorder, project=PROJECT, stack=stack, preview=False, monitor=_Monitor(recorder))
    set_all_config(
        {"aws:region": region, **{f"{PROJECT}:{name}": value for name, value in config}},
        [f"{PROJECT}:{name}" for name in secrets],
    )
    pulumi.runtime.test(_run)(recorder.deployed)  # type: ignore[no-untyped-call]
    return recorder.deployed


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def deploy(stack: str = "dev", *, region: str = REGION, **settings: Any) -> Deployed:
    """Run the program in a stack of these settings, besides a ledger secret and a bundle."""
    # Any file will do for a bundle: the double does not open it.
    config = {"ledger_secret": SECRET, "bundle": __file__}
    config |= {
        name: value if isinstance(value, str) else json.dumps(value) for name, value in settings.items()
    }
    return _deploy(stack, region, frozenset(config.items()), frozenset({"ledger_secret"}))


def stack_config(stack: str) -> Json:
    """What a stack's file sets, by the names of the settings."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text("utf-8")
    config = yaml.safe_load(text)["config"]
    return {name.removeprefix(f"{PROJECT}:"): value for name, value in config.items()}


def deploy_stack(stack: str) -> Deployed:
    """Run the program with a stack's own file, and what its comments say that is still to be set."""
    config = stack_config(stack)
    region = config.pop("aws:region")
    if config.get("production"):
        config |= {"alarm_email": "ops@example.com", "budget_email": "ops@example.com"}
    return deploy(stack, region=region, **config)


def reveal(value: Any) -> Any:
    """The value with all secrets in it as they are."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, Mapping):
        return {name: reveal(each) for name, each in value.items()}
    if isinstance(value, list):
        return [reveal(each) for each in value]
    return value


def texts(value: Any) -> Iterator[str]:
    """All texts in a value that are not secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield name
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def _run(deployed: Deployed) -> pulumi.Output[None]:
    runpy.run_path(str(ROOT / "stacks"), run_name="__main__")
    stack = get_root_resource()
    assert isinstance(stack, Stack)
    return pulumi.Output.from_input(_read_outputs(stack.outputs, deployed))


async def _read_outputs(outputs: Mapping[str, Any], deployed: Deployed) -> None:
    for name, exported in outputs.items():
        output: pulumi.Output[Any] = pulumi.Output.from_input(exported)
        value = await output.future()
        deployed.outputs[name] = Secret(value) if await output.is_secret() else value


class _Monitor(MockMonitor):
    """Notes what mocks are not told: parents, protection, dependencies."""

    def __init__(self, recorder: "_Recorder") -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            made = self._recorder.made[request.type, request.name]
            made.protect = request.protect
            made.parent = request.parent.split("::")[-2].split("$")[-1]
            made.after = {urn.split("::")[-1] for urn in request.dependencies}
        return response


class _Recorder(Mocks):
    """Called by several threads at once."""

    def __init__(self) -> None:
        self.deployed = Deployed()
        self.made: dict[tuple[str, str], Made] = {}
        self._lock = threading.Lock()

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, Json]:
        made = Made(args.typ, args.name, _mark_secrets(args.inputs))
        inputs = made.plain
        if args.typ in _OUTPUTS:
            made.outputs = {**inputs, **_OUTPUTS[args.typ](args.name, inputs)}
        else:
            made.outputs = inputs
        with self._lock:
            assert (args.typ, args.name) not in self.made, f"{args.typ} {args.name} is made twice"
            self.made[args.typ, args.name] = made
            self.deployed.resources.append(made)
        return f"{args.name}-id", made.outputs

    def call(self, args: MockCallArgs) -> Any:
        return {"aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "id": ACCOUNT}}[
            args.token
        ]


def _mark_secrets(value: Any) -> Any:
    if isinstance(value, dict) and rpc.is_rpc_secret(value):
        return Secret(_mark_secrets(rpc.unwrap_rpc_secret(value)))
    if isinstance(value, Mapping):
        return {name: _mark_secrets(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_mark_secrets(each) for each in value]
    return value


def _arn(service: str, resource: str) -> Callable[[str, Json], Json]:
    """An ARN whose resource holds the physical name: `{name}`, `{bucket}`, ..."""
    return lambda _name, inputs: {
        "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:" + resource.format(**{"name": "", **inputs})
    }


def _of_queue(_name: str, inputs: Json) -> Json:
    return {
        "arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{inputs['name']}",
        "url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{inputs['name']}",
    }


def _of_table(_name: str, inputs: Json) -> Json:
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{inputs['name']}"
    return {"arn": arn, "streamArn": f"{arn}/stream/2026-11-25T00:00:00.000"}


def _of_bucket(_name: str, inputs: Json) -> Json:
    bucket = inputs["bucket"]
    return {
        "arn": f"arn:aws:s3:::{bucket}",
        "bucketRegionalDomainName": f"{bucket}.s3.{REGION}.amazonaws.com",
    }


_OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    "aws:apigateway/apiKey:ApiKey": lambda _name, _inputs: {"value": DEMO_KEY},
    "aws:apigateway/domainName:DomainName": lambda name, _inputs: {
        "regionalDomainName": f"d-{name}.execute-api.{REGION}.amazonaws.com",
        "regionalZoneId": "Z1",
    },
    "aws:apigateway/restApi:RestApi": lambda name, _inputs: {
        "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{name}-id"
    },
    "aws:cloudfront/distribution:Distribution": lambda name, _inputs: {
        "arn": f"arn:aws:cloudfront::{ACCOUNT}:distribution/{name}-id",
        "domainName": "d111.cloudfront.net",
    },
    "aws:cloudfront/function:Function": _arn("cloudfront", "function/{name}"),
    "aws:cloudwatch/logGroup:LogGroup": _arn("logs", "log-group:{name}"),
    "aws:dynamodb/table:Table": _of_table,
    "aws:iam/role:Role": _arn("iam", "role/{name}"),
    "aws:kms/key:Key": lambda _name, _inputs: {
        "arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k1",
        "keyId": "k1",
    },
    "aws:lambda/function:Function": lambda _name, inputs: {
        "arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{inputs['name']}",
        "version": "7" if inputs.get("publish") else "$LATEST",
    },
    "aws:s3/bucket:Bucket": _of_bucket,
    "aws:sfn/stateMachine:StateMachine": _arn("states", "stateMachine:{name}"),
    "aws:sns/topic:Topic": _arn("sns", "{name}"),
    "aws:sqs/queue:Queue": _of_queue,
}
