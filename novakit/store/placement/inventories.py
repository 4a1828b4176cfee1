"""Inventories: how much of each resource class a provider holds."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import attrs
import sqlalchemy as sa

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement import changes, names
from novakit.store.placement.tables import InventoryRow, inventories

IN_USE = "placement.inventory.inuse"
CONCURRENT_UPDATE = "placement.concurrent_update"


@attrs.frozen(kw_only=True)
class StatedInventory:
    """One inventory as a client states it."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = 0x7FFFFFFF
    step_size: int = 1
    allocation_ratio: float = 1.0
    said: frozenset[str] = frozenset()
    """Which of these the client named, rather than leaving them to what they are by default."""


T = TypeVar("T")
POLICY = ("reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")
"""What an operator may set of an inventory that a host reports; how much there is in all, the host knows."""


def values(stock: Any, *, max_unit: int) -> dict[str, Any]:
    """Make the columns of a stated inventory, with the capacity that follows from them."""
    return {
        "total": stock.total,
        "reserved": stock.reserved,
        "min_unit": stock.min_unit,
        "max_unit": max_unit,
        "step_size": stock.step_size,
        "allocation_ratio": stock.allocation_ratio,
        "capacity": capacity(stock.total, stock.reserved, stock.allocation_ratio),
    }


def capacity(total: int, reserved: int, ratio: float) -> int:
    """Return how much can be allocated, in whole units; very large ratios end at what the database can count."""
    return int(min(max((total - reserved) * ratio, 0), 2**62))


async def of_provider(session: Session, provider_id: str) -> list[InventoryRow]:
    """List the inventories of one provider."""
    statement = sa.select(inventories).where(inventories.c.provider_id == provider_id)
    return await session.all(statement.order_by(inventories.c.resource_class), of=InventoryRow)


async def replace(session: Session, provider_id: str, wanted: Mapping[str, StatedInventory]) -> None:
    """Let a provider hold exactly what is wanted; the caller has locked the provider.

    Raises Conflict when something would vanish of which somebody holds a part, BadRequest for unknown classes.
    """
    await _check_classes(session, provider_id, wanted)
    old = {row["resource_class"]: row for row in await of_provider(session, provider_id)}
    gone = old.keys() - wanted.keys()
    await _remove(session, provider_id, {name: old[name] for name in gone})
    await _put(session, provider_id, wanted, old)
    await changes.touch(session, [provider_id])


async def add(session: Session, provider_id: str, wanted: Mapping[str, StatedInventory]) -> None:
    """Let a provider hold what is wanted beside what it holds of other classes; the caller has locked it."""
    if wanted:
        await _check_classes(session, provider_id, wanted)
        old = {row["resource_class"]: row for row in await of_provider(session, provider_id)}
        await _put(session, provider_id, wanted, old)
        await changes.touch(session, [provider_id])


async def _check_classes(session: Session, provider_id: str, wanted: Mapping[str, StatedInventory]) -> None:
    unknown = await names.unknown_classes(session, wanted)
    if unknown:
        raise errors.BadRequest(
            f"Unknown resource class in inventory for resource provider {provider_id}: "
            f"No such resource class {', '.join(sorted(unknown))}."
        )


async def _remove(session: Session, provider_id: str, gone: Mapping[str, InventoryRow]) -> None:
    held = sorted((name for name, row in gone.items() if row["used"]), key=names.rank)
    if held:
        raise errors.Conflict(
            f"update conflict: Inventory for '{', '.join(held)}' on resource provider '{provider_id}' in use.",
            kind=IN_USE,
        )
    if gone:
        chosen = (inventories.c.provider_id == provider_id, inventories.c.resource_class.in_(sorted(gone)))
        await session.execute(sa.delete(inventories).where(*chosen))


async def _put(
    session: Session, provider_id: str, wanted: Mapping[str, StatedInventory], old: Mapping[str, InventoryRow]
) -> None:
    if not wanted:
        return
    now = world.now()
    rows = [
        {
            "provider_id": provider_id,
            "resource_class": name,
            **values(stock, max_unit=stock.max_unit),
            "used": 0,
            "by_host": False,
            "restated": True,
            **_sides(stock, old.get(name)),
            "updated_at": now,
        }
        for name, stock in wanted.items()
    ]
    upsert = session.insert(inventories)
    # `used` is not among them: a claim may have been counted since, and it is claims alone that change it.
    keys = (*values(StatedInventory(total=1), max_unit=1), "reported", "stated", "restated", "updated_at")
    statement = upsert.on_conflict_do_update(
        index_elements=["provider_id", "resource_class"], set_={key: upsert.excluded[key] for key in keys}
    )
    await session.execute(statement, rows)


