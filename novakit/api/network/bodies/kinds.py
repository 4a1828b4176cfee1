"""Kinds of values in request bodies of the network API: a JSON schema each, and the normal form of what fits it.

Clients write numbers as texts and booleans as words; what is kept is a number and a boolean.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID as UUID_

import attrs

from novakit import errors
from novakit.api.bodies import Definition, Fault, Schema, absent, unexpected
from novakit.api.records import FALSE, TRUE

UUID = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\Z"
HOST_NAME = r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?\Z"
MOST_SMALL = 4096
"""Characters of an object of any content."""


class Wrong(errors.BadRequest):
    """A value is not what the attribute takes; the message says why."""


def shown(value: object) -> str:
    """Quote a value in an error, cut to a readable length."""
    text = str(value)
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def words(fault: Fault) -> Wrong:
    """Return what is wrong with a value as the network API does; the schemas say it of themselves under `says`."""
    if extra := unexpected(fault):
        return Wrong(f"unexpected keys {sorted(extra)[:5]}; known are {sorted(fault.definition['properties'])}.")
    if absent(fault) is not None:
        return Wrong(f"keys {[one for one in fault.definition['required'] if one not in fault.value]} are missing.")
    says = fault.definition.get("says", {})
    said = says if isinstance(says, str) else says.get(fault.rule, "{value} is not taken.")
    length = len(fault.value) if isinstance(fault.value, list | str) else 0
    return Wrong(said.format(value=shown(fault.value), limit=fault.rule_definition, length=length))


def _is_text(value: str) -> bool:
    return "\0" not in value and not any(0xD800 <= ord(char) < 0xE000 for char in value)


_FORMATS: dict[str, Callable[[str], bool]] = {"text": _is_text}


def _as_it_is(value: object) -> object:
    return value


Normal = Callable[..., object]
"""Called with a value that fits the schema, which no type can tell."""


@attrs.define
class ValueKind:
    """Values of one kind."""

    definition: Definition
    normal: Normal = _as_it_is
    """Gives what is kept of a value that fits."""
    _schema: Schema = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._schema = Schema(self.definition, words, _FORMATS)

    def __call__(self, value: object) -> object:
        """Return a value in its normal form. Raises Wrong for one that does not fit."""
        self._schema.check(value)
        return self.normal(value)


def text(longest: int = 255) -> ValueKind:
    """Take a text of a greatest length."""
    says = {
        "type": "{value} is not a valid string.",
        "maxLength": "{value} exceeds maximum length of {limit}.",
        "format": "{value} contains a character that is not text.",
    }
    return ValueKind({"type": "string", "maxLength": longest, "format": "text", "says": says})


def spelt(longest: int) -> ValueKind:
    """Take a text, or a number that is kept as a text."""
    return ValueKind({**text(longest).definition, "type": ["string", "integer"]}, str)


boolean = ValueKind(
    {
        "anyOf": [
            {"type": "boolean"},
            {"type": "integer", "enum": [0, 1]},
            {"type": "string", "pattern": rf"(?i)^({'|'.join((*sorted(TRUE), *sorted(FALSE)))})\Z"},
        ],
        "says": "{value} cannot be converted to boolean.",
    },
    lambda value: str(value).lower() in TRUE,
)
"""true or false, also as their usual words."""


def integer(lowest: int, highest: int) -> ValueKind:
    """Take a whole number of a range, also as text."""
    name, beyond = f"integer {lowest} {highest}", f"{{value}} is not in valid range: {lowest} to {highest}."

    def is_within(value: str) -> bool:
        return re.fullmatch(r"-?[0-9]{1,12}", value) is None or lowest <= int(value) <= highest

    _FORMATS[name] = is_within
    says = {"type": "{value} is not an integer.", "pattern": "{value} is not an integer."}
    definition = {
        "type": ["integer", "string"],
        "minimum": lowest,
        "maximum": highest,
        "pattern": r"^-?[0-9]{1,12}\Z",
        "format": name,
        "says": {**says, "minimum": beyond, "maximum": beyond, "format": beyond},
    }
    return ValueKind(definition, int)


uuid = ValueKind(
    {"type": "string", "pattern": UUID, "says": "{value} is not a valid UUID."}, lambda value: str(UUID_(value))
)
"""The id of something; capitals, and an id without dashes, are the same one."""


def one_of(*choices: str | bool | None) -> ValueKind:
    """Take one of a few values."""
    return ValueKind({"enum": list(choices), "says": "{value} is not in {limit}."})


dns_label = ValueKind(
    {
        "type": "string",
        "pattern": HOST_NAME,
        "says": "{value} is not a host name: letters, digits and hyphens, 63 at most.",
    }
)
"""A host name, or nothing."""


def nullable(inner: ValueKind) -> ValueKind:
    """Take null besides."""
    definition = {"if": {"type": "null"}, "then": {}, "else": inner.definition}
    return ValueKind(definition, lambda value: None if value is None else inner.normal(value))


def several(inner: ValueKind, most: int = 200) -> ValueKind:
    """Take a list."""
    says = {
        "type": "{value} is not a list.",
        "maxItems": "a list of {length} is too long; {limit} is the most.",
    }
    definition = {"type": "array", "maxItems": most, "items": inner.definition, "says": says}
    return ValueKind(definition, lambda value: [inner.normal(item) for item in value])


def record(keys: Mapping[str, ValueKind], needed: Sequence[str] = (), *, into: Normal = dict) -> ValueKind:
    """Take an object with known keys, and make a record of it; the record has fields of the same names."""
    definition = {
        "type": "object",
        "properties": {name: kind.definition for name, kind in keys.items()},
        "required": list(needed),
        "additionalProperties": False,
        "says": {"type": "{value} is not an object."},
    }
    return ValueKind(definition, lambda value: into(**{name: keys[name].normal(item) for name, item in value.items()}))


def _small(value: object) -> object:
    if len(str(value)) > MOST_SMALL or "\\u0000" in str(value) or "\0" in str(value):
        raise Wrong(f"{shown(value)} is not a small object.")
    return value


anything_small = ValueKind({"type": "object", "says": "{value} is not a small object."}, _small)
"""A small object of any content."""
