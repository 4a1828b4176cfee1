"""Resource classes: the kinds of things that can be counted; the standard ones are code, the custom ones rows."""

from datetime import datetime

import sqlalchemy as sa

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement import changes, names
from novakit.store.placement.tables import allocations, custom_resource_classes, inventories


async def every(session: Session) -> list[tuple[str, datetime]]:
    """List all classes with the time of their last change, standard ones first."""
    table = custom_resource_classes
    custom = await session.rows(sa.select(table.c.name, table.c.updated_at).order_by(table.c.name))
    now = world.now()
    return [(name, now) for name in names.STANDARD_CLASSES] + [(name, changed) for name, changed in custom]


async def changed_at(session: Session, name: str) -> datetime:
    """Return when a class changed last. Raises NotFound for what is no class."""
    if name in names.STANDARD_CLASSES:
        return world.now()
    table = custom_resource_classes
    found: datetime | None = await session.scalar(sa.select(table.c.updated_at).where(table.c.name == name))
    if found is None:
        raise errors.NotFound(f"No such resource class {name}.")
    return found


async def ensure(session: Session, name: str) -> bool:
    """Make a custom class exist. Returns whether it is new."""
    row = {"name": name, "updated_at": world.now()}
    return bool(await session.changed(session.insert(custom_resource_classes).values(row).on_conflict_do_nothing()))


async def create(session: Session, name: str) -> None:
    """Make a custom class; raise `Conflict` when it exists."""
    if name in names.STANDARD_CLASSES or not await ensure(session, name):
        raise errors.Conflict(f"Conflicting resource class already exists: {name}")


async def rename(session: Session, old: str, new: str) -> None:
    """Give a custom class another name, in inventories and allocations too.

    Raises NotFound, BadRequest for a standard class, Conflict when the new name is taken.
    """
    await changed_at(session, old)
    if old in names.STANDARD_CLASSES:
        raise errors.BadRequest(f"Cannot update standard resource class {old}")
    if old == new:
        return
    if not await ensure(session, new):
        raise errors.Conflict(f"Resource class already exists: {new}")
    holders = await session.scalars(sa.select(inventories.c.provider_id).where(inventories.c.resource_class == old))
    for table in (inventories, allocations):
        await session.execute(sa.update(table).where(table.c.resource_class == old).values(resource_class=new))
    await session.execute(sa.delete(custom_resource_classes).where(custom_resource_classes.c.name == old))
    await changes.touch(session, holders)


async def delete(session: Session, name: str) -> None:
    """Remove a custom class; raise `NotFound`, `BadRequest` for a standard one, `Conflict` while it is in use."""
    await changed_at(session, name)
    if name in names.STANDARD_CLASSES:
        raise errors.BadRequest(
            f"Error in delete resource class: Cannot delete standard resource class {name}.",
        )
    if await session.scalar(sa.select(inventories.c.provider_id).where(inventories.c.resource_class == name).limit(1)):
        raise errors.Conflict(
            f"Error in delete resource class: Cannot delete resource class {name}. Class is in use in inventory."
        )
    await session.execute(sa.delete(custom_resource_classes).where(custom_resource_classes.c.name == name))
