"""Flavors: what sizes of servers there are, and which projects may use the private ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata

flavors = sa.Table(
    "flavors",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("id", sa.String(255), nullable=False, unique=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("ram", sa.Integer, nullable=False),
    sa.Column("disk", sa.Integer, nullable=False),
    sa.Column("ephemeral", sa.Integer, nullable=False, default=0),
    sa.Column("swap", sa.Integer, nullable=False, default=0),
    sa.Column("rxtx_factor", sa.Float, nullable=False, default=1.0),
    sa.Column("is_public", sa.Boolean, nullable=False, default=True),
    sa.Column("disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("description", sa.Text),
    sa.Column("extra_specs", sa.JSON, nullable=False, default=dict),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC),
)
"""`ram` and `swap` are in MiB, `disk` and `ephemeral` in GiB; `id` is what clients call it, any short text."""


class FlavorRow(TypedDict):
    """A row of `flavors`."""

    number: int
    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: int
    swap: int
    rxtx_factor: float
    is_public: bool
    disabled: bool
    description: str | None
    extra_specs: Mapping[str, str]
    created_at: datetime
    updated_at: datetime | None


access = sa.Table(
    "flavor_access",
    metadata,
    sa.Column("flavor_id", sa.String(255), sa.ForeignKey("flavors.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("project_id", sa.String(255), primary_key=True),
)


def visible_to(project_id: str | None) -> sa.ColumnElement[bool]:
    """Tell apart what a project may use: public flavors and those it was given access to."""
    granted = sa.select(access.c.flavor_id).where(access.c.project_id == (project_id or ""))
    return sa.or_(flavors.c.is_public, flavors.c.id.in_(granted))


def at_least(size: sa.Column[int], wanted: int) -> sa.ColumnElement[bool]:
    """Tell apart the flavors of at least this size; the size wanted may be larger than the column can hold."""
    return size >= sa.literal(wanted, sa.BigInteger)


ENABLED = flavors.c.disabled.is_(False)
PRIVATE = flavors.c.is_public.is_(False)

_USABLE = sa.select(flavors).where(
    flavors.c.id == sa.bindparam("key"),
    sa.or_(
        flavors.c.is_public,
        flavors.c.id.in_(sa.select(access.c.flavor_id).where(access.c.project_id == sa.bindparam("project"))),
    ),
)


async def usable(session: Session, flavor_id: str, project_id: str) -> FlavorRow | None:
    """Fetch one flavor by id, if a project may use it."""
    return await session.first(_USABLE, {"key": flavor_id, "project": project_id}, of=FlavorRow)


async def flavor(session: Session, flavor_id: str, *conditions: sa.ColumnElement[bool]) -> FlavorRow | None:
    """Fetch one flavor by id, if it meets the conditions."""
    return await session.first(sa.select(flavors).where(flavors.c.id == flavor_id, *conditions), of=FlavorRow)


async def taken(session: Session, flavor_id: str, name: str) -> FlavorRow | None:
    """Fetch a flavor that has this id or this name."""
    return await session.first(
        sa.select(flavors).where(sa.or_(flavors.c.id == flavor_id, flavors.c.name == name)), of=FlavorRow
    )


async def page(
    session: Session, conditions: Sequence[sa.ColumnElement[bool]], order: sa.Column[object], down: bool
) -> list[FlavorRow]:
    """Fetch the flavors that meet the conditions, in order; ties by age."""
    columns = (order.desc(), flavors.c.number.desc()) if down else (order.asc(), flavors.c.number.asc())
    return await session.all(sa.select(flavors).where(*conditions).order_by(*columns), of=FlavorRow)


async def add(session: Session, row: Mapping[str, object]) -> None:
    """Insert a flavor."""
    await session.execute(sa.insert(flavors), [{"extra_specs": {}, "created_at": world.now(), **row}])


async def change(session: Session, flavor_id: str, **values: object) -> bool:
    """Set columns of a flavor. Returns whether there is one."""
    statement = sa.update(flavors).where(flavors.c.id == flavor_id).values(updated_at=world.now(), **values)
    return await session.changed(statement) > 0


async def locked(session: Session, flavor_id: str) -> FlavorRow | None:
    """Fetch a flavor and keep other writers off it until the end of the transaction."""
    found = await session.lock(sa.select(flavors).where(flavors.c.id == flavor_id), of=FlavorRow)
    return found[0] if found else None


async def remove(session: Session, flavor_id: str) -> bool:
    """Delete a flavor; servers keep their copy of it. Tell whether there was one."""
    return await session.changed(sa.delete(flavors).where(flavors.c.id == flavor_id)) > 0


async def projects_of(session: Session, flavor_id: str) -> list[str]:
    """List the projects that were given access."""
    statement = sa.select(access.c.project_id).where(access.c.flavor_id == flavor_id).order_by(access.c.project_id)
    return await session.scalars(statement)


async def grant(session: Session, flavor_id: str, project_id: str) -> bool:
    """Let a project use a private flavor. Returns False when it could already."""
    statement = session.insert(access).values(flavor_id=flavor_id, project_id=project_id).on_conflict_do_nothing()
    return await session.changed(statement) > 0


async def revoke(session: Session, flavor_id: str, project_id: str) -> bool:
    """Take access away; False when there was none."""
    statement = sa.delete(access).where(access.c.flavor_id == flavor_id, access.c.project_id == project_id)
    return await session.changed(statement) > 0
