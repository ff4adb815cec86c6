"""The inputs of a resource as the engine hands them over, and what a mapping has read of them.

Pulumi's inputs arrive as protobuf structs: numbers are floats, secrets are envelopes. They are made plain first. Every
input has to be read by the mapping, or set aside with a reason: one that nobody reads is a mistake, of the program or of
the mapping, and fails the apply.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi.runtime import rpc

POISON: Final = "<not an output: "
"""How the value begins that stands for an output which the mapping does not give."""


class InputsFailed(Exception):
    """A resource's inputs cannot be mapped: one is missing, unread, or comes from an output that nobody set."""


def plain(value: Any) -> Any:
    """A value without protobuf's traces: whole numbers as integers, secrets as what is in them."""
    if rpc.is_rpc_secret(value):
        return plain(rpc.unwrap_rpc_secret(value))
    match value:
        case bool():
            return value
        case float():
            return int(value) if value.is_integer() else value
        case dict():
            return {name: plain(member) for name, member in value.items()}
        case list():
            return [plain(member) for member in value]
        case _:
            return value


def poison(type_: str, output: str) -> str:
    """What an output is that the mapping does not give; recognised when it comes back as an input."""
    return f"{POISON}{output} of {type_}>"


def poisons(value: Any, path: str = "") -> Iterator[str]:
    """Where in a value an output stands that nobody set."""
    match value:
        case str() if POISON in value:
            yield f"{path}: {value}"
        case Mapping():
            for name, member in value.items():
                yield from poisons(member, f"{path}.{name}" if path else str(name))
        case list():
            for index, member in enumerate(value):
                yield from poisons(member, f"{path}[{index}]")


class Inputs:
    """A resource's inputs, or a block of them. Names are Pulumi's own: `restApi`, `memorySize`."""

    def __init__(self, type_: str, name: str, values: Mapping[str, Any], path: str = "") -> None:
        self.type = type_
        self.name = name
        self._values = {key: value for key, value in values.items() if value is not None}
        self._path = path
        self._unread = set(self._values)
        self._blocks: list[Inputs] = []
        self.asides: dict[str, str] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> Any:
        """An input that has to be there, as a whole. Raises InputsFailed."""
        if key not in self._values:
            raise InputsFailed(f"{self.type} {self.name} needs {self._path}{key}")
        return self.get(key)

    def get(self, key: str, default: Any = None) -> Any:
        """An input as a whole, whatever is in it."""
        self._unread.discard(key)
        return self._values.get(key, default)

    def pick(self, **names: str) -> dict[str, Any]:
        """The inputs that are there of those named, each under the name that the AWS API has for it."""
        return {theirs: self.get(ours) for ours, theirs in names.items() if ours in self}

    def block(self, key: str) -> "Inputs | None":
        """An input that is an object, each of whose members has to be read too; None when it is not there."""
        value = self.get(key)
        return None if value is None else self._block(value, f"{key}.")

    def blocks(self, key: str) -> "list[Inputs]":
        """An input that is a list of such objects."""
        return [
            self._block(value, f"{key}[{index}].") for index, value in enumerate(self.get(key, default=[]))
        ]

    def json_text(self, key: str) -> str:
        """A document that has to be there, given as JSON text or as an object; answers the text."""
        value = self[key]
        return value if isinstance(value, str) else json.dumps(value)

    def physical_name(self, key: str = "name") -> str:
        """The name that the resource has in AWS: the one given, or one made of the logical name as Pulumi does."""
        given = self.get(key)
        if given is not None:
            return str(given)
        prefix = str(self.get(f"{key}Prefix", f"{self.name}-"))
        return prefix + hashlib.sha256(f"{self.type}/{self.name}".encode()).hexdigest()[:7]

    def set_aside(self, why: str, *keys: str) -> None:
        """Inputs that the emulator has no use for, with what it lacks. The parity report lists them."""
        for key in keys:
            if key in self:
                self._unread.discard(key)
                self.asides[self._path + key] = why

    def all_asides(self) -> dict[str, str]:
        """What was set aside, blocks included."""
        return {
            **self.asides,
            **{path: why for block in self._blocks for path, why in block.all_asides().items()},
        }

    def unread(self) -> list[str]:
        """The inputs that no mapping has looked at."""
        own = sorted(self._path + key for key in self._unread)
        return own + [path for block in self._blocks for path in block.unread()]

    def _block(self, value: Mapping[str, Any], path: str) -> "Inputs":
        block = Inputs(self.type, self.name, value, self._path + path)
        self._blocks.append(block)
        return block
