"""Compute hosts as root providers: what their agents report, without losing what operators set."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from novakit import errors, world
from novakit.store.engine import Row, Session
from novakit.store.placement import changes, names, usages
from novakit.store.placement.inventories import values as inventory_values
from novakit.store.placement.tables import inventories, provider_traits, providers
from novakit_hookspecs.hosts import Inventory

MAX_AMOUNT = 0x7FFFFFFF


@attrs.frozen(kw_only=True)
class HostReport:
    """What one host has to offer."""

    provider_id: str
    name: str
    inventory: Mapping[str, Inventory]
    traits: frozenset[str]


@attrs.define
class _Writes:
    """The rows a batch of reports adds, changes and removes."""

    providers: list[dict[str, Any]] = attrs.field(factory=list)
    inventories: list[dict[str, Any]] = attrs.field(factory=list)
    traits: list[dict[str, Any]] = attrs.field(factory=list)
    dropped_inventories: list[tuple[str, str]] = attrs.field(factory=list)
    dropped_traits: list[tuple[str, str]] = attrs.field(factory=list)
    renamed: list[tuple[str, str]] = attrs.field(factory=list)
    touched: set[str] = attrs.field(factory=set)


async def report(session: Session, reports: Sequence[HostReport]) -> set[str]:
    """Make the root providers equal to what their hosts report; give the ids of those that changed.

    Inventories and traits that an operator added stay.
    What a host no longer reports is removed, or withdrawn (reserved in full) while somebody still holds some of it.
    Raises `Conflict` when another provider has the name, `BadRequest` for a class or trait that no standard knows.
    """
    wanted = {one.provider_id: one for one in reports}
    ids = sorted(wanted)
    rows = await session.lock(sa.select(providers).where(providers.c.id.in_(ids)).order_by(providers.c.id))
    known = {row["id"]: row for row in rows}
    stock = await usages.inventories_of(session, ids) if known else {}
    traits = await _traits(session, ids) if known else {}
    await _check_names(session, wanted, known)
    await names.ensure_classes(session, {name for one in reports for name in one.inventory})
    await names.ensure_traits(session, {name for one in reports for name in one.traits})
    writes = _Writes()
    for one in wanted.values():
        _compare_provider(one, known.get(one.provider_id), writes)
        _compare_inventory(one, stock.get(one.provider_id, {}), writes)
        _compare_traits(one, traits.get(one.provider_id, {}), writes)
    await _write(session, writes)
    return writes.touched | {row["id"] for row in writes.providers}


async def _traits(session: Session, ids: Iterable[str]) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    statement = sa.select(provider_traits).where(provider_traits.c.provider_id.in_(list(ids)))
    rows: Sequence[Any] = (await session.execute(statement)).all()
    for provider, trait, by_host in rows:
        found.setdefault(provider, {})[trait] = by_host
    return found


async def _check_names(session: Session, wanted: Mapping[str, HostReport], known: Mapping[str, Row]) -> None:
    fresh = {one.name: id for id, one in wanted.items() if id not in known or known[id]["name"] != one.name}
    if not fresh:
        return
    taken = await session.all(sa.select(providers.c.id, providers.c.name).where(providers.c.name.in_(list(fresh))))
    for row in taken:
        if row["id"] != fresh[row["name"]]:
            raise errors.Conflict(
                f"Resource provider {row['id']} is already named {row['name']}; rename or delete it first.",
                kind="placement.duplicate_name",
            )


def _compare_provider(one: HostReport, row: Row | None, writes: _Writes) -> None:
    now = world.now()
    if row is None:
        fresh = {"id": one.provider_id, "name": one.name, "generation": 1, "root_id": one.provider_id}
        writes.providers.append({**fresh, "parent_id": None, "created_at": now, "updated_at": now})
    elif row["name"] != one.name:
        writes.renamed.append((one.provider_id, one.name))
        writes.touched.add(one.provider_id)


def _inventory_row(provider_id: str, name: str, given: Inventory) -> dict[str, Any]:
    stated = inventory_values(given, max_unit=given.total if given.max_unit is None else given.max_unit)
    return {
        "provider_id": provider_id,
        "resource_class": name,
        **stated,
        "by_host": True,
        "updated_at": world.now(),
    }


def _compare_inventory(one: HostReport, rows: Mapping[str, Row], writes: _Writes) -> None:
    for name, given in one.inventory.items():
        if given.total < 1 or given.total > MAX_AMOUNT:
            continue
        row = _inventory_row(one.provider_id, name, given)
        old = rows.get(name)
        if old is None or any(old[key] != value for key, value in row.items() if key != "updated_at"):
            writes.inventories.append({**row, "used": old["used"] if old else 0})
            writes.touched.add(one.provider_id)
    for name, old in rows.items():
        still = name in one.inventory and 1 <= one.inventory[name].total <= MAX_AMOUNT
        if still or not old["by_host"]:
            continue
        if old["used"] == 0:
            writes.dropped_inventories.append((one.provider_id, name))
            writes.touched.add(one.provider_id)
        elif old["capacity"] != 0:
            withdrawn = {**old, "reserved": old["total"], "capacity": 0, "updated_at": world.now()}
            writes.inventories.append(withdrawn)
            writes.touched.add(one.provider_id)


def _compare_traits(one: HostReport, rows: Mapping[str, bool], writes: _Writes) -> None:
    for trait in one.traits - rows.keys():
        writes.traits.append({"provider_id": one.provider_id, "trait": trait, "by_host": True})
        writes.touched.add(one.provider_id)
    for trait, by_host in rows.items():
        if by_host and trait not in one.traits:
            writes.dropped_traits.append((one.provider_id, trait))
            writes.touched.add(one.provider_id)


async def _write(session: Session, writes: _Writes) -> None:
    if writes.providers:
        number = changes.number(session)
        made = [row["id"] for row in writes.providers]
        insert = session.insert(providers).on_conflict_do_nothing(index_elements=["id"])
        await session.execute(insert, [{**row, "changed": 0} for row in writes.providers])
        await session.execute(sa.update(providers).where(providers.c.id.in_(made)).values(changed=number))
    if writes.dropped_inventories:
        gone = sa.tuple_(inventories.c.provider_id, inventories.c.resource_class).in_(writes.dropped_inventories)
        await session.execute(sa.delete(inventories).where(gone))
    if writes.inventories:
        upsert = session.insert(inventories)
        new = {
            name: upsert.excluded[name]
            for name in writes.inventories[0]
            if name not in ("provider_id", "resource_class", "used")
        }
        statement = upsert.on_conflict_do_update(index_elements=["provider_id", "resource_class"], set_=new)
        await session.execute(statement, writes.inventories)
    if writes.dropped_traits:
        gone = sa.tuple_(provider_traits.c.provider_id, provider_traits.c.trait).in_(writes.dropped_traits)
        await session.execute(sa.delete(provider_traits).where(gone))
    if writes.traits:
        await session.execute(session.insert(provider_traits).on_conflict_do_nothing(), writes.traits)
    for provider_id, name in writes.renamed:
        await session.execute(sa.update(providers).where(providers.c.id == provider_id).values(name=name))
    fresh = {row["id"] for row in writes.providers}
    await changes.touch(session, writes.touched - fresh)
