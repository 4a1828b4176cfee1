"""Kinds of values in request bodies of the network API: a JSON schema each, which says itself what is wrong.

Clients write numbers as texts and booleans as words; the records that are made of them hold numbers and booleans.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from novakit.api.bodies import Definition, SchemaFault, absent, said, unexpected
from novakit.api.records import FALSE, TRUE

UUID = r"(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\Z"
HOST_NAME = r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?\Z"


def shown(value: object) -> str:
    """Quote a value in an error, cut to a readable length."""
    text = str(value)
    return f"'{text[:80]}…'" if len(text) > 80 else f"'{text}'"


def reason(fault: SchemaFault) -> str:
    """Return what is wrong with a value as the network API does."""
    if extra := unexpected(fault):
        unknown, known = (", ".join(shown(one) for one in keys) for keys in (sorted(extra)[:5], _keys(fault)))
        return f"unexpected keys {unknown}; known are {known}."
    if absent(fault) is not None:
        lacking = [shown(one) for one in fault.definition["required"] if one not in fault.value]
        return f"keys {', '.join(lacking)} are missing."
    sentence = said(fault) or "{value} is not accepted."
    length = len(fault.value) if isinstance(fault.value, list | str) else 0
    return sentence.format(value=shown(fault.value), limit=fault.rule_definition, length=length)


def _keys(fault: SchemaFault) -> list[str]:
    return sorted(fault.definition["properties"])


def _is_text(value: str) -> bool:
    return "\0" not in value and not any(0xD800 <= ord(char) < 0xE000 for char in value)


FORMATS: dict[str, Callable[[str], bool]] = {"text": _is_text}
"""Tests of texts by their names in the schemas; each range of numbers adds its own."""


def text(longest: int = 255) -> Definition:
    """Take a text of a greatest length."""
    says = {
        "type": "{value} is not a valid string.",
        "maxLength": "{value} exceeds maximum length of {limit}.",
        "format": "{value} contains a character that is not text.",
    }
    return {"type": "string", "maxLength": longest, "format": "text", "says": says}


def spelt(longest: int) -> Definition:
    """Take a text, or a number that is kept as a text."""
    return {**text(longest), "type": ["string", "integer"]}


boolean: Definition = {
    "anyOf": [
        {"type": "boolean"},
        {"type": "integer", "enum": [0, 1]},
        {"type": "string", "pattern": rf"(?i)^({'|'.join((*sorted(TRUE), *sorted(FALSE)))})\Z"},
    ],
    "says": "{value} cannot be converted to boolean.",
}
"""true or false, also as words for them such as yes and off."""


def integer(lowest: int, highest: int) -> Definition:
    """Take a whole number of a range, also as text."""
    name, beyond = f"integer {lowest} {highest}", f"{{value}} is not in valid range: {lowest} to {highest}."

    def is_within(value: str) -> bool:
        return re.fullmatch(r"-?[0-9]{1,12}", value) is None or lowest <= int(value) <= highest

    FORMATS[name] = is_within
    says = {"type": "{value} is not an integer.", "pattern": "{value} is not an integer."}
    return {
        "type": ["integer", "string"],
        "minimum": lowest,
        "maximum": highest,
        "pattern": r"^-?[0-9]{1,12}\Z",
        "format": name,
        "says": {**says, "minimum": beyond, "maximum": beyond, "format": beyond},
    }


uuid: Definition = {"type": "string", "pattern": UUID, "says": "{value} is not a valid UUID."}
"""The id of something, in any spelling: the record's field is an `Id`, which keeps one of them."""


def one_of(*choices: str | bool | None) -> Definition:
    """Take one of a few values."""
    return {"enum": list(choices), "says": f"{{value}} is not in {list(choices)}."}


dns_label: Definition = {
    "type": "string",
    "pattern": HOST_NAME,
    "says": "{value} is not a host name: letters, digits and hyphens, 63 at most.",
}
"""A host name, or nothing."""


def nullable(inner: Definition) -> Definition:
    """Take null besides."""
    definition = dict(inner)
    if isinstance(kinds := inner.get("type"), str | list):
        definition["type"] = [*([kinds] if isinstance(kinds, str) else kinds), "null"]
    for key, null in (("enum", None), ("anyOf", {"type": "null"})):
        if isinstance(choices := inner.get(key), list) and null not in choices:
            definition[key] = [*choices, null]
    return definition


def several(inner: Definition, most: int = 200) -> Definition:
    """Take a list."""
    says = {
        "type": "{value} is not a list.",
        "maxItems": "a list of {length} is too long; {limit} is the most.",
    }
    return {"type": "array", "maxItems": most, "items": inner, "says": says}


def record(keys: Mapping[str, Definition], needed: Sequence[str] = ()) -> Definition:
    """Take an object with known keys, of which a record with fields of the same names is made."""
    return {
        "type": "object",
        "properties": dict(keys),
        "required": list(needed),
        "additionalProperties": False,
        "says": {"type": "{value} is not an object."},
    }


anything_small: Definition = {"type": "object", "says": "{value} is not a small object."}
"""An object of any content; the domain holds how long it may be."""
