"""What images look like: the published schemas, and the checks made from the same."""

from collections.abc import Mapping
from typing import TypeVar

from aiohttp import web

from novakit import errors
from novakit.api.bodies import MOST_SHOWN, BodyReader, Definition, Schema, SchemaFault, placed, said
from novakit.api.service import Call, Route, reply
from novakit.disk_images import CONTAINERS, FORMATS
from novakit.image import Images

R = TypeVar("R")
VISIBILITIES = ("public", "private", "shared", "community")
MEMBER_STATUSES = ("pending", "accepted", "rejected")
UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
INTEGER = 2147483647
"""What a signed 32-bit column holds."""

_PLAIN = {"pattern": r"^[^\x00]*$", "description": "a string without NUL characters"}
_PLAIN_OR_NULL = {**_PLAIN, "type": ["null", "string"], "description": "null or a string without NUL characters"}
_ID = {"type": "string", "pattern": UUID, "description": "a UUID"}
TAG = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f]+$",
    "description": "a string without control characters",
}
WRITABLE: Mapping[str, Mapping[str, object]] = {
    "id": _ID,
    "name": {**_PLAIN_OR_NULL, "maxLength": 255},
    "visibility": {"type": "string", "enum": list(VISIBILITIES)},
    "protected": {"type": "boolean"},
    "os_hidden": {"type": "boolean"},
    "owner": {**_PLAIN_OR_NULL, "maxLength": 64},
    "container_format": {"type": ["null", "string"], "enum": [None, *CONTAINERS]},
    "disk_format": {"type": ["null", "string"], "enum": [None, *FORMATS]},
    "min_ram": {"type": "integer", "minimum": 0, "maximum": INTEGER},
    "min_disk": {"type": "integer", "minimum": 0, "maximum": INTEGER},
    "tags": {"type": "array", "items": TAG},
}
READ_ONLY: Mapping[str, Mapping[str, object]] = {
    "status": {"type": "string", "enum": ["queued", "active", "deactivated"]},
    "checksum": {"type": ["null", "string"], "maxLength": 32},
    "os_hash_algo": {"type": ["null", "string"], "maxLength": 64},
    "os_hash_value": {"type": ["null", "string"], "maxLength": 128},
    "size": {"type": ["null", "integer"]},
    "virtual_size": {"type": ["null", "integer"]},
    "created_at": {"type": "string"},
    "updated_at": {"type": "string"},
    "self": {"type": "string"},
    "file": {"type": "string"},
    "schema": {"type": "string"},
}
FORBIDDEN = frozenset({"locations", "direct_url", "deleted", "deleted_at", "stores"})
"""Names that mean something in image services and so are no properties."""
PROPERTY = {"type": "string", "maxLength": 65535, **_PLAIN}
_names = {
    "propertyNames": {
        "pattern": r"^[^\x00-\x1f]{1,255}\Z",
        "description": "a string of 1 to 255 characters without control characters",
    },
    "says": {"propertyNames": "The name of a property has 1 to 255 characters and no control characters."},
}
_READ_ONLY: Definition = {"not": {}, "says": "Attribute '{name}' is read-only."}
_NOT_REMOVED: Definition = {"not": {}, "says": "Property {name} may not be removed."}
_not_written = dict.fromkeys((*READ_ONLY, *sorted(FORBIDDEN)), _READ_ONLY)
NEW: Definition = {
    "type": "object",
    "properties": {**_not_written, **WRITABLE},
    "additionalProperties": PROPERTY,
    **_names,
}
"""What is said of an image that is to be made: its attributes, and properties of any other name."""
CHANGED: Definition = {**NEW, "properties": {**_not_written, **WRITABLE, "id": _READ_ONLY}}
"""What is said of an image that there is."""
REMOVED: Definition = {
    "type": "object",
    "properties": {**_not_written, **dict.fromkeys(WRITABLE, _NOT_REMOVED), "id": _READ_ONLY},
    **_names,
}
"""What is taken from an image, as an object with the names of it."""

IMAGE = {
    "name": "image",
    "properties": {**WRITABLE, **{name: {**schema, "readOnly": True} for name, schema in READ_ONLY.items()}},
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
MEMBER = {
    "name": "member",
    "properties": {
        "created_at": {"type": "string"},
        "image_id": _ID,
        "member_id": {"type": "string"},
        "schema": {"type": "string", "readOnly": True},
        "status": {"type": "string", "enum": list(MEMBER_STATUSES)},
        "updated_at": {"type": "string"},
    },
}


def _plural(schema: Mapping[str, object]) -> dict[str, object]:
    name = f"{schema['name']}s"
    links = [{"rel": "describedby", "href": "{schema}"}]
    properties = {name: {"type": "array", "items": schema}, "schema": {"type": "string"}}
    if schema is IMAGE:
        links += [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}]
        properties |= {"first": {"type": "string"}, "next": {"type": "string"}}
    return {"name": name, "properties": properties, "links": links}


PUBLISHED = {"image": IMAGE, "images": _plural(IMAGE), "member": MEMBER, "members": _plural(MEMBER)}


def body(kind: type[R], schema: Mapping[str, object]) -> BodyReader[R]:
    """Make what reads a body that fits a schema. It raises BadRequest with the place and the reason."""
    return BodyReader(Schema(schema, words), kind)


def words(fault: SchemaFault) -> errors.NovakitError:
    """Return what is wrong with a body as the image API does.

    What nobody may write is there for others to see, so it is forbidden and not malformed.
    """
    sentence = (said(fault) or "").format(name=fault.path[-1], value=str(fault.value)[:128])
    if fault.rule == "not":
        return errors.Forbidden(sentence)
    if sentence:
        return errors.BadRequest(sentence)
    place, why = placed(fault)
    return errors.BadRequest(f"Provided object does not match schema 'image': {place[:MOST_SHOWN]}: {why}")


async def publish(call: Call[Images]) -> web.Response:
    """Publish a schema."""
    name = call.path["name"]
    if name not in PUBLISHED:
        raise errors.NotFound(f"There is no schema {name[:64]}; there are {', '.join(PUBLISHED)}.")
    return reply(PUBLISHED[name])


routes = (Route(method="GET", path="/v2/schemas/{name}", handler=publish, rule="novakit:schemas"),)
