"""JSON patches of an image: both media types, each operation checked before anything is changed."""

from collections.abc import Callable, Mapping, Sequence

import attrs
import orjson
from aiohttp import web

from novakit import errors
from novakit.api import ids, records
from novakit.api.bodies import Definition, Schema
from novakit.api.image import schemas
from novakit.api.reading import parse, read_body
from novakit.image.records import ImageValues
from novakit.image.service import ImageEdit

VERBS = ("add", "replace", "remove")


@attrs.frozen(kw_only=True)
class Operation:
    """One operation of a patch: what is done to the attribute that the path names."""

    op: str
    path: str
    value: object = None


@attrs.frozen(kw_only=True)
class OldOperation:
    """One operation of a patch of version 2.0, whose path stands under the verb."""

    add: str | None = None
    replace: str | None = None
    remove: str | None = None
    value: object = None

    def written_anew(self) -> Operation:
        """Return the operation as version 2.1 writes it."""
        said = {"add": self.add, "replace": self.replace, "remove": self.remove}
        verb, path = next((verb, path) for verb, path in said.items() if path is not None)
        return Operation(op=verb, path=path, value=self.value)


_SHAPE = "Request body must be a JSON array of operation objects."
_KNOWN = f"Operations must be {', '.join(VERBS[:-1])} or {VERBS[-1]}."
_PATH: Definition = {
    "allOf": [
        {"type": "string", "pattern": "^/", "says": "Each operation needs a path that begins with a slash."},
        {
            "pattern": r"^/[^/]+\Z",
            "maxLength": 512,
            "says": "Invalid JSON pointer for this resource: {value}; name one attribute.",
        },
    ]
}
_VALUED: Definition = {"required": ["value"], "says": "Operations add and replace require a member named value."}


def _patch(operation: Definition) -> Definition:
    return {"type": "array", "items": {"type": "object", "says": _SHAPE, **operation}, "says": _SHAPE}


_new_patch = schemas.body(
    tuple[Operation, ...],
    _patch(
        {
            "allOf": [
                {"required": ["op"], "properties": {"op": {"enum": list(VERBS), "says": _KNOWN}}, "says": _KNOWN},
                {"required": ["path"], "says": "Each operation needs a path that begins with a slash."},
            ],
            "properties": {"path": _PATH},
            "if": {"properties": {"op": {"const": "remove"}}},
            "else": _VALUED,
        }
    ),
)
_old_patch = schemas.body(
    tuple[OldOperation, ...],
    _patch(
        {
            "allOf": [{"oneOf": [{"required": [verb]} for verb in VERBS], "says": _KNOWN}],
            "properties": dict.fromkeys(VERBS, _PATH),
            "if": {"required": ["remove"]},
            "else": _VALUED,
        }
    ),
)
_changed = Schema(schemas.CHANGED, schemas.words)
_removed = Schema(schemas.REMOVED, schemas.words)
MEDIA: Mapping[str, Callable[[object], Sequence[Operation]]] = {
    "application/openstack-images-v2.1-json-patch": _new_patch,
    "application/openstack-images-v2.0-json-patch": lambda body: [one.written_anew() for one in _old_patch(body)],
}
"""What reads the operations of a patch, by its media type."""


async def read(request: web.Request) -> ImageEdit:
    """Read a patch from a request and give what it does to an image.

    Raises UnsupportedMedia, BadRequest, and Forbidden for attributes that nobody may change.
    """
    operations = MEDIA.get(request.content_type)
    if operations is None:
        raise errors.UnsupportedMedia(
            f"Send the patch as {next(iter(MEDIA))}.", headers={"Accept-Patch": ",".join(MEDIA)}
        )
    try:
        said = parse(await read_body(request, request.client_max_size))
    except orjson.JSONDecodeError as error:
        raise errors.BadRequest(f"The body is not JSON: {error}. Send a list of operations.") from error
    changes = [_change(one) for one in operations(said)]

    def change(image: ImageValues) -> ImageValues:
        own = attrs.asdict(image, recurse=False, filter=lambda field, _: field.name != "properties")
        document = {**image.properties, **own}
        for verb, name, value in changes:
            _apply(document, verb, name, value)
        return records.read(ImageValues, document)

    return change


def _change(said: Operation) -> tuple[str, str, object]:
    """Return what to do, to which attribute, with which value; an attribute is held to the schema of images."""
    name, value = said.path[1:].replace("~1", "/").replace("~0", "~"), said.value
    (_removed if said.op == "remove" else _changed).check({name: value})
    if name == "owner" and isinstance(value, str):
        value = ids.kept(value)
    return said.op, name, value


def _apply(image: dict[str, object], verb: str, name: str, value: object) -> None:
    """Do an operation to the attributes and properties of an image."""
    if verb != "add" and name not in image:
        raise errors.Conflict(f"Property {name} does not exist.")
    if verb == "remove":
        del image[name]
    else:
        image[name] = value
