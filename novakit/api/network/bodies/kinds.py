"""Kinds of values in request bodies of the network API: a JSON schema each, which says itself what is wrong.

Clients write numbers as texts and booleans as words; the records that are made of them hold numbers and booleans.
"""

import re
from collections.abc import Callable, Mapping, Sequence

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


def _pass(value: object) -> None:
    """Find nothing wrong."""


def _require_small(value: object) -> None:
    if len(str(value)) > MOST_SMALL or "\\u0000" in str(value) or "\0" in str(value):
        raise Wrong(f"{shown(value)} is not a small object.")


@attrs.define
class ValueKind:
    """Values of one kind."""

    definition: Definition
    beyond: Callable[[object], None] = _pass
    """Raises Wrong for what is wrong though the schema cannot say so."""
    _schema: Schema = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._schema = Schema(self.definition, words, _FORMATS)

    def check(self, value: object) -> None:
        """Go on only with a value that fits. Raises Wrong."""
        self._schema.check(value)
        self.beyond(value)


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
    return ValueKind({**text(longest).definition, "type": ["string", "integer"]})


boolean = ValueKind(
    {
        "anyOf": [
            {"type": "boolean"},
            {"type": "integer", "enum": [0, 1]},
            {"type": "string", "pattern": rf"(?i)^({'|'.join((*sorted(TRUE), *sorted(FALSE)))})\Z"},
        ],
        "says": "{value} cannot be converted to boolean.",
    }
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
    return ValueKind(definition)


uuid = ValueKind({"type": "string", "pattern": UUID, "says": "{value} is not a valid UUID."})
"""The id of something, in any spelling: the record's field is an `Id`, which keeps one of them."""


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
    return ValueKind(definition, lambda value: None if value is None else inner.beyond(value))


def several(inner: ValueKind, most: int = 200) -> ValueKind:
    """Take a list."""
    says = {
        "type": "{value} is not a list.",
        "maxItems": "a list of {length} is too long; {limit} is the most.",
    }
    definition = {"type": "array", "maxItems": most, "items": inner.definition, "says": says}
    return ValueKind(definition)


def record(keys: Mapping[str, ValueKind], needed: Sequence[str] = ()) -> ValueKind:
    """Take an object with known keys, of which a record with fields of the same names is made."""
    definition = {
        "type": "object",
        "properties": {name: kind.definition for name, kind in keys.items()},
        "required": list(needed),
        "additionalProperties": False,
        "says": {"type": "{value} is not an object."},
    }
    return ValueKind(definition)


anything_small = ValueKind({"type": "object", "says": "{value} is not a small object."}, _require_small)
"""A small object of any content."""
