"""Traits: what a provider is, beside how much it holds."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

import sqlalchemy as sa

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement import changes, names
from novakit.store.placement.tables import custom_traits, provider_traits


class TraitName(TypedDict):
    """The name of a custom trait."""

    name: str


async def every(
    session: Session, *, within: Iterable[str] | None = None, prefix: str = "", associated: bool | None = None
) -> list[str]:
    """List trait names, sorted: among `within`, beginning with `prefix`, borne by a provider or by none."""
    found = set(names.STANDARD_TRAITS) | set(await session.scalars(sa.select(custom_traits.c.name)))
    if within is not None:
        found &= set(within)
    if prefix:
        found = {name for name in found if name.startswith(prefix)}
    if associated is not None:
        borne = set(await session.scalars(sa.select(provider_traits.c.trait).distinct()))
        found = found & borne if associated else found - borne
    return sorted(found)


async def since(session: Session, name: str) -> datetime | None:
    """Return when a custom trait was made, the present for a standard one, None for what is no trait."""
    if name in names.STANDARD_TRAITS:
        return world.now()
    made: datetime | None = await session.scalar(
        sa.select(custom_traits.c.updated_at).where(custom_traits.c.name == name)
    )
    return made


async def ensure(session: Session, name: str) -> bool:
    """Make a custom trait exist. Returns whether it is new."""
    row = {"name": name, "updated_at": world.now()}
    return bool(await session.changed(session.insert(custom_traits).values(row).on_conflict_do_nothing()))


async def delete(session: Session, name: str) -> None:
    """Remove a custom trait.

    Raises NotFound, BadRequest for a standard one, Conflict while a provider bears it.
    """
    if name in names.STANDARD_TRAITS:
        raise errors.BadRequest(f"Cannot delete standard trait {name}.")
    if not await session.lock(sa.select(custom_traits.c.name).where(custom_traits.c.name == name), of=TraitName):
        raise errors.NotFound(f"No such trait(s): {name}.")
    if await session.scalar(sa.select(provider_traits.c.trait).where(provider_traits.c.trait == name).limit(1)):
        raise errors.Conflict(f"The trait {name} is in use by a resource provider.")
    await session.execute(sa.delete(custom_traits).where(custom_traits.c.name == name))


async def of_provider(session: Session, provider_id: str) -> list[str]:
    """List the traits of one provider, sorted."""
    chosen = sa.select(provider_traits.c.trait).where(provider_traits.c.provider_id == provider_id)
    return await session.scalars(chosen.order_by(provider_traits.c.trait))


async def replace(session: Session, provider_id: str, wanted: Iterable[str]) -> None:
    """Let a provider bear exactly these traits; the caller has locked the provider.

    Raises BadRequest for names that are no trait.
    """
    new, old = set(wanted), set(await of_provider(session, provider_id))
    await _check(session, new)
    if new == old:
        return
    gone = sorted(old - new)
    if gone:
        chosen = (provider_traits.c.provider_id == provider_id, provider_traits.c.trait.in_(gone))
        await session.execute(sa.delete(provider_traits).where(*chosen))
    rows = [{"provider_id": provider_id, "trait": name, "by_host": False} for name in sorted(new - old)]
    if rows:
        await session.execute(sa.insert(provider_traits), rows)
    await changes.touch(session, [provider_id])


async def _check(session: Session, wanted: set[str]) -> None:
    custom = sorted(wanted - names.STANDARD_TRAITS)
    known: set[str] = set()
    if custom:
        rows = sa.select(custom_traits.c.name).where(custom_traits.c.name.in_(custom)).order_by(custom_traits.c.name)
        known = {row["name"] for row in await session.lock(rows, of=TraitName)}
    unknown = sorted(set(custom) - known)
    if unknown:
        raise errors.BadRequest(f"No such trait {', '.join(unknown)}")
