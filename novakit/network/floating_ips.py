"""Floating IPs: made, associated, moved and deleted."""

from collections.abc import Sequence

import attrs

from novakit.context import RequestContext
from novakit.errors import BadRequest, NotFound
from novakit.left_out import LEFT_OUT, LeftOut
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, ip_of, number_of
from novakit.network.allocation.drafts import PortDraft, choose, drop, new_port, write
from novakit.network.records import Id
from novakit.network.refusals import bad, conflict, forbidden
from novakit.network.resources import ResourceKind, Resources, in_rows
from novakit.store.engine import Session
from novakit.store.network import floating_ips, rows
from novakit.store.network.floating_ips import FREE, StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredPort, addresses_of
from novakit.store.network.routers import StoredRouter
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched

OWNER = "network:floatingip"


@attrs.frozen(kw_only=True)
class FloatingIpChange:
    """What of a floating IP can be changed: where it leads."""

    description: str | LeftOut = LEFT_OUT
    port_id: Id | LeftOut | None = LEFT_OUT
    """None leads nowhere."""
    fixed_ip_address: str | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewFloatingIp(FloatingIpChange):
    """A floating IP that is asked for."""

    floating_network_id: Id
    project_id: str | LeftOut | None = LEFT_OUT
    tags: Sequence[str] = ()
    floating_ip_address: str | LeftOut | None = LEFT_OUT
    subnet_id: Id | LeftOut | None = LEFT_OUT


@attrs.frozen
class FloatingIpDetails:
    """A floating IP with the port that it leads to."""

    floating_ip: StoredFloatingIp
    target: StoredPort | None


async def details(session: Session, found: Sequence[StoredFloatingIp]) -> list[FloatingIpDetails]:
    """Add the ports that they lead to: one statement for any number of floating IPs."""
    keys = [row.port_id for row in found if row.port_id]
    targets: dict[str | None, StoredPort] = {}
    if keys:
        targets |= {port.id: port for port in await rows.find(session, StoredPort, id=keys)}
    return [FloatingIpDetails(row, targets.get(row.port_id)) for row in found]


async def create(
    session: Session, touched: Touched, context: RequestContext, values: NewFloatingIp
) -> FloatingIpDetails:
    """Make a floating IP, leading to a port at once when one is named."""
    if values.fixed_ip_address and not values.port_id:
        raise _without_port()
    network = await the_network(session, context, values.floating_network_id)
    if not network.external:
        raise bad("BadRequest", f"Bad floatingip request: Network {network.id} is not a valid external network.")
    project = project_of(context, values.project_id)
    await quotas.reserve(session, project, "floatingip")
    own = await rows.lock(session, StoredSubnet, network_id=network.id)
    if values.subnet_id and values.subnet_id not in rows.ids(own):
        raise bad(
            "BadRequest", f"Bad floatingip request: subnet {values.subnet_id[:64]} is not on the external network."
        )
    standard = rows.fresh(project_id=project, description=values.description or "", tags=values.tags)
    port = new_port(network.id, device_id=standard["id"], device_owner=OWNER, port_security=False)
    draft = PortDraft(row=port, wants=_wants(context, network, own, values))
    await choose(session, [draft], {network.id: own})
    if not draft.numbers:
        raise bad(
            "BadRequest",
            f"Bad floatingip request: Network {network.id} has no subnet to take an address from; create one.",
        )
    await write(session, [draft])
    row = StoredFloatingIp(
        **standard,
        external_network_id=network.id,
        floating_port_id=port.id,
        address=ip_of(draft.numbers[0][1]),
        port_id=None,
        fixed_number=None,
        router_id=None,
        status="DOWN",
        fault=None,
    )
    await rows.add(session, [row])
    # Where the external network has DHCP, its address is one of those that DHCP knows.
    touched.gateway = True
    if values.port_id:
        await _associate(session, touched, context, row, values.port_id, values.fixed_ip_address or None)
    return await _shown(session, row.id)


def _without_port() -> BadRequest:
    return bad("BadRequest", "Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")


async def _shown(session: Session, key: str) -> FloatingIpDetails:
    return (await details(session, await rows.find(session, StoredFloatingIp, id=key)))[0]


def _wants(
    context: RequestContext, network: StoredNetwork, own: Sequence[StoredSubnet], values: NewFloatingIp
) -> list[tuple[str, int | None]] | None:
    ip, subnet_id = values.floating_ip_address, values.subnet_id
    if not ip:
        return [(subnet_id, None)] if subnet_id else None
    if not owns(context, network):
        raise forbidden("Choosing the address of a floating IP")
    subnet = containing(own, number_of(ip))
    if subnet is None:
        raise bad(
            "InvalidIpForNetwork", f"IP address {ip} is not a valid IP for any of the subnets on the specified network."
        )
    return [(subnet.id, number_of(ip))]


