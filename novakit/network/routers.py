"""Routers: made, shown, changed, deleted, and joined to subnets and external networks.

The idea: a router's legs are ports with a `device_owner` of the network's own, so addresses, quotas and topology know
them as they know every port.
The invariant: the subnets a router is joined to never overlap, and what a floating IP or a route of it needs stays
joined. A port that serves as a leg is deleted through its router alone.
The cost: 3 statements to make a router, 11 to join it to a subnet and 9 to part it; one to list the addresses of the
gateways of any number.
"""

from collections import defaultdict
from collections.abc import Sequence

import attrs

from novakit.context import RequestContext
from novakit.errors import NotFound
from novakit.left_out import LEFT_OUT, LeftOut, either, sent
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, ip_of, number_of
from novakit.network.allocation.drafts import PortDraft, choose, drop, new_port, write
from novakit.network.interfaces import GATEWAY, INTERFACE, ports_of, refuse_needed, refuse_overlap
from novakit.network.records import Hop, Id, WantedAddress, WantedGateway
from novakit.network.refusals import bad, conflict, not_found
from novakit.network.resources import ResourceKind, Resources, in_rows
from novakit.network.subnets import read_routes
from novakit.store.engine import Session
from novakit.store.network import routers, rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredAddress, StoredPort, addresses_of
from novakit.store.network.routers import StoredRouter
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched


@attrs.frozen(kw_only=True)
class NewRouter:
    """A router that is asked for."""

    project_id: str | LeftOut | None = LEFT_OUT
    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    tags: Sequence[str] = ()
    admin_state_up: bool | LeftOut = LEFT_OUT
    gateway: WantedGateway | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class RouterChange:
    """What of a router can be changed."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    admin_state_up: bool | LeftOut = LEFT_OUT
    gateway: WantedGateway | LeftOut | None = LEFT_OUT
    """None, and one without a network, takes the gateway away."""
    routes: Sequence[Hop] | LeftOut | None = LEFT_OUT


@attrs.frozen(kw_only=True)
class WantedInterface:
    """What a router is to be joined to or parted from: a subnet, or a port and with it its subnets."""

    subnet_id: Id | LeftOut = LEFT_OUT
    port_id: Id | LeftOut = LEFT_OUT


@attrs.frozen
class RouterDetails:
    """A router with the addresses of its gateway."""

    router: StoredRouter
    gateway_addresses: Sequence[StoredAddress]


@attrs.frozen
class InterfaceDetails:
    """A router's port on some subnets of one network."""

    router: StoredRouter
    port_id: str
    subnets: Sequence[StoredSubnet]


async def details(session: Session, found: Sequence[StoredRouter]) -> list[RouterDetails]:
    """Add the addresses of gateways: one statement for any number of routers."""
    fixed: dict[str | None, list[StoredAddress]] = defaultdict(list)
    for line in await addresses_of(session, [row.gateway_port_id for row in found if row.gateway_port_id]):
        fixed[line.port_id].append(line)
    return [RouterDetails(row, fixed[row.gateway_port_id]) for row in found]


async def create(session: Session, touched: Touched, context: RequestContext, values: NewRouter) -> RouterDetails:
    """Make a router, with a gateway when one is asked for."""
    project = project_of(context, values.project_id)
    await quotas.reserve(session, project, "router")
    row = StoredRouter(
        **rows.fresh(
            project_id=project, name=values.name or "", description=values.description or "", tags=values.tags
        ),
        admin_state_up=either(values.admin_state_up, True),
        status="ACTIVE",
        fault=None,
        external_network_id=None,
        gateway_port_id=None,
        snat=True,
        routes=[],
    )
    await rows.add(session, [row])
    if values.gateway:
        await _set_gateway(session, touched, context, row.id, values.gateway)
    return await _shown(session, row.id)


async def _shown(session: Session, key: str) -> RouterDetails:
    return (await details(session, await rows.find(session, StoredRouter, id=key)))[0]


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: RouterChange
) -> RouterDetails:
    """Change a router the caller owns: its gateway, its extra routes, its name."""
    await the_own(session, context, StoredRouter, "router", key)
    new = {name: value for name, value in sent(values).items() if name in ("name", "description", "admin_state_up")}
    if values.gateway is not LEFT_OUT:
        await _set_gateway(session, touched, context, key, values.gateway)
    if values.routes is not LEFT_OUT:
        new["routes"] = await _routes(session, key, values.routes)
    await rows.change(session, StoredRouter, key, **new)
    touched.gateway = True
    return await _shown(session, key)


async def _routes(session: Session, key: str, asked: Sequence[Hop] | None) -> list[tuple[str, str]]:
    found = read_routes(asked)
    own = await ports_of(session, key)
    joined = {line.subnet_id for line in await addresses_of(session, rows.ids(own))}
    reachable = await rows.find(session, StoredSubnet, id=joined) if joined else []
    for destination, hop in found:
        if containing(reachable, number_of(hop)) is None:
            raise bad(
                "InvalidRoutes",
                f"Invalid format for routes: {destination} via {hop}, the nexthop is not connected with router",
            )
    return found


