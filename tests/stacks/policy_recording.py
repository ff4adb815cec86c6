"""What a Pulumi program would create, as the policy's rules are given it: run against Pulumi's test double, and recorded.

Default tags are among a resource's own here, as the AWS provider puts them there before a policy pack sees them.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc, set_mocks
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import set_root_resource

from stacks.policy.resource import Resource
from tests.stacks.deployed import deploy_stack

PROVIDER: Final = "pulumi:providers:aws"
ACCOUNT: Final = "123456789012"
REGION: Final = "eu-central-1"

CALLS: Final[dict[str, dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT, "id": ACCOUNT},
    "aws:index/getRegion:getRegion": {"region": REGION, "id": REGION},
    "aws:index/getPartition:getPartition": {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"},
}


def record(program: Callable[[], Any], *, project: str = "payments-sandbox", stack: str) -> list[Resource]:
    """The resources that the program creates in a stack of this name. Raises what the program raises."""
    recorder = _Recorder(stack)
    set_event_loop()
    # Left over from whatever ran in this process before.
    set_root_resource(None)  # type: ignore[arg-type]  # that is how Pulumi begins itself
    monitor = _Monitor(recorder, recorder.protected)
    set_mocks(recorder, project=project, stack=stack, preview=False, monitor=monitor)
    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call]
    return recorder.resources()


@cache
def record_stack(stack: str) -> tuple[Resource, ...]:
    """What the project's own program creates in the stack, with the settings of its file."""
    set_event_loop()
    made = deploy_stack(stack).resources
    (provider,) = [each for each in made if each.type == PROVIDER]
    default_tags = _decoded(provider.plain["defaultTags"])["tags"]
    return tuple(
        Resource(
            each.type, each.name, stack, _tagged({**each.outputs, **each.plain}, default_tags), each.protect
        )
        for each in made
        if each.type.startswith("aws:")
    )


def set_event_loop() -> None:
    """Give the thread the loop that Pulumi wants, as a test that called `asyncio.run` has left it without one."""
    asyncio.set_event_loop(_pulumis_loop())


@cache
def _pulumis_loop() -> asyncio.AbstractEventLoop:
    """One for the whole process, never closed: its threads hold loops of their own, which Pulumi leaves open."""
    return asyncio.new_event_loop()


class _Monitor(MockMonitor):
    """Notes which resources are protected, which mocks are not told."""

    def __init__(self, mocks: Mocks, protected: set[tuple[str, str]]) -> None:
        super().__init__(mocks)
        self._protected = protected

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - Pulumi's name
        if request.protect:
            self._protected.add((request.type, request.name))
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class _Recorder(Mocks):
    """Called by several threads at once."""

    def __init__(self, stack: str) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._resources: list[Resource] = []
        self._default_tags: dict[str, str] = {}
        self.protected: set[tuple[str, str]] = set()

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """See Mocks: answers id and outputs."""
        inputs = _without_secrets(args.inputs)
        if not args.custom:
            return None, inputs
        identity = str(inputs.get("name") or inputs.get("bucket") or args.name)
        service = args.typ.split(":")[1].partition("/")[0]
        outputs = {
            "arn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{identity}",
            "name": identity,
            "url": f"https://{service}.{REGION}.amazonaws.com/{ACCOUNT}/{identity}",
            "streamArn": f"arn:aws:{service}:{REGION}:{ACCOUNT}:{identity}/stream/1",
            "invokeArn": f"arn:aws:apigateway:{REGION}:lambda:path/functions/{identity}",
            "executionArn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{identity}",
            "rootResourceId": "root",
            "keyId": identity,
            "version": "1",
            "value": "value",
            "invokeUrl": f"https://{identity}.execute-api.{REGION}.amazonaws.com/stage",
            "regionalDomainName": f"d-{identity}.execute-api.{REGION}.amazonaws.com",
            "bucketRegionalDomainName": f"{identity}.s3.{REGION}.amazonaws.com",
            "domainName": f"{identity}.cloudfront.net",
            "dashboardArn": f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{identity}",
            **inputs,
        }
        with self._lock:
            if args.typ == PROVIDER:
                self._default_tags = _without_secrets(_decoded(inputs.get("defaultTags") or {})).get(
                    "tags", {}
                )
            else:
                seen = {**inputs, "arn": outputs["arn"], "name": outputs["name"]}
                self._resources.append(Resource(args.typ, args.name, self._stack, seen))
        return identity, outputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """See Mocks: answers what a function of the provider would."""
        return CALLS[args.token], []

    def resources(self) -> list[Resource]:
        """What was created, default tags and protection included."""
        return [
            replace(
                each,
                properties={
                    **each.properties,
                    "tags": {**self._default_tags, **(each.properties.get("tags") or {})},
                },
                protected=(each.type, each.name) in self.protected,
            )
            for each in self._resources
        ]


def _tagged(properties: Mapping[str, Any], default_tags: Mapping[str, str]) -> dict[str, Any]:
    return {**properties, "tags": {**default_tags, **(properties.get("tags") or {})}}


def _decoded(value: Any) -> Any:
    """A provider's inputs arrive as JSON."""
    return json.loads(value) if isinstance(value, str) else value


def _without_secrets(value: Any) -> Any:
    value = rpc.unwrap_rpc_secret(value)
    if isinstance(value, Mapping):
        return {key: _without_secrets(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_without_secrets(each) for each in value]
    return value
