"""Compute hosts as provider trees: what their agents report, without losing what operators set.

The idea: a host is a root provider, each of its PCI devices a provider below it with one unit of the class of its kind.
A report says what shall be; rows remember what the host reported and what an operator stated, and of what differs only
the difference is written.
The invariant: what somebody holds is never taken away: an inventory that the host no longer reports is reserved in full
until it is free, and a device is not offered by a new kind while its former one is held. Providers are locked before
stock is read, in the order in which claims lock them. What an operator set counts instead of what the host says.
The cost: four statements for a report of 100 hosts that says nothing new, and 7 ms; up to nine and 35 ms where they
come with four devices each for the first time. Long batches go in portions of `PORTION` providers.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa
import structlog

from novakit import errors, world
from novakit.store.engine import Session
from novakit.store.placement import changes, names, resource_providers
from novakit.store.placement.inventories import POLICY, StatedInventory, differing
from novakit.store.placement.inventories import values as inventory_values
from novakit.store.placement.tables import InventoryRow, ProviderRow, inventories, provider_aggregates, provider_traits
from novakit.store.placement.tables import providers as provider_rows
from novakit_hookspecs.hosts import Inventory, PciDevice

log = structlog.get_logger(__name__)

MAX_AMOUNT = 0x7FFFFFFF
"""The largest amount that Placement's API and its 32-bit columns take."""
PORTION = 5000
"""Providers that are compared at once; SQLite takes 32,766 parameters in a statement."""


@attrs.frozen(kw_only=True)
class HostReport:
    """What one host has to offer."""

    provider_id: str
    name: str
    inventory: Mapping[str, Inventory]
    traits: frozenset[str]
    pci: Sequence[PciDevice] = ()

    def offers(self) -> set[tuple[str, str]]:
        """Return provider and class of each inventory, those of its PCI devices among them."""
        own = {(self.provider_id, name) for name in _offered(self.inventory)}
        return own | {(device_id(self.provider_id, device.address), device.resource_class) for device in self.pci}


def device_id(host: str, address: str) -> str:
    """Return the id of the provider of a PCI device, from the id of its host's provider and its address."""
    return str(uuid.uuid5(uuid.UUID(host), address))


@attrs.frozen(kw_only=True)
class _ReportedProvider:
    """What one provider is to be by the report of its host."""

    id: str
    name: str
    host: str
    """The id of the host's own provider, which may be this one."""
    inventory: Mapping[str, Inventory] = attrs.field(factory=dict)
    traits: frozenset[str] = frozenset()
    is_gone: bool = False
    """Whether it is a device that the host no longer reports."""

    @property
    def is_device(self) -> bool:
        return self.id != self.host


@attrs.define
class _Writes:
    """The rows a batch of reports adds, changes and removes."""

    providers: list[dict[str, Any]] = attrs.field(factory=list)
    inventories: list[dict[str, Any]] = attrs.field(factory=list)
    traits: list[dict[str, object]] = attrs.field(factory=list)
    dropped_inventories: list[tuple[str, str]] = attrs.field(factory=list)
    dropped_traits: list[tuple[str, str]] = attrs.field(factory=list)
    renamed: list[tuple[str, str]] = attrs.field(factory=list)
    emptied: list[str] = attrs.field(factory=list)
    """Devices that are gone and hold nothing any more, as far as inventories and traits tell."""
    touched: set[str] = attrs.field(factory=set)


async def report(session: Session, reports: Sequence[HostReport]) -> set[str]:
    """Make the providers of hosts and of their devices equal to what the hosts report.

    Returns the ids of those changed.
    Inventories and traits that an operator added stay, and keep the provider of a device that is gone.
    So does what an operator set of an inventory that the host reports: it counts instead of what the host says.
    What a host no longer reports is removed, or withdrawn (reserved in full) while somebody still holds some of it or
    an operator's word on it is to be kept.
    Raises Conflict when another provider has a name, BadRequest for a class or trait that no standard knows.
    """
    touched: set[str] = set()
    for some in _portions(reports):
        touched |= await _report(session, some)
    return touched


async def stale(session: Session, reports: Mapping[str, HostReport]) -> set[str]:
    """Return the hosts, by the ids of their providers, that are to be compared again with what they reported before.

    An operator wrote or deleted an inventory of theirs or took a trait from them, or nobody holds any more what they
    have no longer.
    """
    ids = sorted(reports)
    if not ids:
        return set()
    stock, c = inventories.c, provider_rows.c
    is_kept = stock.stated.is_not(sa.null())
    statement = (
        sa.select(c.id, c.parent_id, stock.resource_class, stock.used, stock.restated, is_kept)
        .join(inventories, stock.provider_id == c.id)
        .where(sa.or_(c.id.in_(ids), c.parent_id.in_(ids)), stock.by_host)
    )
    found: set[str] = set()
    missing = {host: one.offers() for host, one in reports.items()}
    for provider, parent, resource_class, used, restated, kept in await session.tuples(statement):
        host = provider if provider in reports else parent
        place = (provider, resource_class)
        if place in missing[host]:
            missing[host].remove(place)
        elif used and provider != host:
            # Not to be offered by its new kind as long as it is held by the former.
            missing[host] = {each for each in missing[host] if each[0] != provider}
        elif not used and not kept:
            found.add(host)
        if restated:
            found.add(host)
    had = await _traits(session, ids)
    found |= {host for host, one in reports.items() if not one.traits <= had.get(host, {}).keys()}
    return found | {host for host, places in missing.items() if places}


