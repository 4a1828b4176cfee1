"""Lists of images: filters, order and pages, as the query says."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

from multidict import MultiMapping

from novakit import errors
from novakit.api import ids
from novakit.api.documents import Document
from novakit.api.image import schemas
from novakit.api.queries import LARGEST_COLUMN, choice, moment, number, order, strict_boolean
from novakit.api.service import Call
from novakit.image import Images
from novakit.image.records import HASH_ALGORITHM
from novakit.image.service import OPERATORS, SORTABLE, WantedImages, sees_all

DEFAULT_LIMIT = 25
"""As Glance (limit_param_default); clients ask for further pages by `next`."""
MAX_LIMIT = 1000
"""As Glance (api_limit_max)."""
_COLUMNS = ("name", "status", "container_format", "disk_format", "owner", "checksum", "os_hash_value")
_SIZES = ("size", "virtual_size")
"""Numbers of any length that a query takes."""
_NUMBERS = ("min_ram", "min_disk", *_SIZES)
_FLAGS = {"protected": False, "os_hidden": False}
_ELSEWHERE = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "id", "tag"})
_ELSEWHERE |= {"size_min", "size_max", "os_hash_algo", "created_at", "updated_at"}
_SEVERAL = frozenset({"tag", "created_at", "updated_at", "sort_key", "sort_dir"})
"""What may be said more than once."""


async def wanted(call: Call[Images]) -> WantedImages:
    """Read what a list is to hold. Raises BadRequest for a filter that says nothing."""
    query = call.request.query
    if "changes-since" in query:
        raise errors.BadRequest("Version 2 has no filter changes-since; ask for updated_at=gte:TIME.")
    if twice := [name for name in query if name not in _SEVERAL and len(query.getall(name)) > 1]:
        raise errors.BadRequest(
            f"{twice[0][:80]!r} was given more than once; give it once, as in:A,B to ask for either."
        )
    context = call.context
    marker = None
    if "marker" in query:
        try:
            marker = await call.service.visible(context, ids.kept(query["marker"]))
        except errors.NotFound as error:
            raise errors.BadRequest(f"The marker {query['marker'][:64]} is not an image that you can see.") from error
    return WantedImages(
        project_id=context.project_id,
        everything=sees_all(context),
        visibility=choice(query, "visibility", (*schemas.VISIBILITIES, "all")),
        member_status=choice(query, "member_status", (*schemas.MEMBER_STATUSES, "all")) or "accepted",
        ids=_ids(query),
        hashed="os_hash_algo" in query,
        equal=_equal(query),
        properties=_properties(query),
        tags=query.getall("tag", []),
        size_min=number(query, "size_min"),
        size_max=number(query, "size_max"),
        moments=_moments(query),
        order=_order(call),
        limit=min(number(query, "limit", DEFAULT_LIMIT), MAX_LIMIT),
        marker=marker,
    )


def page(call: Call[Images], wanted: WantedImages, images: Sequence[Mapping[str, object]]) -> Document:
    """Write one page with the way to the first and the next."""
    others = [(name, value) for name, value in call.request.query.items() if name != "marker"]
    said: Document = {"images": images, "schema": "/v2/schemas/images", "first": _link(others)}
    if images and len(images) == wanted.limit:
        said["next"] = _link([*others, ("marker", str(images[-1]["id"]))])
    return said


def _link(query: Sequence[tuple[str, str]]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def _values(said: str) -> list[str]:
    """Read a value, or with `in:` several that are separated by commas and may be in quotes.

    Raises BadRequest for a quote without an end.
    """
    if not said.startswith("in:"):
        return [said]
    if said.count('"') % 2:
        raise errors.BadRequest(f"A quote in {said[:80]!r} is not closed; close it.")
    parts = re.findall(r'"([^"]*)"|([^,"]+)', said[3:])
    return [quoted or plain for quoted, plain in parts]


def _ids(query: Mapping[str, str]) -> list[str] | None:
    """Read which ids are asked for; none has a hash of another algorithm than this service's one."""
    if "os_hash_algo" in query and HASH_ALGORITHM not in _values(query["os_hash_algo"]):
        return []
    return [one.lower() for one in _values(query["id"])] if "id" in query else None


def _equal(query: Mapping[str, str]) -> dict[str, Sequence[object]]:
    equal: dict[str, Sequence[object]] = {name: _values(query[name]) for name in _COLUMNS if name in query}
    if "owner" in query:
        equal["owner"] = [ids.kept(one) for one in _values(query["owner"])]
    asked = {name: number(query, name, 0) for name in _NUMBERS if name in query}
    equal |= {name: [amount] if amount <= LARGEST_COLUMN or name in _SIZES else [] for name, amount in asked.items()}
    for name in _FLAGS:
        if name in query:
            equal[name] = [strict_boolean(query[name], name)]
    equal.setdefault("os_hidden", [False])
    return equal


def _moments(query: MultiMapping[str]) -> list[tuple[str, str, datetime]]:
    """Read created_at and updated_at, each a time with or without gt:, gte:, lt:, lte:, eq: or neq: before it."""
    found = []
    for name in ("created_at", "updated_at"):
        for said in query.getall(name, []):
            operator, colon, rest = said.partition(":")
            operator, text = (operator, rest) if colon and operator in OPERATORS else ("eq", said)
            complaint = (
                f"{name} takes a time, or an operator ({', '.join(OPERATORS)}), a colon and a time; {said[:64]!r} is "
                "neither."
            )
            found.append((name, operator, moment(text, complaint)))
    return found


def _properties(query: Mapping[str, str]) -> dict[str, str]:
    """Everything that is no attribute of an image is a property of it."""
    known = {*_COLUMNS, *_NUMBERS, *_FLAGS, *_ELSEWHERE}
    said = {name: value for name, value in query.items() if name not in known}
    for name in said:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,255}", name):
            raise errors.BadRequest(
                f"Images cannot be filtered by {name[:80]!r}: names of properties have letters, digits and _.:- only."
            )
    return said


def _order(call: Call[Images]) -> list[tuple[str, bool]]:
    query = call.request.query
    if "sort" in query:
        if {"sort_key", "sort_dir"} & set(query):
            raise errors.BadRequest("sort cannot be used together with sort_key or sort_dir; leave one of them out.")
        pairs = [part.partition(":") for part in query["sort"].split(",")]
        keys, ways = [key.strip() for key, _, _ in pairs], [way.strip() or "desc" for _, _, way in pairs]
    else:
        keys, ways = query.getall("sort_key", ["created_at"]), query.getall("sort_dir", ["desc"])
    if len(ways) > len(keys):
        raise errors.BadRequest("The number of sort dirs does not match the number of sort keys.")
    return order(keys, ways, SORTABLE, ways[-1])