async def _set_gateway(
    session: Session, touched: Touched, context: RequestContext, key: str, asked: WantedGateway | None
) -> None:
    router = (await rows.lock(session, StoredRouter, id=key))[0]
    touched.gateway = True
    if asked is not None and asked.network_id is LEFT_OUT and asked != WantedGateway():
        raise bad("HTTPBadRequest", "Invalid input for external_gateway_info. Reason: network_id is missing.")
    external = (asked.network_id or None) if asked is not None else None
    stays = external is not None and external == router.external_network_id
    if asked is not None and stays and await _has(session, router, asked):
        await rows.change(session, StoredRouter, key, snat=either(asked.enable_snat, True))
        return
    if router.gateway_port_id:
        await _clear_gateway(session, touched, router)
    if asked is None or not external:
        return
    network = await the_network(session, context, external)
    if not network.external:
        raise bad("BadRequest", f"Bad router request: Network {external} is not an external network.")
    own = await rows.lock(session, StoredSubnet, network_id=external)
    await refuse_overlap(session, key, own)
    wants = _gateway_wants(own, asked.external_fixed_ips or ())
    row = new_port(external, device_id=key, device_owner=GATEWAY, port_security=False, status="ACTIVE")
    draft = PortDraft(row=row, wants=wants)
    await choose(session, [draft], {external: own})
    if not draft.numbers:
        raise bad("BadRequest", f"Bad router request: external network {external} has no subnet with a free address.")
    await write(session, [draft])
    await rows.change(
        session,
        StoredRouter,
        key,
        external_network_id=external,
        gateway_port_id=row.id,
        snat=either(asked.enable_snat, True),
    )


async def _has(session: Session, router: StoredRouter, asked: WantedGateway) -> bool:
    """Return whether the gateway has every address that is asked for already."""
    gateway = [router.gateway_port_id] if router.gateway_port_id else []
    have = [(line.subnet_id, ip_of(line.number)) for line in await addresses_of(session, gateway)]
    return all(
        any(either(one.subnet_id, key) == key and either(one.ip_address, ip) == ip for key, ip in have)
        for one in asked.external_fixed_ips or ()
    )


def _gateway_wants(own: Sequence[StoredSubnet], asked: Sequence[WantedAddress]) -> list[tuple[str, int | None]] | None:
    found: list[tuple[str, int | None]] = []
    for one in asked:
        number = number_of(one.ip_address) if one.ip_address else None
        subnet = next((row for row in own if row.id == one.subnet_id), None)
        if subnet is None and number is not None and not one.subnet_id:
            subnet = containing(own, number)
        if subnet is None or (number is not None and containing([subnet], number) is None):
            raise bad(
                "InvalidIpForNetwork",
                "external_fixed_ips names an address or a subnet that is not on the external network.",
            )
        found.append((subnet.id, number))
    return found or None


async def _clear_gateway(session: Session, touched: Touched, router: StoredRouter) -> None:
    if await rows.one(session, StoredFloatingIp, router_id=router.id):
        raise conflict(
            "RouterExternalGatewayInUseByFloatingIp",
            f"Gateway cannot be updated for router {router.id}, since a gateway to external network "
            f"{router.external_network_id} is required by one or more floating IPs.",
        )
    await rows.change(session, StoredRouter, router.id, external_network_id=None, gateway_port_id=None)
    await drop(session, touched, await rows.find(session, StoredPort, id=router.gateway_port_id))


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a router without interfaces; raise `RouterInUse` otherwise. Its gateway goes with it."""
    row = await the_own(session, context, StoredRouter, "router", key)
    if await ports_of(session, key, INTERFACE):
        raise conflict("RouterInUse", f"Router {key} still has ports")
    if row.gateway_port_id:
        await _clear_gateway(session, touched, row)
    await rows.remove(session, StoredRouter, id=key)
    touched.gateway = True


async def add_interface(
    session: Session, touched: Touched, context: RequestContext, key: str, values: WantedInterface
) -> InterfaceDetails:
    """Join a router to a subnet, at the subnet's gateway address or with a given port."""
    router = await the_own(session, context, StoredRouter, "router", key)
    if values.port_id:
        port_id, own = await _by_port(session, context, router, values.port_id)
    elif values.subnet_id:
        port_id, own = await _by_subnet(session, context, router, values.subnet_id)
    else:
        raise _neither()
    touched.gateway = True
    touched.networks.add(own[0].network_id)
    return InterfaceDetails(router, port_id, own)


def _neither() -> Exception:
    return bad("BadRequest", "Bad router request: Either subnet_id or port_id must be specified.")