def _sides(stock: StatedInventory, old: InventoryRow | None) -> dict[str, object]:
    """Return what the host says from what the client named and means otherwise; a reservation is the operator's word.

    A row of before there were words has what the host said in its columns.
    """
    reported: Mapping[str, object] | None = None
    if old is not None and old["by_host"]:
        columns: Mapping[str, object] = old
        reported = old["reported"] or {name: columns[name] for name in ("total", *POLICY)}
    named = {name: getattr(stock, name) for name in POLICY if name in stock.said}
    return {"reported": reported, "stated": differing(named, reported or {}) or None}


def differing(stated: Mapping[str, T], reported: Mapping[str, object]) -> dict[str, T]:
    """Leave what an operator states otherwise than the host reports it."""
    return {name: value for name, value in stated.items() if name not in reported or reported[name] != value}


async def create(session: Session, provider_id: str, name: str, stock: StatedInventory) -> None:
    """Add one inventory; raise `BadRequest` for an unknown class, `Conflict` when the provider has one already."""
    unknown = await names.unknown_classes(session, [name])
    if unknown:
        raise errors.BadRequest(
            f"Unable to create inventory for resource provider {provider_id}: No such resource class {name}."
        )
    old = {row["resource_class"]: row for row in await of_provider(session, provider_id)}
    if name in old:
        raise errors.Conflict(
            f"Update conflict: resource provider {provider_id} has an inventory of {name} already; update that one.",
            kind=CONCURRENT_UPDATE,
        )
    await _put(session, provider_id, {name: stock}, old)
    await changes.touch(session, [provider_id])


async def update(session: Session, provider_id: str, name: str, stock: StatedInventory) -> None:
    """Change one inventory; raise `NotFound` for an unknown class, `BadRequest` when the provider has none of it."""
    if await names.unknown_classes(session, [name]):
        raise errors.NotFound(f"No such resource class {name}.")
    old = {row["resource_class"]: row for row in await of_provider(session, provider_id)}
    if name not in old:
        raise errors.BadRequest(
            f"No inventory record with resource class for resource provider {provider_id}: "
            f"No inventory of class {name} found."
        )
    await _put(session, provider_id, {name: stock}, old)
    await changes.touch(session, [provider_id])


async def delete(session: Session, provider_id: str, name: str) -> None:
    """Remove one inventory. Raises NotFound when there is none, Conflict while some of it is allocated."""
    old = {row["resource_class"]: row for row in await of_provider(session, provider_id)}
    if name not in old:
        raise errors.NotFound(
            f"No inventory of class {name} found for delete: No inventory of class {name} found for delete"
        )
    if old[name]["used"]:
        raise errors.Conflict(
            f"Unable to delete inventory of class {name}: Inventory for '{name}' on resource provider "
            f"'{provider_id}' in use.",
            kind=CONCURRENT_UPDATE,
        )
    await _remove(session, provider_id, {name: old[name]})
    await changes.touch(session, [provider_id])


def refuse_without_capacity(
    provider_id: str, stocks: Sequence[tuple[str, StatedInventory]], *, may_reserve_all: bool, doing: str = "update"
) -> None:
    """Raise `BadRequest` for an inventory of which nothing could ever be allocated.

    Reserving all of it is allowed where `may_reserve_all`, reserving more than there is never.
    """
    for name, stock in stocks:
        rest = int((stock.total - stock.reserved) * stock.allocation_ratio)
        if rest < 0 or (rest == 0 and not may_reserve_all):
            than = "greater than total" if may_reserve_all else "greater than or equal to total"
            raise errors.BadRequest(
                f"Unable to {doing} inventory for resource provider {provider_id}: Invalid inventory for '{name}' on "
                f"resource provider '{provider_id}'. The reserved value is {than}."
            )
