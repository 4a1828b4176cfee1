"""NUMA cells of the hosts in the table: what is free of them, and giving it to guests."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from novakit.scheduler.table import HostTable
from novakit.store import Session, numa
from novakit_hookspecs.affinity import DeviceWish, devices, fit_near
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell, NumaHost, NumaWish, Taken, fit, wish
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.scheduling import Ask


@attrs.frozen
class Wish:
    """What a request wants of cells, and the devices that are to be near them."""

    cells: NumaWish
    devices: DeviceWish | None = None


def wanted(ask: Ask) -> Wish | None:
    """Say what a request wants of cells; what cannot exist was refused by the filter before."""
    if not any(name.startswith("hw:") for name in ask.extra_specs) and not (ask.image and ask.image.properties):
        return None
    try:
        properties = ask.image.properties if ask.image else {}
        one = wish(ask.vcpus, ask.memory_mb, ask.extra_specs, properties)
        return Wish(one, devices(ask.extra_specs, properties)) if one is not None else None
    except ValueError:
        return None


def planned(host: NumaHost | None, pools: Sequence[PciPool] | None, one: Wish) -> tuple[Taken, ...] | None:
    """Choose cells of a host, near its devices where devices are wanted; None where none fit."""
    if host is None:
        return None
    return fit(host, one.cells) if one.devices is None else fit_near(host, pools or (), one.cells, one.devices)


def host_of(plain: Sequence[Mapping[str, Any]]) -> NumaHost | None:
    """Read the cells that an agent reported; None where it reported none, or nothing that can be understood."""
    try:
        cells = tuple(to_record(dict(cell), NumaCell) for cell in plain)
    except (TypeError, ValueError):
        return None
    return NumaHost(cells=cells) if cells else None


def pools_of(plain: Sequence[Mapping[str, Any]]) -> tuple[PciPool, ...]:
    """Read the devices that an agent reported; none where they cannot be understood."""
    try:
        return tuple(to_record(dict(pool), PciPool) for pool in plain)
    except (TypeError, ValueError):
        return ()


def with_taken(host: NumaHost, held: Mapping[str, Sequence[Any]]) -> NumaHost:
    """Give the host with what servers hold of it."""
    taken = tuple(to_record(dict(one), Taken) for plan in held.values() for one in plan)
    return NumaHost(cells=host.cells, taken=taken)


def take(table: HostTable, row: int, ask: Ask) -> None:
    """Count in the table what a server is about to be given."""
    one, host = wanted(ask), table.column("numa")[row]
    if one is not None and (plan := planned(host, table.column("pci")[row], one)) is not None:
        table.put(row, numa=NumaHost(cells=host.cells, taken=(*host.taken, *plan)))


async def give(
    session: Session, table: HostTable, wishes: Sequence[tuple[str, int, Wish]]
) -> tuple[dict[str, list[Any]], set[str]]:
    """Give servers their cells inside the claim's transaction; tell the plans, and whom nothing fits any more.

    The claim before it has locked the hosts' providers, so nobody else gives of the same cells meanwhile.
    """
    providers = {table.providers[row] for _, row, _ in wishes}
    held = await numa.held(session, providers)
    plans: dict[str, list[Any]] = {}
    rows = []
    for server, row, one in wishes:
        provider, host = table.providers[row], table.column("numa")[row]
        here = held.setdefault(provider, {})
        here.pop(server, None)
        plan = planned(with_taken(host, here) if host is not None else None, table.column("pci")[row], one)
        if plan is not None:
            plans[server] = here[server] = to_plain(plan)
            rows.append({"server_id": server, "provider_id": provider, "taken": plans[server]})
    await numa.put(session, rows)
    return plans, {server for server, _, _ in wishes if server not in plans}
