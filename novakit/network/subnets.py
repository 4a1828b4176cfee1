"""Subnets: made, shown, changed and deleted."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext
from novakit.errors import NotImplementedHere
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network
from novakit.network.allocation.addresses import Pool, ip_of, number_of, range_of, usable, without
from novakit.network.hosts import dhcp
from novakit.network.refusals import bad, conflict, forbidden, invalid, not_found
from novakit.network.views import route, standard
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import subnets
from novakit.store.network.ports import addresses, ports

RESERVED = [ipaddress.IPv4Network(cidr) for cidr in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
MOST_SERVERS, MOST_ROUTES, MOST_POOLS = 5, 20, 50


def views(found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show subnets."""
    return [
        {
            **standard(row),
            "network_id": row["network_id"],
            "cidr": row["cidr"],
            "ip_version": 4,
            "gateway_ip": row["gateway_ip"],
            "enable_dhcp": row["dhcp"],
            "dns_nameservers": row["dns_servers"],
            "host_routes": [route(pair) for pair in row["host_routes"]],
            "allocation_pools": [{"start": ip_of(first), "end": ip_of(last)} for first, last in row["pools"]],
            "ipv6_address_mode": None,
            "ipv6_ra_mode": None,
            "subnetpool_id": None,
            "segment_id": None,
            "service_types": [],
            "dns_publish_fixed_ip": False,
        }
        for row in found
    ]


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a subnet on a network of the caller; refuse ranges that overlap another one of the network."""
    network = await the_network(session, context, values["network_id"], lock=True)
    if not owns(context, network):
        raise forbidden("Creating a subnet on a network of another project")
    project = project_of(context, {"project_id": network["project_id"], **values})
    await quotas.reserve(session, project, "subnet")
    if values.get("ip_version", 4) != 4:
        raise NotImplementedHere("This cloud has IPv4 subnets alone; ask for --ip-version 4.", kind="IPv6NotSupported")
    net = _read_cidr(values.get("cidr"))
    for other in await rows.find(session, subnets, network_id=network["id"]):
        if range_of(other["cidr"]).overlaps(net):
            raise invalid(
                f"Requested subnet with cidr: {net} for network: {network['id']} overlaps with another subnet "
                f"({other['cidr']})."
            )
    gateway = _gateway(net, values.get("gateway_ip", ip_of(usable(net)[0])))
    row = rows.fresh(
        project_id=project,
        name=values.get("name") or "",
        description=values.get("description") or "",
        tags=list(values.get("tags") or ()),
        network_id=network["id"],
        cidr=str(net),
        gateway_ip=gateway,
        dhcp=values.get("enable_dhcp", True),
        dns_servers=_name_servers(values.get("dns_nameservers")),
        host_routes=read_routes(values.get("host_routes")),
        pools=pools_of(net, values.get("allocation_pools"), gateway),
        cursor=0,
    )
    await rows.add(session, subnets, [row])
    touched.gateway = True
    touched.networks.add(network["id"])
    return views([row])[0]


def _read_cidr(text: Any) -> ipaddress.IPv4Network:
    if not isinstance(text, str):
        raise invalid("'cidr' is needed, as in 192.0.2.0/24.")
    try:
        net = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise invalid(f"'{text[:64]}' is not a valid IP subnet.") from error
    if not isinstance(net, ipaddress.IPv4Network):
        raise invalid(f"'{text[:64]}' is not an IPv4 subnet, and ip_version is 4.")
    if "/" not in text:
        raise invalid(f"'{text[:64]}' isn't a recognized IP subnet cidr, '{net}' is recommended.")
    if net.prefixlen < 8 or any(net.overlaps(kept) for kept in RESERVED):
        raise invalid(f"{net} cannot be a subnet: it is too large, or loopback, link-local or multicast.")
    return net


def _gateway(net: ipaddress.IPv4Network, text: str | None) -> str | None:
    if text is None:
        return None
    number = number_of(text)
    first, last = usable(net)
    if not first <= number <= last:
        raise invalid(f"Gateway {text} is not valid on subnet {net}.")
    return ip_of(number)


def pools_of(net: ipaddress.IPv4Network, asked: Any, gateway: str | None) -> list[Pool]:
    """Read allocation pools; where none are asked for, all of the range but its gateway is one."""
    first, last = usable(net)
    reserved = number_of(gateway) if gateway else None
    if asked is None:
        return without((first, last), reserved)
    if len(asked) > MOST_POOLS:
        raise invalid(f"a subnet has {MOST_POOLS} allocation pools at most.")
    found: list[Pool] = []
    for pool in asked:
        start, end = number_of(pool["start"]), number_of(pool["end"])
        shown = f"{ip_of(start)}-{ip_of(end)}"
        if start > end:
            raise bad("InvalidAllocationPool", f"The allocation pool {shown} is not valid.")
        if start < first or end > last:
            raise bad("OutOfBoundsAllocationPool", f"The allocation pool {shown} spans beyond the subnet cidr {net}.")
        if any(start <= other[1] and other[0] <= end for other in found):
            raise conflict("OverlappingAllocationPools", f"Found overlapping allocation pools: {shown} for {net}.")
        if reserved is not None and start <= reserved <= end:
            raise conflict(
                "GatewayConflictWithAllocationPools", f"Gateway ip {gateway} conflicts with allocation pool {shown}."
            )
        found.append((start, end))
    return sorted(found)


def _name_servers(asked: Any) -> list[str]:
    found = [ip_of(number_of(server)) for server in asked or ()]
    if len(found) > MOST_SERVERS:
        raise bad("DNSNameServersExhausted", f"The number of DNS nameservers exceeds the limit of {MOST_SERVERS}.")
    return list(dict.fromkeys(found))


def read_routes(asked: Any) -> list[tuple[str, str]]:
    """Read routes as pairs of destination and next hop."""
    if len(asked or ()) > MOST_ROUTES:
        raise bad("HostRoutesExhausted", f"The number of routes exceeds the maximum of {MOST_ROUTES}.")
    found = []
    for item in asked or ():
        try:
            destination = ipaddress.IPv4Network(item["destination"])
        except ValueError as error:
            raise invalid(f"'{item['destination'][:64]}' is not a valid destination of a route.") from error
        found.append((str(destination), ip_of(number_of(item["nexthop"]))))
    if len(set(found)) < len(found):
        raise invalid("the same route is given twice.")
    return found


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change a subnet the caller owns."""
    row = await _own(session, context, key)
    net = range_of(row["cidr"])
    new: dict[str, Any] = {name: values[name] or "" for name in ("name", "description") if name in values}
    gateway = row["gateway_ip"]
    if "gateway_ip" in values and values["gateway_ip"] != gateway:
        await _check_gateway_free(session, row)
        gateway = new["gateway_ip"] = _gateway(net, values["gateway_ip"])
    if "allocation_pools" in values:
        new["pools"] = pools_of(net, values["allocation_pools"] or None, gateway)
    elif gateway and any(first <= number_of(gateway) <= last for first, last in row["pools"]):
        raise conflict(
            "GatewayConflictWithAllocationPools", f"Gateway ip {gateway} conflicts with the allocation pools of {net}."
        )
    if "dns_nameservers" in values:
        new["dns_servers"] = _name_servers(values["dns_nameservers"])
    if "host_routes" in values:
        new["host_routes"] = read_routes(values["host_routes"])
    if "enable_dhcp" in values:
        new["dhcp"] = values["enable_dhcp"]
        if row["dhcp"] and not new["dhcp"]:
            await rows.remove(session, addresses, subnet_id=key, port_id=dhcp.dhcp_port_id(row["network_id"]))
    if new:
        await rows.change(session, subnets, key, **new)
        touched.gateway = True
        touched.networks.add(row["network_id"])
    return views(await rows.find(session, subnets, id=key))[0]


