"""The identity that the database, the state directory and every host of a deployment share.

A service on a database that was lost, mixed up or restored must not remove the guests of its hosts as leftovers, so
each of the three says which deployment it is of, and a process that finds two stops.
The database has a row, the state directory and each host's own directory a file; all hold the same id.
The row is made first and the file after it: where the file is there and the row is not, the database is a new one
beside an older directory.
"""

import asyncio
from pathlib import Path

import structlog

from novakit import world
from novakit.errors import ConfigError
from novakit.identities import NAME, read, take
from novakit.store import Session, Store
from novakit.store import deployment as rows
from novakit.store.deployment import Deployment

log = structlog.get_logger(__name__)


async def establish(store: Store, state: Path) -> Deployment:
    """Make the database and the state directory one deployment, or return which they are already.

    Raises ConfigError where they are of two.
    """
    own = await asyncio.to_thread(read, state)
    async with store.write() as session:
        found = await rows.recorded(session) or await _begin(session, own)
    if own is None:
        await asyncio.to_thread(take, state, found.id)
    else:
        _require_same(found, own, state)
    return found


async def check(store: Store, state: Path) -> None:
    """Compare the database with the state directory, for a role that may write neither. Raises ConfigError."""
    own = await asyncio.to_thread(read, state)
    async with store.read() as session:
        found = await rows.recorded(session)
    if own is not None and found is not None:
        _require_same(found, own, state)


async def _begin(session: Session, own: str | None) -> Deployment:
    used = await rows.is_used(session)
    if own is not None and not used:
        log.warning(
            "the database is empty and its state directory is not: every guest on the hosts is a stranger to it",
            deployment=own,
            see="novakit guest list",
        )
    return await rows.begin(session, own or world.new_id(), "upgrade" if used else "directory" if own else "new")


def _require_same(found: Deployment, own: str, state: Path) -> None:
    if found.id != own:
        raise ConfigError(
            f"The database is of deployment {found.id} and the state directory {state} is of deployment {own}: a"
            " service started so would not know the guests of its hosts. Set `database` in novakit.toml to the right"
            f" one, or choose another --state. If they do belong together, remove {state / NAME} and start again."
        )
