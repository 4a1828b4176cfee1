"""Field kinds that the records share: identifiers, frozen mappings, sequences."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

T = TypeVar("T")

UUID_PATTERN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NAME_PATTERN = r"[a-z][a-z0-9_]{0,62}"


def uuid_field() -> Any:
    """Make a field that holds a lower-case UUID with dashes, and so is safe as a file or device name."""
    return attrs.field(validator=attrs.validators.matches_re(UUID_PATTERN))


def name_field() -> Any:
    """Make a field that holds a plugin record's name: lower case, digits, underscores, 63 characters at most."""
    return attrs.field(validator=attrs.validators.matches_re(NAME_PATTERN))


def frozen_mapping(value: Mapping[Any, T] | Iterable[tuple[Any, T]]) -> Mapping[Any, T]:
    """Copy a mapping into one that cannot be changed."""
    if type(value) is not MappingProxyType:
        return MappingProxyType(dict(value))
    try:
        # That of another record, mostly: `dict` would ask it key by key, at three to seven times the cost.
        copied = value.copy()
    except AttributeError:  # of what is seen through it, which can do no more than a mapping must
        return MappingProxyType(dict(value))
    # The copy of another kind may share what it is made of, or change when it is read.
    return MappingProxyType(copied if type(copied) is dict else dict(copied))


def mapping_field() -> Any:
    """Make a field that holds a read-only mapping, empty by default."""
    return attrs.field(factory=dict, converter=frozen_mapping)


def tuple_field() -> Any:
    """Make a field that holds a tuple, empty by default."""
    return attrs.field(factory=tuple, converter=tuple)


def frozen_types(values: Iterable[type]) -> frozenset[type]:
    """Copy types into a set that cannot be changed."""
    return frozenset(values)


def frozen_names(values: Iterable[str]) -> frozenset[str]:
    """Copy names into a set that cannot be changed."""
    return frozenset(values)
