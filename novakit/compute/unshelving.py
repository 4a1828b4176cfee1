"""What a request to unshelve a server means: which image, which host, which zone."""

from typing import Any

import attrs

from novakit import errors
from novakit.compute.states import status_of
from novakit.store import operations
from novakit.store.compute import hosts
from novakit.store.engine import Row, Session

_WITH_SNAPSHOT = ("shelved", "shelved_offloaded")


@attrs.frozen(kw_only=True)
class Place:
    """Where a server is to be unshelved; by default wherever its zone has room."""

    zone: str | None = None
    """The server stays pinned to this zone."""
    unpin: bool = False
    """Whether the server may from now on go to any zone."""
    host: str | None = None


async def snapshot_of(session: Session, row: Row) -> str | None:
    """Name the image that holds, or is to hold, a shelved server's disk; None for a server that has none."""
    shelving = (row["task_state"] or "").startswith("shelving")
    if not shelving and row["vm_state"] not in _WITH_SNAPSHOT:
        return None
    return await operations.last_of(session, row["id"], "shelve")


async def unshelving(session: Session, row: Row, place: Place) -> dict[str, Any]:
    """Give what the operation must know; raise `Conflict` or `BadRequest` for a place that cannot be."""
    stays = row["vm_state"] == "shelved"
    if stays and (place.zone or place.unpin or place.host):
        raise errors.Conflict(
            "Specifying an availability zone or a host when unshelving server "
            f"{row['id']} with status {status_of(row['vm_state'], None)} is not supported. "
            "The server status must be SHELVED_OFFLOADED."
        )
    if place.host and await hosts.show(session, place.host) is None:
        raise errors.BadRequest(f"Compute host {place.host} could not be found.")
    pinned = None if place.unpin else place.zone or row["pinned_availability_zone"]
    return {
        "snapshot": await snapshot_of(session, row),
        "stays": stays,
        "host": row["host"],
        "availability_zone": pinned,
        "forced_host": place.host,
        "excluded": [],
        "tries": 1,
    }
