"""Lists: filters by any attribute, chosen fields, order and pages."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.network.checks import Wrong, boolean, shown

CONTROLS = {"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"}
SINCE = "changed_since"
FIXED = {"subnet_id", "ip_address", "ip_address_substr"}
"""What `fixed_ips` may ask of an address, as in fixed_ips=ip_address=192.0.2.7."""
TAGGED: Mapping[str, Callable[[set[str], set[str]], bool]] = {
    "tags": lambda asked, have: asked <= have,
    "tags-any": lambda asked, have: bool(asked & have),
    "not-tags": lambda asked, have: not asked <= have,
    "not-tags-any": lambda asked, have: not asked & have,
}
MOST = 10000

View = dict[str, Any]


def wanted(query: Any) -> dict[str, list[str]]:
    """Read the filters of a query, with all values of each."""
    found: dict[str, list[str]] = {}
    for key, value in query.items():
        if "\0" in value or "\0" in key:
            raise _bad("A query parameter contains a character that is not text.")
        if key not in CONTROLS:
            found.setdefault("project_id" if key == "tenant_id" else key, []).append(value)
    return found


def check(filters: Mapping[str, Sequence[str]], known: frozenset[str], flags: frozenset[str], *, tagged: bool) -> None:
    """Refuse filters that nothing could obey, before anything is read and whether or not anything would be found.

    `known` names the attributes that a list shows, `flags` those that are true or false.
    Raises BadRequest with the filter's name.
    """
    for key, values in filters.items():
        if key == SINCE:
            _moment(values[-1])
        elif key in flags:
            for value in values:
                _flag(key, value)
        elif key == "fixed_ips":
            for value in values:
                if value.partition("=")[0] not in FIXED or "=" not in value:
                    raise _bad(f"fixed_ips={shown(value)} is not NAME=VALUE with a name of {', '.join(sorted(FIXED))}")
        elif key in TAGGED and tagged:
            continue
        if key not in known and key != SINCE:
            raise _bad(f"[{shown(key)}] is invalid attribute for filtering")


def passing(views: Sequence[View], filters: Mapping[str, Sequence[str]]) -> list[View]:
    """Keep what has one of the asked values for every filter; the filters have passed `check`."""
    return [view for view in views if all(_has(view, key, values) for key, values in filters.items())]


def _has(view: View, key: str, values: Sequence[str]) -> bool:
    if key in TAGGED:
        asked = {tag for value in values for tag in value.split(",")}
        return TAGGED[key](asked, set(view.get("tags") or ()))
    if key == SINCE:
        return datetime.fromisoformat(view["updated_at"]) >= _moment(values[-1])
    value = view.get(key)
    if key == "fixed_ips":
        return _has_address(value or (), values)
    if isinstance(value, bool):
        return value in [_flag(key, one) for one in values]
    if isinstance(value, list):
        return any(one in value for one in values)
    return ("" if value is None else str(value)) in values


def _has_address(fixed: Sequence[Mapping[str, str]], asked: Sequence[str]) -> bool:
    """Say whether one address meets all that is asked: values of one name are alternatives, names add up."""
    wanted: dict[str, list[str]] = {}
    for one in asked:
        name, _, value = one.partition("=")
        wanted.setdefault(name, []).append(value)
    substrings = wanted.pop("ip_address_substr", None)
    return any(
        all(address[name] in values for name, values in wanted.items())
        and (substrings is None or any(part in address["ip_address"] for part in substrings))
        for address in fixed
    )


def _flag(key: str, value: str) -> bool:
    try:
        return bool(boolean(value))
    except Wrong as error:
        raise _bad(f"Invalid input for {key}. Reason: {error}") from error


def _moment(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise _bad(f"{SINCE} must be a time such as 2030-01-31T12:00:00Z, and not {shown(text)}") from error
    return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)


def page(request: web.Request, views: list[View], known: frozenset[str]) -> tuple[list[View], list[dict[str, str]]]:
    """Sort, cut to the asked page, and give the links to the pages beside it."""
    query = request.query
    keys, directions = query.getall("sort_key", []), query.getall("sort_dir", [])
    if len(directions) > len(keys) or any(one not in ("asc", "desc") for one in directions):
        raise _bad("The number of sort_keys and sort_dirs must be same, and each sort_dir asc or desc.")
    pairs = list(zip(keys, [*directions, *["asc"] * (len(keys) - len(directions))], strict=True))
    for key, direction in reversed(pairs):
        if key not in known:
            raise _bad(f"[{shown(key)}] is invalid attribute for sort_keys")
        views.sort(key=lambda view: _rank(view.get(key)), reverse=direction == "desc")
    limit = _limit(query.get("limit"))
    start, stop = 0, len(views)
    back = _flag("page_reverse", query.get("page_reverse", "false"))
    if marker := query.get("marker"):
        place = next((index for index, view in enumerate(views) if view["id"] == marker), None)
        if place is None:
            raise _bad(f"Marker {shown(marker)} could not be found.")
        start, stop = (0, place) if back else (place + 1, stop)
    if limit and stop - start > limit:
        start, stop = (stop - limit, stop) if back else (start, start + limit)
    chosen = views[start:stop]
    links = []
    if limit and chosen:
        if stop < len(views):
            links.append({"rel": "next", "href": _href(request, chosen[-1]["id"])})
        if start > 0:
            links.append({"rel": "previous", "href": _href(request, chosen[0]["id"], page_reverse="True")})
    return chosen, links


def _rank(value: Any) -> tuple[bool, str | float]:
    if isinstance(value, bool | int):
        return True, f"{int(value):020d}"
    return value is not None, "" if value is None else str(value)


def _limit(asked: str | None) -> int:
    if asked is None:
        return MOST
    if not asked.isascii() or not asked.isdigit() or len(asked) > 9:
        raise _bad(f"Limit must be an integer 0 or greater and not {shown(asked)}")
    return min(int(asked), MOST) or MOST


def _href(request: web.Request, marker: str, **more: str) -> str:
    query = [(key, value) for key, value in request.query.items() if key not in ("marker", "page_reverse")]
    return str(request.url.with_query([*query, ("marker", marker), *more.items()]))


def with_fields(view: View, fields: Sequence[str]) -> View:
    """Keep the chosen attributes; all when none was chosen."""
    return {key: value for key, value in view.items() if key in fields} if fields else view


def _bad(sentence: str) -> errors.BadRequest:
    return errors.BadRequest(sentence, kind="HTTPBadRequest")