def _portions(reports: Sequence[HostReport]) -> Iterator[list[HostReport]]:
    some: list[HostReport] = []
    size = 0
    for one in reports:
        if some and size + 1 + len(one.pci) > PORTION:
            yield some
            some, size = [], 0
        some.append(one)
        size += 1 + len(one.pci)
    if some:
        yield some


async def _report(session: Session, reports: Sequence[HostReport]) -> set[str]:
    hosts = {one.provider_id: one for one in reports}
    ids = sorted(hosts)
    c = provider_rows.c
    # Locked before inventories are read, in the order that claims lock in: otherwise a claim that commits between the
    # two could hold what is removed below.
    rows = await session.lock(
        sa.select(provider_rows).where(sa.or_(c.id.in_(ids), c.parent_id.in_(ids))).order_by(c.id), of=ProviderRow
    )
    known = {row["id"]: row for row in rows}
    wanted = {each.id: each for one in hosts.values() for each in _providers_of(one)}
    wanted |= {row["id"]: _gone(row) for row in rows if row["id"] not in wanted and _is_device(row)}
    there = sorted(wanted.keys() & known.keys())
    stock = await _stock(session, there) if there else {}
    traits = await _traits(session, there) if there else {}
    await _check_names(session, wanted, known)
    await names.ensure_classes(session, {name for one in wanted.values() for name in one.inventory})
    await names.ensure_traits(session, {name for one in wanted.values() for name in one.traits})
    writes = _Writes()
    for one in wanted.values():
        _compare_provider(one, known, writes)
        _compare_inventory(one, stock.get(one.id, {}), writes)
        _compare_traits(one, traits.get(one.id, {}), writes)
        if one.is_gone and _is_emptied(stock.get(one.id, {}), traits.get(one.id, {})):
            writes.emptied.append(one.id)
    await _write(session, writes)
    return writes.touched | {row["id"] for row in writes.providers}


def _providers_of(one: HostReport) -> Iterator[_ReportedProvider]:
    """Yield the host first: providers are made in this order, and a device hangs below its host."""
    host = one.provider_id
    yield _ReportedProvider(id=host, name=one.name, host=host, inventory=one.inventory, traits=one.traits)
    for device in one.pci:
        yield _ReportedProvider(
            id=device_id(host, device.address),
            name=f"{one.name}_{device.address}",
            host=host,
            inventory={device.resource_class: Inventory(total=1, reserved=int(device.is_withheld))},
            traits=device.traits,
        )


def _is_device(row: ProviderRow) -> bool:
    """Tell the providers that reports made below a host from those that operators put there."""
    address = row["name"].rpartition("_")[2]
    return row["parent_id"] is not None and row["id"] == device_id(row["parent_id"], address)


def _gone(row: ProviderRow) -> _ReportedProvider:
    return _ReportedProvider(id=row["id"], name=row["name"], host=row["parent_id"] or row["id"], is_gone=True)


def _is_emptied(stock: Mapping[str, InventoryRow], traits: Mapping[str, bool]) -> bool:
    """Return whether nothing is left of a device that is gone: neither what somebody holds nor what an operator set."""
    return all(traits.values()) and all(
        row["by_host"] and not row["used"] and not row["stated"] for row in stock.values()
    )


async def _stock(session: Session, ids: Sequence[str]) -> dict[str, dict[str, InventoryRow]]:
    found: dict[str, dict[str, InventoryRow]] = {}
    for row in await session.all(sa.select(inventories).where(inventories.c.provider_id.in_(ids)), of=InventoryRow):
        found.setdefault(row["provider_id"], {})[row["resource_class"]] = row
    return found


async def _traits(session: Session, ids: Sequence[str]) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    statement = sa.select(provider_traits).where(provider_traits.c.provider_id.in_(ids))
    rows = await session.rows(statement)
    for provider, trait, by_host in rows:
        found.setdefault(provider, {})[trait] = by_host
    return found


async def _check_names(
    session: Session, wanted: Mapping[str, _ReportedProvider], known: Mapping[str, ProviderRow]
) -> None:
    fresh = {one.name: id for id, one in wanted.items() if id not in known or known[id]["name"] != one.name}
    if not fresh:
        return
    c = provider_rows.c
    for id, name in await session.rows(sa.select(c.id, c.name).where(c.name.in_(list(fresh)))):
        if id != fresh[name]:
            raise errors.Conflict(
                f"Resource provider {id} is already named {name}; rename or delete it first.",
                kind="placement.duplicate_name",
            )


