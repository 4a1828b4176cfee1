"""Observers: plugins that are told what happened, after it is true."""

from collections.abc import Mapping

import attrs

from novakit_hookspecs.fields import mapping_field, uuid_field
from novakit_hookspecs.markers import hookspec

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@attrs.frozen(kw_only=True)
class ServerEvent:
    """A server changed; told once the change is committed."""

    server_id: str = uuid_field()
    """Id of the server."""
    project_id: str
    """Id of the project it belongs to."""
    event: str
    """create.start, create.end, create.error, delete.end, power_off.end, ...: the operation and its phase."""
    status: str
    """The server's status after it."""
    host: str | None = None
    """Name of the host it is on; None without one."""
    request_id: str = ""
    """Id of the API request that led to it."""
    details: Mapping[str, object] = mapping_field()
    """What else is known, by name."""


@hookspec
def novakit_on_server(event: ServerEvent) -> None:
    """Hear that a server changed.

    Called in the conductor, after the commit, in order for each server.
    May be `async def`; one that raises or takes longer than a second costs only itself.
    """
