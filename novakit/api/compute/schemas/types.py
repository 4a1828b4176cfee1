"""Field kinds that request bodies share."""

from collections.abc import Mapping

Definition = dict[str, object]

MAX_INT = 0x7FFFFFFF
"""What a signed 32-bit column holds; Nova refuses more with 400."""
METADATA_KEY = r"^[a-zA-Z0-9\-_:. ]{1,255}\Z"

name: Definition = {"type": "string", "format": "name", "minLength": 1, "maxLength": 255}
az_name: Definition = {"type": "string", "format": "az_name", "minLength": 1, "maxLength": 255}
description: Definition = {"type": ["string", "null"], "format": "printable", "maxLength": 255}
_YES = ["True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"]
_NO = ["False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"]
boolean: Definition = {
    "type": ["boolean", "string"],
    "enum": [True, False, *_YES, *_NO],
    "description": "true or false, or one of the strings 'true', 'yes', 'on', '1', 'false', 'no', 'off' and '0'",
}
uuid: Definition = {"type": "string", "format": "uuid"}
identity_id: Definition = {
    "type": "string",
    "pattern": r"^[a-zA-Z0-9\-]*\Z",
    "description": "an id: letters, digits and hyphens",
    "minLength": 1,
    "maxLength": 255,
}
hostname: Definition = {
    "type": "string",
    "pattern": r"^[a-zA-Z0-9]+[a-zA-Z0-9\-]*[a-zA-Z0-9]+\Z",
    "description": "a host name: letters, digits and hyphens, with no hyphen at its beginning or end",
    "minLength": 2,
    "maxLength": 63,
}
fqdn: Definition = {
    "type": "string",
    "pattern": r"^[a-zA-Z0-9\-._]*\Z",
    "description": "a host name with its domain: letters, digits, hyphens, underscores and dots",
    "minLength": 1,
    "maxLength": 255,
}
tag: Definition = {
    "type": "string",
    "pattern": r"^[^,/]*\Z",
    "description": "a string without commas and slashes",
    "minLength": 1,
    "maxLength": 60,
}
ip: Definition = {"type": "string", "format": "ip"}
metadata: Definition = {
    "type": "object",
    "patternProperties": {METADATA_KEY: {"type": "string", "maxLength": 255}},
    "additionalProperties": False,
}


def number(minimum: int, maximum: int = MAX_INT) -> Definition:
    """Describe an integer, which clients may also write as a string of digits."""
    return {
        "anyOf": [
            {"type": "integer", "minimum": minimum, "maximum": maximum},
            {
                "type": "string",
                "pattern": _digits(minimum),
                "description": "such a number as a string of at most 9 digits",
            },
        ]
    }


def _digits(minimum: int) -> str:
    """Match digits up to nine, which no bound of ours cuts; zero only where it is allowed."""
    return r"^[0-9]{1,9}\Z" if minimum == 0 else r"^0{0,9}[1-9][0-9]{0,8}\Z" if minimum == 1 else r"^(-1|[0-9]{1,9})\Z"


def record(properties: Mapping[str, object], required: list[str] | None = None) -> Definition:
    """Describe an object with exactly these properties."""
    described: Definition = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**described, "required": required} if required else described
