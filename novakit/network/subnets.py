"""Subnets: made, shown, changed and deleted."""

import ipaddress
from collections.abc import Sequence

import attrs

from novakit.context import RequestContext
from novakit.errors import NotFound, NotImplementedHere
from novakit.left_out import LEFT_OUT, LeftOut, either
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network
from novakit.network.allocation.addresses import Pool, ip_of, number_of, range_of, usable, without
from novakit.network.hosts import dhcp
from novakit.network.records import AddressRange, Hop, Id
from novakit.network.refusals import bad, conflict, forbidden, invalid, not_found
from novakit.network.resources import ResourceKind, Resources, as_it_is, in_rows
from novakit.store.engine import Session
from novakit.store.network import rows, subnets
from novakit.store.network.ports import StoredAddress, StoredPort
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched

RESERVED = [ipaddress.IPv4Network(cidr) for cidr in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")]
MOST_SERVERS, MOST_ROUTES, MOST_POOLS = 5, 20, 50
"""As in Neutron (max_dns_nameservers, max_subnet_host_routes); each pool is looked through for a free address."""


@attrs.frozen(kw_only=True)
class SubnetChange:
    """What of a subnet can be changed."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    gateway_ip: str | LeftOut | None = LEFT_OUT
    """None is a subnet without a gateway."""
    allocation_pools: Sequence[AddressRange] | LeftOut | None = LEFT_OUT
    """None is all of the range but the gateway."""
    dns_nameservers: Sequence[str] | LeftOut | None = LEFT_OUT
    host_routes: Sequence[Hop] | LeftOut | None = LEFT_OUT
    enable_dhcp: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewSubnet(SubnetChange):
    """A subnet that is asked for."""

    network_id: Id
    cidr: str | LeftOut | None = LEFT_OUT
    project_id: str | LeftOut | None = LEFT_OUT
    tags: Sequence[str] = ()
    ip_version: int = 4


async def create(session: Session, touched: Touched, context: RequestContext, values: NewSubnet) -> StoredSubnet:
    """Make a subnet on a network of the caller; refuse ranges that overlap another one of the network."""
    network = await the_network(session, context, values.network_id, lock=True)
    if not owns(context, network):
        raise forbidden("Creating a subnet on a network of another project")
    project = project_of(context, either(values.project_id, network.project_id))
    await quotas.reserve(session, project, "subnet")
    if values.ip_version != 4:
        raise NotImplementedHere("This cloud has IPv4 subnets only; set ip_version to 4.", kind="IPv6NotSupported")
    net = _read_cidr(values.cidr)
    for other in await rows.find(session, StoredSubnet, network_id=network.id):
        if range_of(other.cidr).overlaps(net):
            raise invalid(
                f"Requested subnet with cidr: {net} for network: {network.id} overlaps with another subnet "
                f"({other.cidr})."
            )
    gateway = _gateway(net, either(values.gateway_ip, ip_of(usable(net)[0])))
    row = StoredSubnet(
        **rows.fresh(
            project_id=project, name=values.name or "", description=values.description or "", tags=values.tags
        ),
        network_id=network.id,
        cidr=str(net),
        gateway_ip=gateway,
        dhcp=either(values.enable_dhcp, True),
        dns_servers=_name_servers(values.dns_nameservers),
        host_routes=read_routes(values.host_routes),
        pools=pools_of(net, either(values.allocation_pools, None), gateway),
        cursor=0,
    )
    await rows.add(session, [row])
    touched.gateway = True
    touched.networks.add(network.id)
    return row


def _read_cidr(text: str | LeftOut | None) -> ipaddress.IPv4Network:
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


def pools_of(net: ipaddress.IPv4Network, asked: Sequence[AddressRange] | None, gateway: str | None) -> list[Pool]:
    """Read allocation pools; where none are asked for, all of the range but its gateway is one."""
    first, last = usable(net)
    reserved = number_of(gateway) if gateway else None
    if asked is None:
        return without((first, last), reserved)
    if len(asked) > MOST_POOLS:
        raise invalid(f"a subnet may have at most {MOST_POOLS} allocation pools.")
    found: list[Pool] = []
    for pool in asked:
        start, end = number_of(pool.start), number_of(pool.end)
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


def _name_servers(asked: Sequence[str] | LeftOut | None) -> list[str]:
    found = [ip_of(number_of(server)) for server in asked or ()]
    if len(found) > MOST_SERVERS:
        raise bad("DNSNameServersExhausted", f"The number of DNS nameservers exceeds the limit of {MOST_SERVERS}.")
    return list(dict.fromkeys(found))


def read_routes(asked: Sequence[Hop] | LeftOut | None) -> list[tuple[str, str]]:
    """Read routes as pairs of destination and next hop."""
    if len(asked or ()) > MOST_ROUTES:
        raise bad("HostRoutesExhausted", f"The number of routes exceeds the maximum of {MOST_ROUTES}.")
    found: list[tuple[str, str]] = []
    for item in asked or ():
        try:
            destination = ipaddress.IPv4Network(item.destination)
        except ValueError as error:
            raise invalid(f"'{item.destination[:64]}' is not a valid destination of a route.") from error
        found.append((str(destination), ip_of(number_of(item.nexthop))))
    if len(set(found)) < len(found):
        raise invalid("the same route is given twice.")
    return found


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: SubnetChange
) -> StoredSubnet:
    """Change a subnet the caller owns."""
    row = await _own(session, context, key)
    net = range_of(row.cidr)
    texts = {"name": values.name, "description": values.description}
    new: dict[str, object] = {name: text or "" for name, text in texts.items() if text is not LEFT_OUT}
    gateway = row.gateway_ip
    if values.gateway_ip is not LEFT_OUT and values.gateway_ip != gateway:
        await _check_gateway_free(session, row)
        gateway = new["gateway_ip"] = _gateway(net, values.gateway_ip)
    if values.allocation_pools is not LEFT_OUT:
        new["pools"] = pools_of(net, values.allocation_pools or None, gateway)
    elif gateway and any(first <= number_of(gateway) <= last for first, last in row.pools):
        raise conflict(
            "GatewayConflictWithAllocationPools", f"Gateway ip {gateway} conflicts with the allocation pools of {net}."
        )
    if values.dns_nameservers is not LEFT_OUT:
        new["dns_servers"] = _name_servers(values.dns_nameservers)
    if values.host_routes is not LEFT_OUT:
        new["host_routes"] = read_routes(values.host_routes)
    if values.enable_dhcp is not LEFT_OUT:
        new["dhcp"] = values.enable_dhcp
        if row.dhcp and not values.enable_dhcp:
            await rows.remove(session, StoredAddress, subnet_id=key, port_id=dhcp.dhcp_port_id(row.network_id))
    if new:
        await rows.change(session, StoredSubnet, key, **new)
        touched.gateway = True
        touched.networks.add(row.network_id)
    return (await rows.find(session, StoredSubnet, id=key))[0]


async def _check_gateway_free(session: Session, row: StoredSubnet) -> None:
    if not row.gateway_ip:
        return
    held = await rows.one(session, StoredAddress, subnet_id=row.id, number=number_of(row.gateway_ip))
    if held:
        raise conflict("GatewayIpInUse", f"Current gateway ip {row.gateway_ip} already in use by port {held.port_id}.")


async def _own(session: Session, context: RequestContext, key: str) -> StoredSubnet:
    found = await rows.lock(session, StoredSubnet, id=key)
    if not found:
        raise not_found("subnet", key)
    if not owns(context, found[0]):
        try:
            await the_network(session, context, found[0].network_id)
        except NotFound as error:
            raise not_found("subnet", key) from error
        raise forbidden("Changing a subnet of another project")
    return found[0]


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a subnet on which no port has an address. Raises Conflict (SubnetInUse)."""
    row = await _own(session, context, key)
    dhcp_port = dhcp.dhcp_port_id(row.network_id)
    if {line.port_id for line in await rows.find(session, StoredAddress, subnet_id=key)} - {dhcp_port}:
        raise conflict(
            "SubnetInUse",
            f"Unable to complete operation on subnet {key}: One or more ports have an IP allocation from this subnet.",
        )
    await rows.remove(session, StoredAddress, subnet_id=key)
    if not await rows.one(session, StoredAddress, port_id=dhcp_port):
        await rows.remove(session, StoredPort, id=dhcp_port)
    await rows.remove(session, StoredSubnet, id=key)
    touched.gateway = True
    touched.networks.add(row.network_id)


SubnetDetails = StoredSubnet
"""A subnet is nothing but its row."""
Subnets = Resources[StoredSubnet, SubnetDetails, NewSubnet, SubnetChange]
SUBNETS = ResourceKind(
    called="subnet",
    stored=StoredSubnet,
    seen_by=subnets.seen_by,
    listed=in_rows(StoredSubnet, as_it_is),
    create=create,
    update=update,
    delete=delete,
)
