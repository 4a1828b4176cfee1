"""What the body of a request may be: the one checker of all services.

A schema is JSON Schema, compiled when it is first needed (milliseconds) and then checked in microseconds. What is wrong
with a body is said in the words of the service it was sent to, for clients match on them: each service has a function
that makes the refusal from the fault, and hands it to its schemas as `words`.
"""

import base64
import binascii
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar, cast

import attrs
import fastjsonschema
import orjson

from novakit import errors
from novakit.api import records
from novakit.api.service import Call, S, Version

R = TypeVar("R")
Definition = dict[str, object]
SchemaFault = fastjsonschema.JsonSchemaValueException
"""Where a value is (`path`), what it is, and which `rule` of which `definition` it does not keep."""
Words = Callable[[SchemaFault], errors.NovakitError]
"""Makes the refusal of a body; nearly always a BadRequest."""
MOST_SHOWN = 300
"""Characters of a wrong value that are quoted."""


def _printable(text: str) -> bool:
    return all(character.isprintable() or unicodedata.category(character) == "Zs" for character in text)


def _name(text: str) -> bool:
    return text == text.strip() and _printable(text)


def _az_name(text: str) -> bool:
    return ":" not in text and _name(text)


def _base64(text: str) -> bool:
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _address(kind: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return "%" not in text  # a zone means something on one machine alone

    return check


Formats = Mapping[str, str | Callable[[str], bool]]
"""Patterns and tests of texts, by the name of a format."""
FORMATS: Formats = {
    "name": _name,
    "az_name": _az_name,
    "printable": _printable,
    "base64": _base64,
    "uuid": r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z",
    "ip": _address(ipaddress.ip_address),
    "ipv4": _address(ipaddress.IPv4Address),
    "ipv6": _address(ipaddress.IPv6Address),
}
"""Formats the schemas use beside JSON Schema's own."""


_SECRETS = re.compile(r"pass(?!through)|secret|token|credential|user_?data|private_key|personality", re.IGNORECASE)
"""How fields are called whose values are not repeated to who sent them."""


def unexpected(fault: SchemaFault) -> list[str]:
    """Name the keys of an object that its schema does not have; none when that is not the fault."""
    if fault.rule != "additionalProperties" or not isinstance(fault.value, dict):
        return []
    known, patterns = fault.definition.get("properties", {}), fault.definition.get("patternProperties", {})
    return [key for key in fault.value if key not in known and not any(re.search(one, key) for one in patterns)]


def absent(fault: SchemaFault) -> str | None:
    """Name the first key that an object lacks; None when that is not the fault."""
    if fault.rule != "required" or not isinstance(fault.value, dict):
        return None
    return next((key for key in fault.definition["required"] if key not in fault.value), None)


def shown(value: object) -> str:
    """Quote a value, cut to a readable length."""
    text = str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def said(fault: SchemaFault) -> str | None:
    """Return what a schema says itself of a fault; None where it leaves that to the words of its service.

    It stands under `says`: a sentence, or one for each rule. A service may fill in places of it, such as `{value}`.
    """
    says = fault.definition.get("says")
    found = says.get(fault.rule) if isinstance(says, Mapping) else says
    return None if found is None else str(found)


def words(fault: SchemaFault) -> errors.BadRequest:
    """Return what is wrong as the compute API does, and as every service does that has no words of its own."""
    if (sentence := said(fault)) is not None:
        return errors.BadRequest(sentence)
    where = fault.path[-1] if len(fault.path) > 1 else "body"
    if extra := unexpected(fault):
        return additional(extra)
    if (lacking := absent(fault)) is not None:
        return errors.BadRequest(f"Invalid input for field/attribute {where}. '{lacking}' is a required property")
    value = "(not repeated)" if _holds_secret(fault) else shown(fault.value) or "''"
    return errors.BadRequest(f"Invalid input for field/attribute {where}. Value: {value}. {_why(fault)}")


def _holds_secret(fault: SchemaFault) -> bool:
    """Return whether what is wrong is a secret, or an object or list with one: clients and proxies log refusals."""
    inside = str(fault.value) if isinstance(fault.value, dict | list) else ""
    return any(_SECRETS.search(text) for text in (*map(str, fault.path[1:]), inside))


def placed(fault: SchemaFault) -> tuple[str, str]:
    """Return where in a body a fault is, as `server.name`, and a sentence of what is wrong there."""
    place = ".".join(str(part) for part in fault.path[1:]) or "the body"
    if extra := unexpected(fault):
        return place, f"{additional(extra).message}."
    if (lacking := absent(fault)) is not None:
        return place, f"'{lacking}' is a required property."
    why = _why(fault)
    return place, why[0].lower() + why[1:]


def additional(names: Sequence[str]) -> errors.BadRequest:
    """Make the refusal of keys or parameters that are not known."""
    listed = ", ".join(repr(name[:255]) for name in names)
    verb = "was" if len(names) == 1 else "were"
    return errors.BadRequest(f"Additional properties are not allowed ({listed} {verb} unexpected)")


_KINDS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_FORMATS = {
    "name": "without unprintable characters and without spaces at its beginning and end",
    "az_name": "without unprintable characters, colons, and spaces at its beginning and end",
    "printable": "without unprintable characters",
    "base64": "in base64",
    "uuid": "that is a UUID",
    "ip": "that is an IP address",
    "ipv4": "that is an IPv4 address",
    "ipv6": "that is an IPv6 address",
}
_LENGTHS = {
    "Length": ("long", "short", "character"),
    "Items": ("large", "small", "item"),
    "Properties": ("large", "small", "key"),
}


def _why(fault: SchemaFault) -> str:
    """Return what is wrong as a sentence."""
    rule, bound = fault.rule or "", fault.rule_definition
    if counted := _LENGTHS.get(rule[3:]):
        large, small, unit = counted
        amount = f"{bound} {unit}{'' if bound == 1 else 's'}"
        if rule.startswith("min"):
            return f"It is too {small}: it needs at least {amount}."
        return f"It is too {large}: it may have at most {amount}."
    match rule:
        case "type":
            return f"It must be {_described({'type': bound})}."
        case "enum" | "const" | "pattern" | "format":
            return f"It must be {_described(fault.definition)}."
        case "minimum" | "maximum":
            return f"It must be at {'least' if rule == 'minimum' else 'most'} {bound}."
        case "anyOf" | "oneOf" if all(isinstance(one, dict) for one in bound):
            return f"It must be {'; or '.join(dict.fromkeys(map(_described, bound)))}."
    return f"It {fault.message.removeprefix(fault.name or '').strip()}."


def _literal(value: object) -> str:
    """Return a value as JSON writes it, but for the quotes of a string."""
    return repr(value) if isinstance(value, str) else orjson.dumps(value).decode()


def _described(one: Mapping[str, object]) -> str:
    """Say what a schema of one value takes, as far as a sentence does; a pattern has its words as `description`."""
    if isinstance(said := one.get("description"), str):
        return said
    if "const" in one or "enum" in one:
        allowed = one.get("enum", [one.get("const")])
        listed = [_literal(value) for value in allowed] if isinstance(allowed, list) else []
        return f"one of {', '.join(listed)}" if len(listed) > 1 else "".join(listed)
    kinds = one.get("type", ())
    named = [str(kind) for kind in ([kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else ())]
    told = [" or ".join(_KINDS.get(kind, kind) for kind in named) or "something else"]
    bounds = {"minimum": "from", "maximum": "to", "pattern": "that matches"}
    told += [f"{words} {one[key]}" for key, words in bounds.items() if key in one]
    if "format" in one:
        told.append(_FORMATS.get(str(one["format"]), f"in the form {one['format']}"))
    lengths = {"minLength": "of at least", "maxLength": "of at most"}
    told += [
        f"{words} {one[key]} character{'' if one[key] == 1 else 's'}" for key, words in lengths.items() if key in one
    ]
    return " ".join(told)


@attrs.define
class Schema:
    """A JSON schema, compiled when it is first used."""

    definition: Mapping[str, object]
    words: Words = words
    formats: Formats = FORMATS
    _compiled: Callable[[object], object] | None = attrs.field(default=None, init=False)

    def check(self, value: object) -> None:
        """Go on only with a value that fits. Raises what the words make of a fault: BadRequest mostly."""
        if self._compiled is None:
            self._compiled = fastjsonschema.compile(
                dict(self.definition), formats=dict(self.formats), use_default=False
            )
        try:
            self._compiled(value)
        except SchemaFault as fault:
            raise self.words(fault) from fault


@attrs.frozen
class BodyReader(Generic[R]):
    """The schema of a body of one form, and the record that a handler gets of it."""

    schema: Schema
    kind: type[R]

    def __call__(self, value: object) -> R:
        """Return the record of a value. Raises BadRequest in the words of the service for one that does not fit."""
        self.schema.check(value)
        return records.read(self.kind, value)


def wrapped(key: str, inner: Definition) -> Definition:
    """Describe a body that is one object under one key."""
    return {"type": "object", "properties": {key: inner}, "additionalProperties": False, "required": [key]}


class Versions:
    """The schemas of one request body, each from some version on."""

    def __init__(
        self, since: Sequence[tuple[Version, Definition]], words: Words = words, formats: Formats = FORMATS
    ) -> None:
        self._since = [(version, Schema(definition, words, formats)) for version, definition in since]
        self._of: dict[Version, Schema] = {}
        """The schema of each version that was asked for."""

    def check(self, version: Version, body: object) -> None:
        """Raise `BadRequest` for a body that this version does not take."""
        if (schema := self._of.get(version)) is None:
            schema = self._of[version] = [one for since, one in self._since if since <= version][-1]
        schema.check(body)

    async def require(self, call: Call[S]) -> None:
        """Check the body of a call that nothing is made of. Raises BadRequest."""
        self.check(call.version, await json_body(call))


class Body(Versions, Generic[R]):
    """A request body: the schemas of its versions, and the record that a handler gets of it.

    With `under` the body is one object under that key, which the schemas describe and the record is made of.
    """

    def __init__(
        self,
        kind: type[R],
        since: Sequence[tuple[Version, Definition]],
        *,
        under: str | None = None,
        words: Words = words,
        formats: Formats = FORMATS,
    ) -> None:
        super().__init__([(version, wrapped(under, one) if under else one) for version, one in since], words, formats)
        self.kind = kind
        self.under = under

    def record(self, version: Version, body: object) -> R:
        """Make a record of a body. Raises BadRequest for one that this version does not take."""
        self.check(version, body)
        return records.read(self.kind, cast(Mapping[str, object], body)[self.under] if self.under else body)

    async def read(self, call: Call[S]) -> R:
        """Read the body of a call. Raises BadRequest for one that its version does not take."""
        return self.record(call.version, await json_body(call))


class ActionBody:
    """A body of one key, which names an action: each has a schema of its own, checked once its rule has been asked."""

    def __init__(self, refusal: str, known: Sequence[str] | None = None) -> None:
        """Refuse, with a sentence, a body of another form, and one that names no known action where they are listed."""
        names: Definition = {} if known is None else {"propertyNames": {"enum": list(known)}}
        definition = {"type": "object", "minProperties": 1, "maxProperties": 1, **names, "says": refusal}
        self._schema = Schema(definition)

    async def read(self, call: Call[S]) -> tuple[str, dict[str, object]]:
        """Return the name of the action, and the whole body. Raises BadRequest."""
        body = await json_body(call)
        self._schema.check(body)
        return next(iter(body)), body


async def json_body(call: Call[S]) -> dict[str, object]:
    """Read the body as a JSON object without NUL characters, which no database text can hold."""
    body = await call.json()
    if b"\\u0000" in await call.raw():
        raise errors.BadRequest("Text must not contain NUL characters; leave \\u0000 out.")
    return body
