"""Values that are made for every request.

`@dataclass(frozen=True)` refuses assignments at run time, and for that makes each field by a call: four times as dear as an
assignment, fifty times in an authorization. Here the type checker alone refuses them; everything else is as with it.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_type(cls: type[Value]) -> type[Value]:
    """A dataclass with slots, compared and hashed by its fields, that nobody may assign to: `make lint` sees to that."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