async def _check_gateway_free(session: Session, row: Row) -> None:
    if not row["gateway_ip"]:
        return
    held = await rows.one(session, addresses, subnet_id=row["id"], number=number_of(row["gateway_ip"]))
    if held:
        raise conflict(
            "GatewayIpInUse", f"Current gateway ip {row['gateway_ip']} already in use by port {held['port_id']}."
        )


async def _own(session: Session, context: RequestContext, key: str) -> Row:
    found = await rows.lock(session, subnets, id=key)
    if not found:
        raise not_found("subnet", key)
    if not owns(context, found[0]):
        try:
            await the_network(session, context, found[0]["network_id"])
        except Exception as error:
            raise not_found("subnet", key) from error
        raise forbidden("Changing a subnet of another project")
    return found[0]


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a subnet on which no port has an address; raise `SubnetInUse` otherwise."""
    row = await _own(session, context, key)
    held = await rows.find(session, addresses, subnet_id=key)
    used = {line["port_id"] for line in held} - {dhcp.dhcp_port_id(row["network_id"])}
    if used:
        raise conflict(
            "SubnetInUse",
            f"Unable to complete operation on subnet {key}: One or more ports have an IP allocation from this subnet.",
        )
    await rows.remove(session, addresses, subnet_id=key)
    dhcp_port = dhcp.dhcp_port_id(row["network_id"])
    if not await rows.one(session, addresses, port_id=dhcp_port):
        await rows.remove(session, ports, id=dhcp_port)
    await rows.remove(session, subnets, id=key)
    touched.gateway = True
    touched.networks.add(row["network_id"])
