"""Lists of images: filters, order and pages, as the query says."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from novakit import errors
from novakit.api.image import schemas
from novakit.api.service import Call
from novakit.image import Images
from novakit.image.records import HASH_ALGORITHM
from novakit.image.service import OPERATORS, SORTABLE, Wanted, sees_all

TRUE, FALSE = {"true", "1", "t", "on", "yes", "y"}, {"false", "0", "f", "off", "no", "n"}
DEFAULT_LIMIT = 25
MAX_LIMIT = 1000
_COLUMNS = ("name", "status", "container_format", "disk_format", "owner", "checksum", "os_hash_value")
_NUMBERS = ("min_ram", "min_disk")
_FLAGS = {"protected": False, "os_hidden": False}
_ELSEWHERE = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "id", "tag"})
_ELSEWHERE |= {"size_min", "size_max", "os_hash_algo", "created_at", "updated_at"}


async def wanted(call: Call[Images]) -> Wanted:
    """Read what a list is to hold; raise `BadRequest` for a filter that says nothing."""
    query = call.request.query
    context = call.context
    marker = None
    if "marker" in query:
        try:
            marker = await call.service.visible(context, query["marker"])
        except errors.NotFound as error:
            raise errors.BadRequest(f"The marker {query['marker'][:64]} is no image that you can see.") from error
    return Wanted(
        project_id=context.project_id,
        everything=sees_all(context),
        visibility=_choice(query, "visibility", (*schemas.VISIBILITIES, "all")),
        member_status=_choice(query, "member_status", (*schemas.MEMBER_STATUSES, "all")) or "accepted",
        ids=_ids(query),
        hashed="os_hash_algo" in query,
        equal=_equal(query),
        properties=_properties(query),
        tags=query.getall("tag", []),
        size_min=_number(query, "size_min"),
        size_max=_number(query, "size_max"),
        moments=_moments(query),
        order=_order(call),
        limit=min(_number(query, "limit", DEFAULT_LIMIT) or 0, MAX_LIMIT),
        marker=marker,  # type: ignore[arg-type]
    )


def page(call: Call[Images], wanted: Wanted, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write one page with the way to the first and the next."""
    others = [(name, value) for name, value in call.request.query.items() if name != "marker"]
    said: dict[str, Any] = {"images": images, "schema": "/v2/schemas/images", "first": _link(others)}
    if images and len(images) == wanted.limit:
        said["next"] = _link([*others, ("marker", images[-1]["id"])])
    return said


def _link(query: Sequence[tuple[str, str]]) -> str:
    return f"/v2/images?{urlencode(query)}" if query else "/v2/images"


def _choice(query: Mapping[str, str], name: str, known: Sequence[str]) -> str | None:
    value = query.get(name)
    if value is not None and value not in known:
        raise errors.BadRequest(f"{name} is one of {', '.join(known)}.")
    return value


def _number(query: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    if name not in query:
        return default
    if not re.fullmatch(r"[0-9]{1,18}", query[name]):
        raise errors.BadRequest(f"{name} param must be an integer that is not negative.")
    return int(query[name])


def _values(said: str) -> list[str]:
    """Read a value, or with `in:` several that are separated by commas and may be in quotes."""
    if not said.startswith("in:"):
        return [said]
    parts = re.findall(r'"([^"]*)"|([^,"]+)', said[3:])
    return [quoted or plain for quoted, plain in parts]


def _ids(query: Mapping[str, str]) -> list[str] | None:
    """Read which ids are asked for; none has a hash of another algorithm than this service's one."""
    if "os_hash_algo" in query and HASH_ALGORITHM not in _values(query["os_hash_algo"]):
        return []
    return _values(query["id"]) if "id" in query else None


def _equal(query: Mapping[str, str]) -> dict[str, Sequence[Any]]:
    equal: dict[str, Sequence[Any]] = {name: _values(query[name]) for name in _COLUMNS if name in query}
    equal |= {name: [_number(query, name)] for name in _NUMBERS if name in query}
    for name in _FLAGS:
        if name in query:
            value = query[name].lower()
            if value not in TRUE | FALSE:
                raise errors.BadRequest(f"{name} is true or false.")
            equal[name] = [value in TRUE]
    equal.setdefault("os_hidden", [False])
    return equal


def _moments(query: Any) -> list[tuple[str, str, datetime]]:
    """Read created_at and updated_at, each a time with or without gt:, gte:, lt:, lte:, eq: or neq: before it."""
    found = []
    for name in ("created_at", "updated_at"):
        for said in query.getall(name, []):
            operator, colon, rest = said.partition(":")
            operator, text = (operator, rest) if colon and operator in OPERATORS else ("eq", said)
            try:
                # A plus sign that a client did not encode arrives as a space.
                when = datetime.fromisoformat(text.strip().replace(" 00:00", "+00:00"))
                when = when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
            except (ValueError, OverflowError) as error:
                raise errors.BadRequest(
                    f"{name} takes a time such as 2030-01-31T12:00:00Z, with one of {', '.join(OPERATORS)} and a colon "
                    f"before it where not equality is meant; {said[:64]!r} is none."
                ) from error
            found.append((name, operator, when))
    return found


def _properties(query: Mapping[str, str]) -> dict[str, str]:
    """Everything that is no attribute of an image is a property of it."""
    known = {*_COLUMNS, *_NUMBERS, *_FLAGS, *_ELSEWHERE}
    said = {name: value for name, value in query.items() if name not in known}
    for name in said:
        if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,255}", name):
            raise errors.BadRequest("A list is filtered by properties whose names have letters, digits and _.:- only.")
    return said


def _order(call: Call[Images]) -> list[tuple[str, bool]]:
    query = call.request.query
    if "sort" in query:
        pairs = [part.partition(":") for part in query["sort"].split(",")]
        order = [(key.strip(), way.strip() or "desc") for key, _, way in pairs]
    else:
        keys = query.getall("sort_key", ["created_at"])
        ways = query.getall("sort_dir", ["desc"])
        order = [(key, ways[place] if place < len(ways) else ways[-1]) for place, key in enumerate(keys)]
    for key, way in order:
        if key not in SORTABLE or way not in ("asc", "desc"):
            raise errors.BadRequest(f"Sort by one of {', '.join(SORTABLE)}, each asc or desc.")
    if len(order) > len(SORTABLE):
        raise errors.BadRequest("Sort by each attribute once.")
    return [(key, way == "desc") for key, way in order]
