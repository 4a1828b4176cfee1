"""Which deployment a database is of: one row, made once, shared with the state directory and every host."""

from datetime import datetime
from typing import Literal, TypedDict

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.compute.hosts import hosts
from novakit.store.compute.servers import servers
from novakit.store.engine import Session
from novakit.store.identity.directory import users
from novakit.store.images import images
from novakit.store.schema import UTC, metadata, uuid_column

deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    uuid_column("id", nullable=False),
    sa.Column("secret", sa.String(64), nullable=False),
    sa.Column("origin", sa.String(16), nullable=False),
    sa.Column("begun_at", UTC, nullable=False),
    sa.Column("forgotten_before", UTC),
)
"""The only row has number 1, so that two who make it at once make one.

`secret` seals what hosts keep of guests; it is in the database alone, so a host can invent none, and a database that
was made anew believes none that was written before it.
"""


Origin = Literal["new", "directory", "upgrade"]


class DeploymentRow(TypedDict):
    """A row of `deployments`."""

    number: int
    id: str
    secret: str
    origin: Origin
    begun_at: datetime
    forgotten_before: datetime | None


@attrs.frozen(kw_only=True)
class Deployment:
    """The identity of a deployment, as its database knows it."""

    id: str
    secret: bytes = attrs.field(repr=False)
    origin: Origin
    """new: made with its state directory; directory: an empty database that took the identity of a directory;
    upgrade: of a database that is older than identities."""
    begun_at: datetime
    forgotten_before: datetime | None
    """Servers that were created before this may have been purged: that their id is unknown says nothing."""


async def recorded(session: Session) -> Deployment | None:
    """Fetch the deployment, or None while the database has none."""
    row = await session.first(sa.select(deployments), of=DeploymentRow)
    if row is None:
        return None
    return Deployment(
        id=row["id"],
        secret=bytes.fromhex(row["secret"]),
        origin=row["origin"],
        begun_at=row["begun_at"],
        forgotten_before=row["forgotten_before"],
    )


async def begin(session: Session, id: str, origin: Origin) -> Deployment:
    """Make the row unless it is there; return what is there then."""
    row = {
        "number": 1,
        "id": id,
        "secret": world.chance().randbytes(32).hex(),
        "origin": origin,
        "begun_at": world.now(),
        "forgotten_before": None,
    }
    await session.execute(session.insert(deployments).on_conflict_do_nothing(), [row])
    found = await recorded(session)
    assert found is not None
    return found


async def is_used(session: Session) -> bool:
    """Return whether anything was ever written into the database beside its schema."""
    for table in (users, hosts, servers, images):
        if await session.scalar(sa.select(sa.literal(1)).select_from(table).limit(1)):
            return True
    return False


async def forgot(session: Session, created_at: datetime) -> None:
    """Note that servers created up to a moment were purged: from then on their ids are not known to be unused."""
    c = deployments.c.forgotten_before
    later = sa.or_(c.is_(None), c < created_at)
    await session.execute(sa.update(deployments).where(later).values(forgotten_before=created_at))
