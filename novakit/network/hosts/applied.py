"""Recording what hosts made of their topologies."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.ports import StoredPort
from novakit.store.network.routers import StoredRouter
from novakit.store.network.rows import StoredResource
from novakit.store.network.topologies.applied import HostState, PortState, WiredPort, set_ports, states
from novakit.store.network.topologies.applied import record as record_revisions
from novakit_hookspecs.networks import Applied

StateChanges = list[dict[str, str | None]]
"""Rows by id, with the status and the fault that are new."""
SERVICE_PORTS = ("network:dhcp", "network:router_interface", "network:router_gateway")


async def record(session: Session, made: Mapping[str, Applied], late: Collection[str] = ()) -> None:
    """Write the states on some hosts that are new; what stays the same is not written.

    Of hosts of which it comes `late`, the revision alone is written where they are to have a later one by now: what has
    changed since, such as a floating IP that leads elsewhere, is not well before they were told of it.
    """
    # Where all is well, nothing is said of ports that were well before; a host has thousands of those.
    settled = any(each.faults for each in made.values())
    revisions = {host: each.revision for host, each in made.items()}
    found = await states(session, revisions, SERVICE_PORTS, settled=settled)
    guests: list[tuple[str, PortState]] = []
    changes: StateChanges = []
    for host, state in found.items():
        # Another conductor has recorded what the host made of a later one.
        if state.applied > revisions[host] or (host in late and state.wanted > revisions[host]):
            continue
        guests += [(host, port) for port in _of_guests(state.ports, made[host])]
        if state.is_gateway:
            around = await _around(session, made[host]) if made[host].faults else _well_around(state)
            changes += around[StoredPort]
            for kind in (StoredRouter, StoredFloatingIp):
                await rows.change_many(session, kind, around[kind])
    await set_ports(session, guests)
    await rows.change_many(session, StoredPort, changes)
    await record_revisions(session, {host: revisions[host] for host in found})


def _of_guests(ports: Iterable[WiredPort], applied: Applied) -> Iterator[PortState]:
    for port in ports:
        fault = applied.faults.get(port.id) or applied.faults.get(port.network_id)
        if not fault and port.id not in applied.vifs:
            continue
        status = "ACTIVE" if port.admin_state_up and not fault else "DOWN"
        if (port.status, port.fault) != (status, fault):
            yield PortState(port.id, status, fault)


class _HasState(Protocol):
    """A row with a status and why it is not as it should be."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def fault(self) -> str | None: ...


def _differs(row: _HasState, status: str, fault: str | None) -> StateChanges:
    if (row.status, row.fault) == (status, fault):
        return []
    return [{"id": row.id, "status": status, "fault": fault}]


SurroundingChanges = Mapping[type[StoredResource], StateChanges]
"""What is new of the ports, routers and floating IPs that the gateway host serves."""
_KINDS: Sequence[type[StoredResource]] = (StoredPort, StoredRouter, StoredFloatingIp)


async def _around(session: Session, applied: Applied) -> SurroundingChanges:
    return {
        StoredPort: await _service_ports(session, applied),
        StoredRouter: await _routers(session, applied),
        StoredFloatingIp: await _floating(session, applied),
    }


def _well_around(state: HostState) -> SurroundingChanges:
    """Do as `_around` does of a host that has no fault: of what was well before nothing is known, or new."""
    found: dict[type[StoredResource], StateChanges] = {kind: [] for kind in _KINDS}
    by_name = {kind.table.name: changes for kind, changes in found.items()}
    for name, id, status in state.around:
        by_name[name].append({"id": id, "status": status, "fault": None})
    return found


async def _service_ports(session: Session, applied: Applied) -> StateChanges:
    changes: StateChanges = []
    for port in await rows.find(session, StoredPort, device_owner=SERVICE_PORTS, server_id=None):
        fault = _first(applied.faults, (port.id, port.network_id, port.device_id))
        changes += _differs(port, "DOWN" if fault else "ACTIVE", fault)
    return changes


async def _routers(session: Session, applied: Applied) -> StateChanges:
    changes: StateChanges = []
    for router in await rows.find(session, StoredRouter):
        fault = applied.faults.get(router.id)
        changes += _differs(router, "ERROR" if fault else "ACTIVE", fault)
    return changes


async def _floating(session: Session, applied: Applied) -> StateChanges:
    changes: StateChanges = []
    for row in await rows.find(session, StoredFloatingIp):
        fault = _first(applied.faults, (row.id, row.router_id))
        status = "ERROR" if fault else "ACTIVE" if row.port_id else "DOWN"
        changes += _differs(row, status, fault)
    return changes


def _first(faults: Mapping[str, str], keys: Iterable[str | None]) -> str | None:
    return next((faults[key] for key in keys if key and key in faults), None)
