"""The bodies and queries that the Placement API takes, by resource and version."""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import TypeVar

from novakit import errors
from novakit.api import bodies
from novakit.api.bodies import Definition
from novakit.api.service import Version

R = TypeVar("R")

UUID_KEY = "^[0-9a-fA-F-]{36}$"
NAME = "^[A-Z0-9_]+$"
CUSTOM_NAME = "^CUSTOM_[A-Z0-9_]+$"
TEXT = "^[^\\x00-\\x1f\\x7f]*$"
"""Text that every database and terminal can hold: no control characters."""
GROUP = "[1-9][0-9]*"
GROUP_1_33 = "[a-zA-Z0-9_-]{1,64}"
INVALID_QUERY = "Invalid query string parameters: "
MAX_INT = 0x7FFFFFFF
"""The largest amount that Placement's schemas take (db.MAX_INT of the public API)."""


def looks_like_uuid(value: str) -> bool:
    """Return whether text is a UUID in any of its spellings."""
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def is_dashed_uuid(value: str) -> bool:
    """Return whether text is a UUID in its usual spelling, the only one that queries take."""
    return re.fullmatch("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value) is not None


FORMATS: bodies.Formats = {"uuid": looks_like_uuid}


def body(kind: type[R], since: Mapping[Version, Definition]) -> bodies.Body[R]:
    """Make what reads a body: the record that is made of it, and its schemas, each from a version on."""
    return bodies.Body(kind, sorted(since.items()), words=_words_of("JSON does not validate: "), formats=FORMATS)


def query(since: Mapping[Version, Definition], is_uuid: Callable[[str], bool] = looks_like_uuid) -> bodies.Versions:
    """Make what checks the parameters of a query, by schemas that each hold from a version on."""
    return bodies.Versions(sorted(since.items()), _words_of(INVALID_QUERY), {"uuid": is_uuid})


def _words_of(complaint: str) -> bodies.Words:
    def said(fault: bodies.SchemaFault) -> errors.BadRequest:
        return errors.BadRequest(f"{complaint}{words(fault)}")

    return said


def words(fault: bodies.SchemaFault) -> str:
    """Return what is wrong with a body or a query as Placement does."""
    where = "".join(f"['properties'][{name!r}]" for name in fault.path[1:])
    return f"{_sentence(fault)}. Failed validating {fault.rule!r} in schema{where}"


def _sentence(error: bodies.SchemaFault) -> str:
    """Return what is wrong in the words that clients of this API know."""
    value, rule, limit = error.value, error.rule, error.rule_definition
    match rule:
        case "format":
            return f"{value!r} is not a {limit!r}"
        case "pattern":
            return f"{value!r} does not match {limit!r}"
        case "uniqueItems":
            return f"{value!r} has non-unique elements"
        case "required":
            return f"{next(name for name in limit if name not in value)!r} is a required property"
        case "additionalProperties" if isinstance(value, dict):
            odd, patterns = bodies.unexpected(error), error.definition.get("patternProperties", {})
            if patterns:
                return f"{', '.join(map(repr, odd))} does not match any of the regexes: {', '.join(patterns)}"
            return f"Additional properties are not allowed ({', '.join(map(repr, odd))} was unexpected)"
        case "type":
            return f"{value!r} is not of type {', '.join(map(repr, limit if isinstance(limit, list) else [limit]))}"
        case "minProperties":
            return f"{value!r} does not have enough properties"
        case "minItems" | "minLength":
            return f"{value!r} is too short"
        case "maxLength":
            return f"{value!r} is too long"
        case "minimum":
            return f"{value!r} is less than the minimum of {limit}"
        case "maximum":
            return f"{value!r} is greater than the maximum of {limit}"
        case "enum":
            return f"{value!r} is not one of {limit!r}"
    return str(error)


def record(properties: Mapping[str, object], *required: str) -> dict[str, object]:
    """Make the schema of an object with these properties and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def table(pattern: str, values: dict[str, object], **more: object) -> dict[str, object]:
    """Make the schema of an object whose keys follow a pattern."""
    return {"type": "object", "patternProperties": {pattern: values}, "additionalProperties": False, **more}
