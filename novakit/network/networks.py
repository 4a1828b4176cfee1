"""Networks: made, shown, changed and deleted."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network
from novakit.network.refusals import conflict, forbidden, invalid
from novakit.network.views import renamed, standard
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import networks, subnets
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers

HIGHEST_SEGMENT = 16_777_215
TENANT_MTU, PROVIDER_MTU, HIGHEST_PROVIDER_MTU = 1450, 1500, 9000
CHANGEABLE = {
    "name": "name",
    "description": "description",
    "admin_state_up": "admin_state_up",
    "shared": "shared",
    "router:external": "external",
    "is_default": "is_default",
    "mtu": "mtu",
    "port_security_enabled": "port_security",
    "dns_domain": "dns_domain",
}


async def views(session: Session, found: Sequence[Row]) -> list[dict[str, Any]]:
    """Show networks with the ids of their subnets."""
    by_network: dict[str, list[str]] = defaultdict(list)
    for subnet in await rows.find(session, subnets, network_id=rows.ids(found)) if found else ():
        by_network[subnet["network_id"]].append(subnet["id"])
    return [_view(row, by_network[row["id"]]) for row in found]


def _view(row: Mapping[Any, Any], subnet_ids: Sequence[str]) -> dict[str, Any]:
    flat = row["network_type"] == "flat"
    return {
        **standard(row),
        "admin_state_up": row["admin_state_up"],
        "status": "ACTIVE",
        "shared": row["shared"],
        "subnets": list(subnet_ids),
        "mtu": row["mtu"],
        "port_security_enabled": row["port_security"],
        "router:external": row["external"],
        "is_default": row["is_default"],
        "dns_domain": row["dns_domain"],
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "qos_policy_id": None,
        "vlan_transparent": None,
        "provider:network_type": row["network_type"],
        "provider:physical_network": row["physical_network"],
        "provider:segmentation_id": None if flat else row["segment"],
    }


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a network; raise `OverQuota`, or `FlatNetworkInUse` for a physical network that has one already."""
    project = project_of(context, values)
    await quotas.reserve(session, project, "network")
    kind, physical = values.get("provider:network_type"), values.get("provider:physical_network")
    kind = kind or ("flat" if physical else "vxlan")
    if (kind == "flat") != bool(physical):
        raise invalid("a flat network needs provider:physical_network, and no other kind takes it.")
    if physical and await rows.one(session, networks, physical_network=physical):
        raise conflict(
            "FlatNetworkInUse",
            f"Unable to create the flat network. Physical network {physical} is in use.",
        )
    row = rows.fresh(
        project_id=project,
        segment=await _segment(session, values.get("provider:segmentation_id") if kind != "flat" else None),
        network_type=kind,
        physical_network=physical,
        mtu=PROVIDER_MTU if physical else TENANT_MTU,
        admin_state_up=True,
        shared=False,
        external=False,
        is_default=False,
        port_security=True,
        dns_domain="",
    )
    given = renamed(values, CHANGEABLE)
    row.update({name: value for name, value in given.items() if (name, value) != ("mtu", 0)})
    _check_mtu(row["mtu"], physical)
    row["tags"] = list(values.get("tags") or ())
    await rows.add(session, networks, [row])
    return _view(row, ())


async def _segment(session: Session, asked: int | None) -> int:
    if asked is None:
        return await rows.next_number(session, "segment", taken=networks.c.segment, highest=HIGHEST_SEGMENT)
    if await rows.one(session, networks, segment=asked):
        raise conflict("TunnelIdInUse", f"Unable to create the network. The tunnel ID {asked} is in use.")
    return asked


def _check_mtu(mtu: int, physical: str | None) -> None:
    highest = HIGHEST_PROVIDER_MTU if physical else TENANT_MTU
    if mtu > highest:
        raise invalid(f"Requested MTU is too big, maximum is {highest}.")


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change a network the caller owns."""
    row = await _own(session, context, key)
    new = renamed(values, CHANGEABLE)
    if new.get("mtu") == 0:
        new["mtu"] = PROVIDER_MTU if row["physical_network"] else TENANT_MTU
    _check_mtu(new.get("mtu", row["mtu"]), row["physical_network"])
    if new.get("shared") is False and row["shared"]:
        others = [port for port in await rows.find(session, ports, network_id=key) if port["project_id"]]
        if any(port["project_id"] != row["project_id"] for port in others):
            raise conflict("InvalidSharedSetting", f"Unable to reconfigure sharing settings for network {key}.")
    if new.get("external") is False and row["external"]:
        for table in (floating_ips, routers):
            if await rows.one(session, table, external_network_id=key):
                raise conflict("ExternalNetworkInUse", f"External network {key} cannot be updated: it is in use.")
    if new:
        await rows.change(session, networks, key, **new)
        if {"mtu", "admin_state_up"} & set(new):
            touched.gateway = True
            touched.networks.add(key)
    return (await views(session, await rows.find(session, networks, id=key)))[0]


async def _own(session: Session, context: RequestContext, key: str) -> Row:
    row = await the_network(session, context, key, lock=True)
    if not owns(context, row):
        raise forbidden("Changing a network of another project")
    return row


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a network that nobody uses; raise `NetworkInUse` otherwise.

    Its DHCP port goes with it, and so do floating IPs of it that lead to no port.
    """
    await _own(session, context, key)
    unused = await rows.lock(session, floating_ips, external_network_id=key, port_id=None)
    going = {row["floating_port_id"] for row in unused}
    own = await rows.find(session, ports, network_id=key)
    used = [port for port in own if port["device_owner"] != "network:dhcp" and port["id"] not in going]
    if used:
        raise conflict(
            "NetworkInUse",
            f"Unable to complete operation on network {key}. There are one or more ports still in use on the network, "
            f"id for these ports is {', '.join(rows.ids(used)[:10])}.",
        )
    if unused:
        await rows.remove(session, floating_ips, id=rows.ids(unused))
    await rows.remove(session, ports, network_id=key)
    await rows.remove(session, subnets, network_id=key)
    await rows.remove(session, networks, id=key)
    touched.gateway = True
