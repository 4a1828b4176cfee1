"""Lists: filters by any attribute, chosen fields, order and pages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Generic, TypeVar, overload

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids, queries
from novakit.api.network.bodies.attributes import bad
from novakit.api.network.bodies.kinds import shown
from novakit.api.network.bodies.spellings import spelt
from novakit.api.network.resources import ShownResource, moment

D = TypeVar("D")
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
"""Things in one answer where a client names no limit, or a larger one."""


def wanted(query: Mapping[str, str]) -> dict[str, list[str]]:
    """Read the filters of a query, with all values of each, as they are shown."""
    found: dict[str, list[str]] = {}
    for key, value in query.items():
        if "\0" in value or "\0" in key:
            raise bad("A query parameter contains a character that is not text.")
        if key not in CONTROLS:
            found.setdefault("project_id" if key == "tenant_id" else key, []).extend(spelt(key, value))
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
                    raise bad(f"fixed_ips={shown(value)} is not NAME=VALUE with a name of {', '.join(sorted(FIXED))}")
        elif key in TAGGED and tagged:
            continue
        if key not in known and key != SINCE:
            raise bad(f"[{shown(key)}] is invalid attribute for filtering")


@attrs.frozen
class Views(Sequence[ShownResource], Generic[D]):
    """What clients see of things, made of each when it is asked for and kept nowhere: lists have thousands."""

    found: Sequence[D]
    show: Callable[[D], ShownResource]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[ShownResource]:
        return map(self.show, self.found)

    @overload
    def __getitem__(self, place: int) -> ShownResource: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ShownResource]: ...
    def __getitem__(self, place: int | slice) -> ShownResource | Sequence[ShownResource]:
        """Show one, or those between two places."""
        return Views(self.found[place], self.show) if isinstance(place, slice) else self.show(self.found[place])


def passing(views: Sequence[ShownResource], filters: Mapping[str, Sequence[str]]) -> Sequence[ShownResource]:
    """Keep what has one of the asked values for every filter; the filters have passed `check`."""
    if not filters:
        return views
    return [view for view in views if all(_has(view, key, values) for key, values in filters.items())]


def _has(view: ShownResource, key: str, values: Sequence[str]) -> bool:
    if key == SINCE:
        return queries.moment(str(_text(view["updated_at"])), SINCE) >= _moment(values[-1])
    value = _text(view.get("tags" if key in TAGGED else key))
    several = value if isinstance(value, list) else []
    if key in TAGGED:
        asked = {tag for value in values for tag in value.split(",")}
        return TAGGED[key](asked, set(several))
    if key == "fixed_ips":
        return _has_address(several, values)
    if isinstance(value, bool):
        return value in [_flag(key, one) for one in values]
    if isinstance(value, list):
        return any(one in value for one in values)
    return ("" if value is None else str(value)) in values


def _has_address(fixed: Sequence[Mapping[str, str]], asked: Sequence[str]) -> bool:
    """Return whether one address meets all that is asked: values of one name are alternatives, names add up."""
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


@contextmanager
def _words() -> Iterator[None]:
    """Say what the common reader of queries refuses as this service's clients match on it."""
    try:
        yield
    except errors.BadRequest as error:
        raise bad(error.message) from error


def _flag(key: str, value: str) -> bool:
    with _words():
        return queries.strict_boolean(value, key)


def _moment(text: str) -> datetime:
    with _words():
        return queries.moment(text, f"{SINCE} {shown(text)} is not a time such as 2030-01-31T12:00:00Z.")


def page(
    request: web.Request, views: Sequence[ShownResource], known: frozenset[str]
) -> tuple[Sequence[ShownResource], list[dict[str, str]]]:
    """Sort, cut to the asked page, and give the links to the pages beside it."""
    query = request.query
    keys, directions = query.getall("sort_key", []), query.getall("sort_dir", [])
    if len(directions) > len(keys) or any(one not in ("asc", "desc") for one in directions):
        raise bad("The number of sort_keys and sort_dirs must be same, and each sort_dir asc or desc.")
    pairs = list(zip(keys, [*directions, *["asc"] * (len(keys) - len(directions))], strict=True))
    for key, direction in reversed(pairs):
        if key not in known:
            raise bad(f"[{shown(key)}] is invalid attribute for sort_keys")
        views = sorted(views, key=_ranked_by(key), reverse=direction == "desc")
    limit = _limit(query)
    start, stop = 0, len(views)
    back = _flag("page_reverse", query.get("page_reverse", "false"))
    if marker := query.get("marker"):
        place = next((index for index, view in enumerate(views) if view["id"] == ids.kept(marker)), None)
        if place is None:
            raise bad(f"Marker {shown(marker)} could not be found.")
        start, stop = (0, place) if back else (place + 1, stop)
    if limit and stop - start > limit:
        start, stop = (stop - limit, stop) if back else (start, start + limit)
    chosen = views[start:stop]
    links = []
    if limit and chosen:
        if stop < len(views):
            links.append({"rel": "next", "href": _href(request, str(chosen[-1]["id"]))})
        if start > 0:
            links.append({"rel": "previous", "href": _href(request, str(chosen[0]["id"]), page_reverse="True")})
    return chosen, links


def _text(value: object) -> object:
    """Return a moment as clients see it, and anything else as it is."""
    return moment(value) if isinstance(value, datetime) else value


def _ranked_by(key: str) -> Callable[[ShownResource], tuple[bool, str | float]]:
    return lambda view: _rank(_text(view.get(key)))


def _rank(value: object) -> tuple[bool, str | float]:
    if isinstance(value, bool | int):
        return True, f"{int(value):020d}"
    return value is not None, "" if value is None else str(value)


def _limit(query: Mapping[str, str]) -> int:
    with _words():
        return min(queries.number(query, "limit", MOST) or MOST, MOST)


def _href(request: web.Request, marker: str, **more: str) -> str:
    query = [(key, value) for key, value in request.query.items() if key not in ("marker", "page_reverse")]
    return str(request.url.with_query([*query, ("marker", marker), *more.items()]))


def with_fields(view: ShownResource, fields: Sequence[str]) -> ShownResource:
    """Keep the chosen attributes; all when none was chosen."""
    return {key: value for key, value in view.items() if key in fields} if fields else view