async def _by_subnet(
    session: Session, context: RequestContext, router: StoredRouter, key: str
) -> tuple[str, list[StoredSubnet]]:
    await quotas.reserve(session, router.project_id, "port")
    own = await rows.lock(session, StoredSubnet, id=key)
    if not own:
        raise not_found("subnet", key)
    network = await _usable(session, context, own[0])
    if not owns(context, network):
        # At the gateway's address the router would stand between all others on the network and what they reach.
        raise bad(
            "BadRequest",
            f"Bad router request: Cannot add interface to router because subnet {key} is not owned by project making "
            "the request; create a port on the subnet, and add that with port_id.",
        )
    if own[0].gateway_ip is None:
        raise bad("BadRequest", "Bad router request: Subnet for router interface must have a gateway IP.")
    await refuse_overlap(session, router.id, own)
    row = new_port(
        own[0].network_id,
        project_id=router.project_id,
        device_id=router.id,
        device_owner=INTERFACE,
        port_security=False,
        status="ACTIVE",
    )
    draft = PortDraft(row=row, wants=[(key, number_of(own[0].gateway_ip))])
    await choose(session, [draft], {own[0].network_id: own})
    await write(session, [draft])
    return row.id, own


async def _usable(session: Session, context: RequestContext, subnet: StoredSubnet) -> StoredNetwork:
    try:
        network = await the_network(session, context, subnet.network_id)
    except NotFound as error:
        raise not_found("subnet", subnet.id) from error
    if not (owns(context, network) or network.shared):
        raise not_found("subnet", subnet.id)
    if network.external:
        raise bad(
            "BadRequest",
            "Bad router request: an external network cannot be an interface; set it in external_gateway_info.",
        )
    return network


async def _by_port(
    session: Session, context: RequestContext, router: StoredRouter, key: str
) -> tuple[str, list[StoredSubnet]]:
    port = await the_own(session, context, StoredPort, "port", key)
    if port.device_id or port.server_id:
        raise conflict(
            "PortInUse",
            f"Unable to complete operation on port {key} for network {port.network_id}. Port already has an "
            f"attached device {port.device_id}.",
        )
    lines = await addresses_of(session, [key])
    if not lines:
        raise bad("BadRequest", "Bad router request: Router port must have at least one fixed IP.")
    own = await rows.lock(session, StoredSubnet, id={line.subnet_id for line in lines})
    await _usable(session, context, own[0])
    await refuse_overlap(session, router.id, own)
    await rows.change(session, StoredPort, key, device_id=router.id, device_owner=INTERFACE, status="ACTIVE")
    return key, own


async def remove_interface(
    session: Session, touched: Touched, context: RequestContext, key: str, values: WantedInterface
) -> InterfaceDetails:
    """Part a router from a subnet. Raises Conflict while a floating IP or a route of it needs the subnet."""
    router = await the_own(session, context, StoredRouter, "router", key)
    if not (values.port_id or values.subnet_id):
        raise _neither()
    port, lines = await _the_interface(session, key, values)
    own = await rows.find(session, StoredSubnet, id={line.subnet_id for line in lines})
    await refuse_needed(session, router, own)
    await drop(session, touched, [port])
    touched.networks.add(port.network_id)
    return InterfaceDetails(router, port.id, own)


async def _the_interface(session: Session, key: str, values: WantedInterface) -> tuple[StoredPort, list[StoredAddress]]:
    port_id, subnet_id = values.port_id, values.subnet_id
    for port in await ports_of(session, key, INTERFACE):
        lines = await addresses_of(session, [port.id])
        on = {line.subnet_id for line in lines}
        if port_id and port.id == port_id:
            if subnet_id and subnet_id not in on:
                raise conflict(
                    "SubnetMismatchForPort",
                    f"Subnet on port {port_id} does not match the requested subnet {subnet_id}.",
                )
            return port, lines
        if not port_id and subnet_id in on:
            return port, lines
    if port_id:
        raise not_found("router interface", f"{port_id} of router {key}")
    raise not_found("router interface for subnet", f"{subnet_id} of router {key}")


@attrs.frozen
class Routers(Resources[StoredRouter, RouterDetails, NewRouter, RouterChange]):
    """All routers, and what joins them to subnets."""

    async def add_interface(self, context: RequestContext, key: str, values: WantedInterface) -> InterfaceDetails:
        """Join a router to a subnet, at the subnet's gateway address or with a given port."""
        return await self.transactions.write(
            lambda session, touched: add_interface(session, touched, context, key, values)
        )

    async def remove_interface(self, context: RequestContext, key: str, values: WantedInterface) -> InterfaceDetails:
        """Part a router from a subnet."""
        return await self.transactions.write(
            lambda session, touched: remove_interface(session, touched, context, key, values)
        )


ROUTERS = ResourceKind(
    called="router",
    stored=StoredRouter,
    seen_by=routers.seen_by,
    listed=in_rows(StoredRouter, details),
    create=create,
    update=update,
    delete=delete,
)
