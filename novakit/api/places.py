"""Where a route is found: under its own path, and under those that older clients and catalogs know."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from novakit import errors
from novakit.api import ids

if TYPE_CHECKING:
    from aiohttp.web_urldispatcher import _InfoDict
    from yarl import URL

PROJECT = "{project_of_path:[0-9A-Fa-f-]{32,36}}"
"""A project's id where it may stand in a path."""
_PROJECT_NAMED = "{project_of_path}"


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


class LatePath(web.Resource):
    """A path with names in it, whose pattern is made once somebody asks for something like it.

    aiohttp compiles a pattern where its path is added, and again where the prefix of the service is put before it: for
    the 361 paths of all services that was 30 ms of each start.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._written = self._path = path
        self._pattern: web.DynamicResource | None = None

    @staticmethod
    def suits(path: str) -> bool:
        """Say whether a path has names in it, and none with a pattern of its own but the project's."""
        rest = path.replace(PROJECT, _PROJECT_NAMED)
        return "{" in rest and ":" not in rest

    @property
    def canonical(self) -> str:
        return self._path.replace(PROJECT, _PROJECT_NAMED)

    def add_prefix(self, prefix: str) -> None:
        self._path, self._pattern = prefix + self._path, None

    def raw_match(self, path: str) -> bool:
        return self._written == path

    def url_for(self, **parts: str) -> "URL":
        return self._made().url_for(**parts)

    def get_info(self) -> "_InfoDict":
        return self._made().get_info()

    def _match(self, path: str) -> dict[str, str] | None:
        return self._made()._match(path)

    def _made(self) -> web.DynamicResource:
        if self._pattern is None:
            self._pattern = web.DynamicResource(self._path)
        return self._pattern


def require_own_project(request: web.Request, project_id: str | None) -> None:
    """Refuse a path in which another project stands than the token's. Raises BadRequest."""
    named = request.match_info.get("project_of_path")
    if named is not None and ids.kept(named) != project_id:
        raise errors.BadRequest(
            f"Malformed request URL: URL's project_id '{named}' doesn't match Context's project_id '{project_id}'"
        )
