"""Applies a Pulumi program to the emulator: the program runs unmodified, and each resource that it declares is created.

Pulumi's engine is its test double (`pulumi.runtime.set_mocks`), which keeps order and dependencies. Its mocks, though,
create real resources through boto3, and answer with their real ids and ARNs. What this cannot show: it only creates, so
there are no previews, no updates in place and no deletions; and AWS's own limits are the emulator's, not all of AWS's.

An apply fails for a type of resource that has no mapping, an input that its mapping does not read, and an output that is
used without having been given: nothing in the program is passed over in silence.
"""

import asyncio
import atexit
import importlib
import pkgutil
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, get_type_hints

import pulumi
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_all_config, set_mocks
from pulumi.runtime.settings import get_root_resource, set_root_resource
from pulumi.runtime.stack import Stack

from tests.e2e.infra.aws import services
from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs, InputsFailed, plain, poison, poisons
from tests.e2e.infra.aws.invokes import answer
from tests.e2e.infra.aws.provider import PROVIDER, configure_provider

Create = Callable[[Cloud, Inputs], Created]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the program, as it was created."""

    type: str
    name: str
    id: str
    inputs: Mapping[str, Any]
    asides: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What an apply has made. outputs: the stack's own, as the program exports them."""

    outputs: Mapping[str, Any]
    resources: list[Resource] = field(default_factory=list)

    def of_type(self, type_: str) -> list[Resource]:
        return [resource for resource in self.resources if resource.type == type_]


def apply(
    program: Callable[[], None],
    cloud: Cloud,
    *,
    project: str,
    stack: str,
    config: Mapping[str, str],
    secrets: Collection[str] = (),
) -> Deployment:
    """Run the program against an emulator that is empty. config: as in the stack's file, keys with their namespace;
    secrets: the keys of those that are encrypted there.

    Raises what the program or a mapping raised.
    """
    applier = Applier(cloud)
    # A test that called `asyncio.run` has left the thread without a loop, which Pulumi runs in.
    asyncio.set_event_loop(event_loop())
    # Left over from whatever ran in this process before.
    set_root_resource(None)  # type: ignore[arg-type]  # that is how Pulumi begins itself
    set_mocks(applier, project=project, stack=stack, preview=False)
    set_all_config(dict(config), list(secrets))
    outputs: dict[str, Any] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def run() -> pulumi.Output[None]:
        program()
        root = get_root_resource()
        assert isinstance(root, Stack)
        return pulumi.Output.all(**root.outputs).apply(outputs.update)

    run()
    unset = list(poisons(outputs))
    if unset:
        raise InputsFailed(f"the stack exports what nobody set: {'; '.join(unset)}")
    return Deployment(outputs, applier.resources)


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The loop of all applies of this process: what a failed one leaves behind still has one to end in."""
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


class Applier(Mocks):
    """Creates what the program declares. Called by several threads at once."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self.resources: list[Resource] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """See Mocks: answers id and outputs."""
        values = plain(args.inputs)
        if not args.custom:
            return None, values  # a component is nothing but its children
        unset = list(poisons(values))
        if unset:
            raise InputsFailed(f"{args.typ} {args.name} is given what nobody set: {'; '.join(unset)}")
        inputs = Inputs(args.typ, args.name, values)
        created = find_mapping(args.typ)(self._cloud, inputs)
        unread = inputs.unread()
        if unread:
            raise InputsFailed(f"the mapping of {args.typ} {args.name} does not read {', '.join(unread)}")
        with self._lock:
            self.resources.append(Resource(args.typ, args.name, created.id, values, inputs.all_asides()))
        return created.id, {**poisoned_outputs(args.typ), **values, **created.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """See Mocks: answers what a function of the provider would."""
        return answer(self._cloud, args.token, plain(args.args)), []


def find_mapping(type_: str) -> Create:
    """What creates resources of a type. Raises InputsFailed for one that nothing here creates."""
    try:
        return mappings()[type_]
    except KeyError:
        raise InputsFailed(f"nothing creates resources of the type {type_}") from None


@cache
def mappings() -> Mapping[str, Create]:
    """The mappings of all modules in `services`."""
    found: dict[str, Create] = {PROVIDER: configure_provider}
    for module in pkgutil.iter_modules(services.__path__, f"{services.__name__}."):
        found |= importlib.import_module(module.name).MAPPINGS
    return found


_MODULES: Final = {"lambda": "lambda_", "index": ""}
"""Where the name of a module in Python is not the one in types."""


@cache
def poisoned_outputs(type_: str) -> dict[str, str]:
    """A poison for each output of a type that is always some text on AWS."""
    if not type_.startswith("aws:"):
        return {}
    _, place, class_name = type_.split(":")
    module = place.partition("/")[0]
    cls = getattr(
        importlib.import_module(f"pulumi_aws.{_MODULES.get(module, module)}".rstrip(".")), class_name
    )
    getters: dict[str, Any] = {
        name: accessor.fget for name, accessor in vars(cls).items() if isinstance(accessor, property)
    }
    return {
        getter._pulumi_name: poison(type_, name)
        for name, getter in getters.items()
        if get_type_hints(getter)["return"] == pulumi.Output[str]
    }
