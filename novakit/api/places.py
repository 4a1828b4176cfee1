"""Where a route is found: under its own path, and under those that older clients and catalogs know."""

from collections.abc import Iterator, Sequence

from aiohttp import web

from novakit import errors
from novakit.api import ids

PROJECT = "{project_of_path:[0-9A-Fa-f-]{32,36}}"
"""A project's id where it may stand in a path."""


def places(
    path: str, first_version_at: tuple[str, str] | None, project_below: Sequence[str]
) -> Iterator[tuple[str, bool]]:
    """Yield the paths of a route, each with whether it answers at the first version there.

    `first_version_at` is the old prefix and the one that it stands for; below those of `project_below` the caller's
    project may stand before the rest.
    """
    found = {path: False}
    old, current = first_version_at or ("", path)
    if path != current and path.startswith(f"{current}/"):
        found[old + path.removeprefix(current)] = True
    for prefix in project_below:
        below = {place: first for place, first in found.items() if place.startswith(f"{prefix}/") and place[-1] != "/"}
        found |= {f"{prefix}/{PROJECT}{place.removeprefix(prefix)}": first for place, first in below.items()}
    yield from found.items()


def require_own_project(request: web.Request, project_id: str | None) -> None:
    """Refuse a path in which another project stands than the token's. Raises BadRequest."""
    named = request.match_info.get("project_of_path")
    if named is not None and ids.kept(named) != project_id:
        raise errors.BadRequest(
            f"Malformed request URL: URL's project_id '{named}' doesn't match Context's project_id '{project_id}'"
        )
