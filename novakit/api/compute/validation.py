"""Request bodies and query strings, checked against the schema of the version that was asked for."""

import base64
import binascii
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import fastjsonschema

from novakit import errors
from novakit.api.service import Call, Version

Schema = dict[str, Any]


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
        return True

    return check


FORMATS: Mapping[str, Any] = {
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

TRUE = frozenset(("true", "1", "on", "yes", "t", "y"))
FALSE = frozenset(("false", "0", "off", "no", "f", "n"))


def boolean(value: bool | str | int | None, default: bool = False) -> bool:
    """Read a boolean as clients write it; what is neither true nor false is the default."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    return True if word in TRUE else False if word in FALSE else default


def strict_boolean(value: str, name: str) -> bool:
    """Read a boolean of a query string; raise `BadRequest` for anything else."""
    word = value.strip().lower()
    if word not in TRUE | FALSE:
        raise errors.BadRequest(f"Invalid value '{value[:80]}' for {name}; it must be true or false.")
    return word in TRUE


@attrs.define
class Body:
    """The schemas of one request body, each from some version on; compiled when first needed."""

    _since: Sequence[tuple[Version, Schema]]
    _checks: dict[int, Callable[[Any], Any]] = attrs.field(factory=dict, init=False)

    def check(self, version: Version, body: Mapping[str, Any]) -> None:
        """Raise `BadRequest` for a body that this version does not take."""
        place = max(at for at, (since, _) in enumerate(self._since) if since <= version)
        check = self._checks.get(place)
        if check is None:
            check = fastjsonschema.compile(self._since[place][1], formats=dict(FORMATS), use_default=False)
            self._checks[place] = check
        try:
            check(body)
        except fastjsonschema.JsonSchemaValueException as error:
            raise errors.BadRequest(_sentence(error)) from error

    async def read(self, call: Call[Any]) -> dict[str, Any]:
        """Read and check the body of a call."""
        body = await json_body(call)
        self.check(call.version, body)
        return body


async def json_body(call: Call[Any]) -> dict[str, Any]:
    """Read the body as a JSON object without NUL characters, which no database text can hold."""
    body = await call.json()
    if b"\\u0000" in await call.request.read():
        raise errors.BadRequest("Text must not contain NUL characters; leave \\u0000 out.")
    return body


def _sentence(error: fastjsonschema.JsonSchemaValueException) -> str:
    where = error.path[-1] if len(error.path) > 1 else "body"
    value, definition = error.value, error.definition
    rule = error.rule
    if rule == "additionalProperties" and isinstance(value, dict):
        known = definition.get("properties", {})
        patterns = definition.get("patternProperties", {})
        extra = [key for key in value if key not in known and not any(re.search(p, key) for p in patterns)]
        names = ", ".join(repr(key[:255]) for key in extra)
        verb = "was" if len(extra) == 1 else "were"
        return f"Additional properties are not allowed ({names} {verb} unexpected)"
    if rule == "required" and isinstance(value, dict):
        absent = next((key for key in definition["required"] if key not in value), "?")
        return f"Invalid input for field/attribute {where}. '{absent}' is a required property"
    shown = str(value)
    shown = shown if len(shown) <= 300 else f"{shown[:300]}..."
    match rule:
        case "maxLength" | "maxItems":
            detail = f"it is too long, at most {error.rule_definition} are taken"
        case "minLength" | "minItems":
            detail = f"it is too short, at least {error.rule_definition} are needed"
        case "type":
            wanted = error.rule_definition
            detail = f"it is not of type {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "enum":
            detail = f"it is not one of {error.rule_definition}"
        case "pattern":
            detail = f"it does not match {error.rule_definition}"
        case "format":
            detail = f"it is not a '{error.rule_definition}'"
        case _:
            detail = error.message.removeprefix("data.")
    return f"Invalid input for field/attribute {where}. Value: {shown}. {detail}"


def known_parameters(call: Call[Any], *known: str) -> None:
    """From 2.75 on raise `BadRequest` for a query parameter that is not known; before they are ignored."""
    if call.version < (2, 75):
        return
    extra = sorted(set(call.request.query) - set(known))
    if extra:
        names = ", ".join(repr(key[:80]) for key in extra)
        raise errors.BadRequest(
            f"Additional properties are not allowed ({names} {'was' if len(extra) == 1 else 'were'} unexpected)"
        )


def part(call: Call[Any], name: str) -> str:
    """Give a variable part of the path; raise `NotFound` for what cannot be the name of anything."""
    value = call.path[name]
    if "\x00" in value or len(value) > 255:
        raise errors.NotFound("The resource could not be found.")
    return value
