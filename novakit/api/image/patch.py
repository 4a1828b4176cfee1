"""JSON patches of an image: both media types, each operation checked before anything is changed."""

import re

import attrs
import orjson
from aiohttp import web

from novakit import errors
from novakit.api import ids, records
from novakit.api.bodies import Schema
from novakit.api.image import schemas
from novakit.api.reading import parse, read_body
from novakit.image.records import ImageValues
from novakit.image.service import Change

MEDIA = {
    "application/openstack-images-v2.1-json-patch": 21,
    "application/openstack-images-v2.0-json-patch": 20,
}
Operation = tuple[str, str, object]
"""What to do (add, replace or remove), to which attribute, with which value."""

_attribute = Schema(
    {"type": "object", "properties": schemas.WRITABLE, "additionalProperties": schemas.PROPERTY}, schemas.words
)


async def read(request: web.Request) -> Change:
    """Read a patch from a request and give what it does to an image."""
    version = MEDIA.get(request.content_type)
    if version is None:
        raise errors.UnsupportedMedia(
            f"Send the patch as {next(iter(MEDIA))}.", headers={"Accept-Patch": ",".join(MEDIA)}
        )
    try:
        said = parse(await read_body(request, request.client_max_size))
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(f"The body is not JSON: {error}. Send a list of operations.") from error
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise errors.BadRequest("Request body must be a JSON array of operation objects.")
    operations = [_operation(one, version) for one in said]

    def change(image: ImageValues) -> ImageValues:
        own = attrs.asdict(image, recurse=False, filter=lambda field, _: field.name != "properties")
        document = {**image.properties, **own}
        for operation in operations:
            _apply(document, *operation)
        return records.read(ImageValues, document)

    return change


def _operation(said: dict[str, object], version: int) -> Operation:
    if version == 21:
        verb, path = said.get("op"), said.get("path")
    else:
        verb = next((one for one in ("add", "replace", "remove") if one in said), None)
        path = said.get(verb) if verb else None
    if verb not in ("add", "replace", "remove"):
        raise errors.BadRequest("Operations must be add, replace or remove.")
    if not isinstance(path, str) or not path.startswith("/"):
        raise errors.BadRequest("Each operation needs a path that begins with a slash.")
    if verb != "remove" and "value" not in said:
        raise errors.BadRequest(f"Operation {verb} requires a member named value.")
    parts = [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]
    if len(parts) != 1 or not parts[0]:
        raise errors.BadRequest(f"Invalid JSON pointer for this resource: {path[:128]}; name one attribute.")
    name = parts[0]
    if name in schemas.READ_ONLY or name in schemas.FORBIDDEN or name == "id":
        raise errors.Forbidden(f"Attribute '{name}' is read-only.")
    require_property_name(name)
    if verb == "remove" and name in schemas.WRITABLE:
        raise errors.Forbidden(f"Property {name} may not be removed.")
    value = said.get("value")
    if verb != "remove":
        _attribute.check({name: value})
    if name == "owner" and isinstance(value, str):
        value = ids.kept(value)
    return verb, name, value


def require_property_name(name: str) -> None:
    """Refuse names that no property can have."""
    if not name or len(name) > 255 or re.search(r"[\x00-\x1f]", name):
        raise errors.BadRequest("The name of a property has 1 to 255 characters and no control characters.")


def _apply(image: dict[str, object], verb: str, name: str, value: object) -> None:
    """Do an operation to the attributes and properties of an image."""
    if verb != "add" and name not in image:
        raise errors.Conflict(f"Property {name} does not exist.")
    if verb == "remove":
        del image[name]
    else:
        image[name] = value
