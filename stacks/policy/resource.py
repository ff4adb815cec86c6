"""What a rule is given: a resource as plain data, with property names as Pulumi's wire has them, `kmsMasterKeyId`.

During a preview some values are not known yet. They are `UNKNOWN`, which is true, so that a rule that asks whether something
is set is answered; a rule that has to look inside judges at the update, before anything is created.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pulumi_policy.proxy import UnknownValueError


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True, slots=True)
class Resource:
    """type: such as `aws:sqs/queue:Queue`. stack: the name of the stack it is part of.

    protected: whether Pulumi refuses to delete it.
    """

    type: str
    name: str
    stack: str
    properties: Mapping[str, Any] = field(repr=False)
    protected: bool = False

    @property
    def in_production(self) -> bool:
        """Whether people rely on it: stacks that are called prod, or production, or begin so."""
        return self.stack.split("-")[0] in ("prod", "production")

    def at(self, path: str) -> Any:
        """The value at a dotted path: None where there is none, UNKNOWN below what is not known yet."""
        value: Any = self.properties
        for step in path.split("."):
            if value is UNKNOWN:
                return UNKNOWN
            if isinstance(value, list) and value:
                value = value[0]
            if not isinstance(value, Mapping):
                return None
            value = value.get(step)
        return value


Rule = Callable[[Resource], Iterator[str]]
"""Judges one resource; yields complaints."""

StackRule = Callable[[Sequence[Resource]], Iterator[tuple[Resource, str]]]
"""Judges what resources are to each other; yields the resource to blame, and the complaint."""


def plain(value: Any) -> Any:
    """The value without Pulumi's proxies, which raise when something unknown is touched."""
    if isinstance(value, Mapping):
        return {key: _item(value, key) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_item(value, index) for index in range(len(value))]
    return value


def _item(container: Any, key: Any) -> Any:
    try:
        return plain(container[key])
    except UnknownValueError:
        return UNKNOWN
