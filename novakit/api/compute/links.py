"""Links in answers, and paging: how many, from where, and where the next page is."""

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote, urlencode

from novakit.api.compute.domain import Compute
from novakit.api.queries import number
from novakit.api.service import Call

MAX_LIMIT = 1000
"""The most things one page of a list holds."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
Link = dict[str, str]


def root_url(call: Call[Compute]) -> str:
    """Return the URL under which this service is mounted, as the caller reached it, without a slash at the end."""
    request = call.request
    return _root(request.scheme, request.host, request.rel_url.raw_path)


@lru_cache(maxsize=256)
def _root(scheme: str, host: str, path: str) -> str:
    """Cut the version and what is below it off; kept, as each line of a list asks for it twice."""
    version = re.search(r"/v2(\.1)?(?=/|$)", path)
    return f"{scheme}://{host}{path[: version.start()] if version else path.rstrip('/')}"


def _quoted(name: str) -> str:
    """Quote what a path does not take as it is; most names are ids, which it does."""
    return name if _PLAIN(name) else quote(name, safe="")


def links(call: Call[Compute], collection: str, name: str) -> list[Link]:
    """Link to one thing, with and without the version."""
    root, place = root_url(call), f"{collection}/{_quoted(name)}"
    return [{"rel": "self", "href": f"{root}/v2.1/{place}"}, {"rel": "bookmark", "href": f"{root}/{place}"}]


def bookmark(call: Call[Compute], collection: str, name: str) -> list[Link]:
    """Link to one thing without the version, as clients keep it."""
    return [{"rel": "bookmark", "href": f"{root_url(call)}/{collection}/{_quoted(name)}"}]


def limit_and_marker(call: Call[Compute]) -> tuple[int, str | None]:
    """Read the paging parameters. Raises BadRequest for a limit that is no count."""
    return min(number(call.query, "limit", MAX_LIMIT), MAX_LIMIT), call.query.get("marker")


def next_page(call: Call[Compute], place: str, names: Sequence[str]) -> list[Link]:
    """Link to the page behind this one; empty when this one is not full."""
    limit, _ = limit_and_marker(call)
    if not limit or len(names) < limit:
        return []
    pairs = [(key, value) for key, value in call.request.query.items() if key != "marker"]
    query = urlencode([*pairs, ("marker", names[-1])])
    return [{"rel": "next", "href": f"{root_url(call)}/v2.1/{place}?{query}"}]