async def _associate(
    session: Session,
    touched: Touched,
    context: RequestContext,
    row: StoredFloatingIp,
    port_id: str,
    fixed_ip_address: str | None,
) -> None:
    """Lead a floating IP to a port's address that a router with a gateway to its network reaches."""
    port = await the_own(session, context, StoredPort, "port", port_id)
    lines = await addresses_of(session, [port.id])
    if not lines:
        raise bad(
            "BadRequest",
            f"Bad floatingip request: Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses.",
        )
    if fixed_ip_address:
        number = number_of(fixed_ip_address)
        lines = [line for line in lines if line.number == number]
        if not lines:
            raise bad(
                "BadRequest",
                f"Bad floatingip request: Port {port.id} does not have fixed ip {fixed_ip_address}.",
            )
    elif len(lines) > 1:
        raise bad(
            "BadRequest",
            f"Bad floatingip request: Port {port.id} has multiple fixed IPv4 addresses. Must provide a specific "
            "IPv4 address when assigning a floating IP.",
        )
    taken = await rows.one(session, StoredFloatingIp, port_id=port.id, fixed_number=lines[0].number)
    if taken and taken.id != row.id:
        raise conflict(
            "FloatingIPPortAlreadyAssociated",
            f"Cannot associate floating IP {row.address} ({row.id}) with port {port.id} using fixed IP "
            f"{ip_of(lines[0].number)}, as that fixed IP already has a floating IP on external network "
            f"{row.external_network_id}.",
        )
    router = await _reaching(session, row.external_network_id, port, lines[0].subnet_id)
    new = {"port_id": port.id, "fixed_number": lines[0].number, "router_id": router, "fault": None}
    await rows.change(session, StoredFloatingIp, row.id, **new, status="DOWN")
    touched.gateway = True


async def _reaching(session: Session, external: str, port: StoredPort, subnet_id: str) -> str:
    if joined := await _joined(session, port.network_id, subnet_id):
        found = await rows.lock(session, StoredRouter, id=joined, external_network_id=external)
        # Whoever held the router until now may have parted it from the subnet.
        left = await _joined(session, port.network_id, subnet_id) if found else set()
        for router in found:
            if router.id in left:
                return router.id
    raise _out_of_reach(external, subnet_id, port.id)


async def _joined(session: Session, network_id: str, subnet_id: str) -> set[str]:
    """Return the ids of the routers that have an interface on a subnet."""
    legs = await rows.find(session, StoredPort, network_id=network_id, device_owner="network:router_interface")
    on_subnet = {line.port_id for line in await addresses_of(session, rows.ids(legs)) if line.subnet_id == subnet_id}
    return {leg.device_id for leg in legs if leg.id in on_subnet}


def _out_of_reach(external: str, subnet_id: str, port_id: str) -> NotFound:
    return NotFound(
        f"External network {external} is not reachable from subnet {subnet_id}. Therefore, cannot associate Port "
        f"{port_id} with a Floating IP. Add the subnet to a router that has the external network as its gateway.",
        kind="ExternalGatewayForFloatingIPNotFound",
    )


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: FloatingIpChange
) -> FloatingIpDetails:
    """Associate, move or disassociate a floating IP the caller owns."""
    row = await the_own(session, context, StoredFloatingIp, "floating IP", key)
    new: dict[str, object] = {}
    if values.description is not LEFT_OUT:
        new["description"] = values.description
    fixed = values.fixed_ip_address or None
    if values.port_id:
        await _associate(session, touched, context, row, values.port_id, fixed)
    elif values.port_id is not LEFT_OUT:
        if fixed:
            raise _without_port()
        new |= FREE
    elif fixed:
        if not row.port_id:
            raise _without_port()
        await _associate(session, touched, context, row, row.port_id, fixed)
    if new:
        await rows.change(session, StoredFloatingIp, key, **new)
    touched.gateway = True
    return await _shown(session, key)


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a floating IP the caller owns; its address becomes free."""
    row = await the_own(session, context, StoredFloatingIp, "floating IP", key)
    await rows.remove(session, StoredFloatingIp, id=key)
    await drop(session, touched, await rows.find(session, StoredPort, id=row.floating_port_id))


FloatingIps = Resources[StoredFloatingIp, FloatingIpDetails, NewFloatingIp, FloatingIpChange]
FLOATING_IPS = ResourceKind(
    called="floating IP",
    stored=StoredFloatingIp,
    seen_by=floating_ips.seen_by,
    listed=in_rows(StoredFloatingIp, details),
    create=create,
    update=update,
    delete=delete,
)
