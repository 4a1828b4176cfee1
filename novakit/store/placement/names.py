"""Resource classes and traits: the standard sets in code, the custom ones in the store."""

from collections.abc import Iterable

import os_resource_classes
import os_traits
import sqlalchemy as sa

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement.tables import custom_resource_classes, custom_traits

STANDARD_CLASSES: tuple[str, ...] = tuple(os_resource_classes.STANDARDS)
STANDARD_TRAITS: frozenset[str] = frozenset(os_traits.get_traits())
_CLASSES = frozenset(STANDARD_CLASSES)
CUSTOM = "CUSTOM_"


def rank(name: str) -> tuple[int, str]:
    """Order resource classes as the standard does, custom ones last."""
    return (STANDARD_CLASSES.index(name) if name in _CLASSES else len(STANDARD_CLASSES), name)


async def unknown_classes(session: Session, wanted: Iterable[str]) -> set[str]:
    """Return which names are no resource class."""
    return await _unknown(session, custom_resource_classes, set(wanted) - _CLASSES)


async def unknown_traits(session: Session, wanted: Iterable[str]) -> set[str]:
    """Return which names are no trait."""
    return await _unknown(session, custom_traits, set(wanted) - STANDARD_TRAITS)


async def ensure_classes(session: Session, wanted: Iterable[str]) -> None:
    """Make custom resource classes exist; raise `BadRequest` for a name that no standard knows."""
    await _ensure(session, custom_resource_classes, await unknown_classes(session, wanted), "resource class")


async def ensure_traits(session: Session, wanted: Iterable[str]) -> None:
    """Make custom traits exist; raise `BadRequest` for a name that no standard knows."""
    await _ensure(session, custom_traits, await unknown_traits(session, wanted), "trait")


async def _unknown(session: Session, table: sa.Table, rest: set[str]) -> set[str]:
    if not rest:
        return rest
    known = await session.scalars(sa.select(table.c.name).where(table.c.name.in_(sorted(rest))))
    return rest - set(known)


async def _ensure(session: Session, table: sa.Table, missing: set[str], what: str) -> None:
    wrong = sorted(name for name in missing if not name.startswith(CUSTOM))
    if wrong:
        raise errors.BadRequest(f"There is no {what} {', '.join(wrong)}; custom ones begin with {CUSTOM}.")
    if missing:
        rows = [{"name": name, "updated_at": world.now()} for name in sorted(missing)]
        await session.execute(session.insert(table).on_conflict_do_nothing(), rows)
