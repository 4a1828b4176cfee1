"""Recording what hosts made of their topologies."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from novakit.store.engine import Session
from novakit.store.network import hosts, rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.ports import StoredPort, wired
from novakit.store.network.routers import StoredRouter
from novakit_hookspecs.networks import Applied

Changes = list[dict[str, str | None]]
"""Rows by id, with the status and the fault that are new."""
SERVICE_PORTS = ("network:dhcp", "network:router_interface", "network:router_gateway")


async def record(session: Session, made: Mapping[str, Applied]) -> None:
    """Write the states on some hosts that are new; what stays the same is not written."""
    states: dict[str, int | None] = {}
    changes: Changes = []
    # Where all is well, nothing is said of ports that were well before; a host has thousands of those.
    for host, gateway, port in await wired(session, made, settled=any(each.faults for each in made.values())):
        states[host], applied = gateway, made[host]
        if port is None:
            continue
        fault = applied.faults.get(port.id) or applied.faults.get(port.network_id)
        if fault:
            changes += _differs(port, "DOWN", fault)
        elif port.id in applied.vifs:
            changes += _differs(port, "ACTIVE" if port.admin_state_up else "DOWN", None)
    for host, gateway in states.items():
        if gateway:
            applied = made[host]
            changes += await _service_ports(session, applied)
            await rows.change_many(session, StoredRouter, await _routers(session, applied))
            await rows.change_many(session, StoredFloatingIp, await _floating(session, applied))
    await rows.change_many(session, StoredPort, changes)
    await hosts.applied(session, {host: made[host].revision for host in states})


class _HasState(Protocol):
    """A row with a status and why it is not as it should be."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> str: ...

    @property
    def fault(self) -> str | None: ...


def _differs(row: _HasState, status: str, fault: str | None) -> Changes:
    if (row.status, row.fault) == (status, fault):
        return []
    return [{"id": row.id, "status": status, "fault": fault}]


async def _service_ports(session: Session, applied: Applied) -> Changes:
    changes: Changes = []
    for port in await rows.find(session, StoredPort, device_owner=SERVICE_PORTS):
        fault = _first(applied.faults, (port.id, port.network_id, port.device_id))
        changes += _differs(port, "DOWN" if fault else "ACTIVE", fault)
    return changes


async def _routers(session: Session, applied: Applied) -> Changes:
    changes: Changes = []
    for router in await rows.find(session, StoredRouter):
        fault = applied.faults.get(router.id)
        changes += _differs(router, "ERROR" if fault else "ACTIVE", fault)
    return changes


async def _floating(session: Session, applied: Applied) -> Changes:
    changes: Changes = []
    for row in await rows.find(session, StoredFloatingIp):
        fault = _first(applied.faults, (row.id, row.router_id))
        status = "ERROR" if fault else "ACTIVE" if row.port_id else "DOWN"
        changes += _differs(row, status, fault)
    return changes


def _first(faults: Mapping[str, str], keys: Iterable[str | None]) -> str | None:
    return next((faults[key] for key in keys if key and key in faults), None)