def _compare_provider(one: _ReportedProvider, known: Mapping[str, ProviderRow], writes: _Writes) -> None:
    row = known.get(one.id)
    if row is None:
        now, host = world.now(), known.get(one.host)
        fresh = {"id": one.id, "name": one.name, "generation": 1, "created_at": now, "updated_at": now}
        root = host["root_id"] if host else one.host
        writes.providers.append({**fresh, "root_id": root, "parent_id": one.host if one.is_device else None})
    elif row["name"] != one.name:
        writes.renamed.append((one.id, one.name))
        writes.touched.add(one.id)


def _offered(inventory: Mapping[str, Inventory]) -> dict[str, Inventory]:
    return {name: given for name, given in inventory.items() if 1 <= given.total <= MAX_AMOUNT}


def _inventory_row(provider_id: str, name: str, given: Inventory, old: InventoryRow | None) -> dict[str, object]:
    reported = {part: getattr(given, part) for part in ("total", *POLICY)}
    if given.max_unit is None:
        reported["max_unit"] = given.total
    stated = (old["stated"] if old else None) or {}
    if old is not None and not old["by_host"]:
        stated = differing(stated, reported)
    stock = StatedInventory(**{**reported, **stated})
    return {
        "provider_id": provider_id,
        "resource_class": name,
        **inventory_values(stock, max_unit=stock.max_unit),
        "by_host": True,
        "reported": reported,
        "stated": stated or None,
        "restated": False,
        "updated_at": world.now(),
    }


_UNSEEN = frozenset({"reported", "stated", "restated", "updated_at"})
"""What may change without a change of what there is."""


def _compare_inventory(one: _ReportedProvider, rows: Mapping[str, InventoryRow], writes: _Writes) -> None:
    offered = _offered(one.inventory)
    # A device that somebody holds by its former kind is not offered by its new one: it would be given twice.
    is_held = any(row["used"] for name, row in rows.items() if name not in offered)
    for name, given in offered.items() if not (one.is_device and is_held) else ():
        old = rows.get(name)
        row = _inventory_row(one.id, name, given, old)
        columns: Mapping[str, object] | None = old
        new = {key for key, value in row.items() if key != "updated_at" and (columns is None or columns[key] != value)}
        if new:
            writes.inventories.append({**row, "used": old["used"] if old else 0})
        if new - _UNSEEN:
            writes.touched.add(one.id)
        if "reported" in new and row["stated"]:
            told = {"resource_class": name, "reported": row["reported"], "stated": row["stated"]}
            log.info("an operator's setting counts instead of the host's", provider=one.name, **told)
    for name, old in rows.items():
        if name in offered or not old["by_host"]:
            continue
        if old["used"] == 0 and not old["stated"]:
            writes.dropped_inventories.append((one.id, name))
            writes.touched.add(one.id)
        elif old["capacity"] != 0 or old["restated"]:
            gone = {"reserved": old["total"], "capacity": 0, "restated": False, "updated_at": world.now()}
            writes.inventories.append({**old, **gone})
            writes.touched.add(one.id)


def _compare_traits(one: _ReportedProvider, rows: Mapping[str, bool], writes: _Writes) -> None:
    for trait in one.traits - rows.keys():
        writes.traits.append({"provider_id": one.id, "trait": trait, "by_host": True})
        writes.touched.add(one.id)
    for trait, by_host in rows.items():
        if by_host and trait not in one.traits:
            writes.dropped_traits.append((one.id, trait))
            writes.touched.add(one.id)


async def _write(session: Session, writes: _Writes) -> None:
    c = provider_rows.c
    if writes.providers:
        number = changes.number(session)
        made = [row["id"] for row in writes.providers]
        insert = session.insert(provider_rows).on_conflict_do_nothing(index_elements=["id"])
        await session.execute(insert, [{**row, "changed": 0} for row in writes.providers])
        await session.execute(sa.update(provider_rows).where(c.id.in_(made)).values(changed=number))
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
        await session.execute(sa.update(provider_rows).where(c.id == provider_id).values(name=name))
    removed = await _removable(session, writes.emptied)
    if removed:
        await resource_providers.remove(session, removed)
    fresh = {row["id"] for row in writes.providers}
    await changes.touch(session, writes.touched.difference(fresh, removed))


async def _removable(session: Session, ids: Sequence[str]) -> list[str]:
    """Leave out what an operator put into an aggregate, or hung other providers below."""
    if not ids:
        return []
    parent, member = provider_rows.c.parent_id, provider_aggregates.c.provider_id
    kept = {
        *await session.scalars(sa.select(parent).where(parent.in_(ids))),
        *await session.scalars(sa.select(member).where(member.in_(ids))),
    }
    return [id for id in ids if id not in kept]
