"""Recording what hosts made of their topologies."""

from collections.abc import Iterable, Mapping
from typing import Any

from novakit.store.engine import Row, Session
from novakit.store.network import hosts, rows
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.ports import ports, wired
from novakit.store.network.routers import routers
from novakit_hookspecs.networks import Applied

SERVICE_PORTS = ("network:dhcp", "network:router_interface", "network:router_gateway")


async def record(session: Session, made: Mapping[str, Applied]) -> None:
    """Write the states on some hosts that are new; what stays the same is not written."""
    states = await hosts.some(session, made)
    changes = []
    for port in await wired(session, [state["host"] for state in states]):
        applied = made[port["host"]]
        fault = applied.faults.get(port["id"]) or applied.faults.get(port["network_id"])
        if fault:
            changes += _differs(port, "DOWN", fault)
        elif port["id"] in applied.vifs:
            changes += _differs(port, "ACTIVE" if port["admin_state_up"] else "DOWN", None)
    for state in states:
        if state["gateway"]:
            applied = made[state["host"]]
            changes += await _service_ports(session, applied)
            await rows.change_many(session, routers, await _routers(session, applied))
            await rows.change_many(session, floating_ips, await _floating(session, applied))
    await rows.change_many(session, ports, changes)
    await hosts.applied(session, {state["host"]: made[state["host"]].revision for state in states})


def _differs(row: Row, status: str, fault: str | None) -> list[dict[str, Any]]:
    if (row["status"], row["fault"]) == (status, fault):
        return []
    return [{"id": row["id"], "status": status, "fault": fault}]


async def _service_ports(session: Session, applied: Applied) -> list[dict[str, Any]]:
    changes = []
    for port in await rows.find(session, ports, device_owner=SERVICE_PORTS):
        fault = _first(applied.faults, (port["id"], port["network_id"], port["device_id"]))
        changes += _differs(port, "DOWN" if fault else "ACTIVE", fault)
    return changes


async def _routers(session: Session, applied: Applied) -> list[dict[str, Any]]:
    changes = []
    for router in await rows.find(session, routers):
        fault = applied.faults.get(router["id"])
        changes += _differs(router, "ERROR" if fault else "ACTIVE", fault)
    return changes


async def _floating(session: Session, applied: Applied) -> list[dict[str, Any]]:
    changes = []
    for row in await rows.find(session, floating_ips):
        fault = _first(applied.faults, (row["id"], row["router_id"]))
        status = "ERROR" if fault else "ACTIVE" if row["port_id"] else "DOWN"
        changes += _differs(row, status, fault)
    return changes


def _first(faults: Mapping[str, str], keys: Iterable[str | None]) -> str | None:
    return next((faults[key] for key in keys if key and key in faults), None)
