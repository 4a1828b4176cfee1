"""Networks: made, shown, changed and deleted."""

from collections import defaultdict
from collections.abc import Sequence

import attrs

from novakit.context import RequestContext
from novakit.left_out import LEFT_OUT, LeftOut, either, sent
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network
from novakit.network.refusals import conflict, forbidden, invalid
from novakit.network.resources import ResourceKind, Resources, in_rows
from novakit.store.engine import Session
from novakit.store.network import networks, rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredPort
from novakit.store.network.routers import StoredRouter
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched

HIGHEST_SEGMENT = 16_777_215
"""24 bits, as a VXLAN network identifier has (RFC 7348)."""
TENANT_MTU, PROVIDER_MTU, HIGHEST_PROVIDER_MTU = 1450, 1500, 9000
"""Ethernet's, and for networks of tenants 50 bytes less, which VXLAN takes over IPv4; jumbo frames at most."""


@attrs.frozen(kw_only=True)
class NetworkChange:
    """What of a network can be changed."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    admin_state_up: bool | LeftOut = LEFT_OUT
    shared: bool | LeftOut = LEFT_OUT
    external: bool | LeftOut = LEFT_OUT
    is_default: bool | LeftOut = LEFT_OUT
    mtu: int | LeftOut = LEFT_OUT
    """0 is the usual one."""
    port_security: bool | LeftOut = LEFT_OUT
    """Whether ports are filtered unless they say otherwise themselves."""
    dns_domain: str | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewNetwork(NetworkChange):
    """A network that is asked for."""

    project_id: str | LeftOut | None = LEFT_OUT
    tags: Sequence[str] = ()
    network_type: str | LeftOut | None = LEFT_OUT
    physical_network: str | LeftOut | None = LEFT_OUT
    segment: int | LeftOut | None = LEFT_OUT


@attrs.frozen
class NetworkDetails:
    """A network with the ids of its subnets."""

    network: StoredNetwork
    subnet_ids: Sequence[str]


async def details(session: Session, found: Sequence[StoredNetwork]) -> list[NetworkDetails]:
    """Add the ids of subnets: one statement for any number of networks."""
    by_network: dict[str, list[str]] = defaultdict(list)
    for subnet in await rows.find(session, StoredSubnet, network_id=rows.ids(found)) if found else ():
        by_network[subnet.network_id].append(subnet.id)
    return [NetworkDetails(row, by_network[row.id]) for row in found]


async def create(session: Session, touched: Touched, context: RequestContext, values: NewNetwork) -> NetworkDetails:
    """Make a network. Raises Conflict: OverQuota, FlatNetworkInUse for a physical network that has one already."""
    project = project_of(context, values.project_id)
    await quotas.reserve(session, project, "network")
    physical = values.physical_network or None
    kind = values.network_type or ("flat" if physical else "vxlan")
    if (kind == "flat") != bool(physical):
        raise invalid("a flat network needs provider:physical_network, and a network of another type must not have it.")
    if physical and await rows.one(session, StoredNetwork, physical_network=physical):
        raise conflict(
            "FlatNetworkInUse",
            f"Unable to create the flat network. Physical network {physical} is in use.",
        )
    row = StoredNetwork(
        **rows.fresh(
            project_id=project, name=values.name or "", description=values.description or "", tags=values.tags
        ),
        segment=await _segment(session, values.segment or None if kind != "flat" else None),
        network_type=kind,
        physical_network=physical,
        mtu=values.mtu or _usual_mtu(physical),
        admin_state_up=either(values.admin_state_up, True),
        shared=either(values.shared, False),
        external=either(values.external, False),
        is_default=either(values.is_default, False),
        port_security=either(values.port_security, True),
        dns_domain=values.dns_domain or "",
        fault=None,
    )
    _check_mtu(row.mtu, physical)
    await rows.add(session, [row])
    return NetworkDetails(row, ())


async def _segment(session: Session, asked: int | None) -> int:
    if asked is None:
        return await networks.next_segment(session, HIGHEST_SEGMENT)
    if await rows.one(session, StoredNetwork, segment=asked):
        raise conflict("TunnelIdInUse", f"Unable to create the network. The tunnel ID {asked} is in use.")
    return asked


def _usual_mtu(physical: str | None) -> int:
    return PROVIDER_MTU if physical else TENANT_MTU


def _check_mtu(mtu: int, physical: str | None) -> None:
    highest = HIGHEST_PROVIDER_MTU if physical else TENANT_MTU
    if mtu > highest:
        raise invalid(f"Requested MTU is too big, maximum is {highest}.")


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: NetworkChange
) -> NetworkDetails:
    """Change a network the caller owns."""
    row = await _own(session, context, key)
    new = sent(values)
    if values.mtu is not LEFT_OUT:
        new["mtu"] = mtu = values.mtu or _usual_mtu(row.physical_network)
        _check_mtu(mtu, row.physical_network)
    if values.shared is False and row.shared:
        others = [port for port in await rows.find(session, StoredPort, network_id=key) if port.project_id]
        if any(port.project_id != row.project_id for port in others):
            raise conflict("InvalidSharedSetting", f"Unable to reconfigure sharing settings for network {key}.")
    if values.external is False and row.external:
        floating = await rows.one(session, StoredFloatingIp, external_network_id=key)
        if floating or await rows.one(session, StoredRouter, external_network_id=key):
            raise conflict("ExternalNetworkInUse", f"External network {key} cannot be updated: it is in use.")
    if new:
        await rows.change(session, StoredNetwork, key, **new)
        if {"mtu", "admin_state_up"} & set(new):
            touched.gateway = True
            touched.networks.add(key)
    return (await details(session, await rows.find(session, StoredNetwork, id=key)))[0]


async def _own(session: Session, context: RequestContext, key: str) -> StoredNetwork:
    row = await the_network(session, context, key, lock=True)
    if not owns(context, row):
        raise forbidden("Changing a network of another project")
    return row


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a network that nobody uses. Raises Conflict (NetworkInUse).

    Its DHCP port goes with it, and so do floating IPs of it that lead to no port.
    """
    await _own(session, context, key)
    unused = await rows.lock(session, StoredFloatingIp, external_network_id=key, port_id=None)
    going = {row.floating_port_id for row in unused}
    own = await rows.find(session, StoredPort, network_id=key)
    used = [port for port in own if port.device_owner != "network:dhcp" and port.id not in going]
    if used:
        raise conflict(
            "NetworkInUse",
            f"Unable to complete operation on network {key}. There are one or more ports still in use on the network, "
            f"id for these ports is {', '.join(rows.ids(used)[:10])}.",
        )
    if unused:
        await rows.remove(session, StoredFloatingIp, id=rows.ids(unused))
    await rows.remove(session, StoredPort, network_id=key)
    await rows.remove(session, StoredSubnet, network_id=key)
    await rows.remove(session, StoredNetwork, id=key)
    touched.gateway = True


NetworksOfAll = Resources[StoredNetwork, NetworkDetails, NewNetwork, NetworkChange]
NETWORKS = ResourceKind(
    called="network",
    stored=StoredNetwork,
    seen_by=networks.seen_by,
    listed=in_rows(StoredNetwork, details),
    create=create,
    update=update,
    delete=delete,
)
