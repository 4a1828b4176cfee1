"""Routers: made, shown, changed, deleted, and joined to subnets and external networks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, ip_of, number_of
from novakit.network.allocation.drafts import PortDraft, choose, new_port, write
from novakit.network.interfaces import GATEWAY, INTERFACE, ports_of, refuse_needed, refuse_overlap
from novakit.network.ports import drop
from novakit.network.refusals import bad, conflict, not_found
from novakit.network.subnets import read_routes
from novakit.network.views import route, standard
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import subnets
from novakit.store.network.ports import addresses_of, ports
from novakit.store.network.routers import routers


async def views(session: Session, found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show routers with the addresses of their gateways."""
    fixed: dict[str, list[dict[str, str]]] = defaultdict(list)
    for line in await addresses_of(session, [row["gateway_port_id"] for row in found if row["gateway_port_id"]]):
        fixed[line["port_id"]].append({"subnet_id": line["subnet_id"], "ip_address": ip_of(line["number"])})
    return [
        {
            **standard(row),
            "admin_state_up": row["admin_state_up"],
            "status": row["status"],
            "external_gateway_info": {
                "network_id": row["external_network_id"],
                "enable_snat": row["snat"],
                "external_fixed_ips": fixed[row["gateway_port_id"]],
            }
            if row["gateway_port_id"]
            else None,
            "routes": [route(pair) for pair in row["routes"]],
            "distributed": False,
            "ha": False,
            "availability_zone_hints": [],
            "availability_zones": ["nova"],
            "flavor_id": None,
        }
        for row in found
    ]


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a router, with a gateway when one is asked for."""
    project = project_of(context, values)
    await quotas.reserve(session, project, "router")
    row = rows.fresh(
        project_id=project,
        name=values.get("name") or "",
        description=values.get("description") or "",
        tags=list(values.get("tags") or ()),
        admin_state_up=values.get("admin_state_up", True),
        status="ACTIVE",
        snat=True,
        routes=[],
    )
    await rows.add(session, routers, [row])
    if values.get("external_gateway_info"):
        await _set_gateway(session, touched, context, row["id"], values["external_gateway_info"])
    return await _shown(session, row["id"])


async def _shown(session: Session, key: str) -> dict[str, Any]:
    return (await views(session, await rows.find(session, routers, id=key)))[0]


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Change a router the caller owns: its gateway, its extra routes, its name."""
    await the_own(session, context, routers, "router", key)
    new = {name: values[name] for name in ("name", "description", "admin_state_up") if values.get(name) is not None}
    if "external_gateway_info" in values:
        await _set_gateway(session, touched, context, key, values["external_gateway_info"] or {})
    if "routes" in values:
        new["routes"] = await _routes(session, key, values["routes"])
    await rows.change(session, routers, key, **new)
    touched.gateway = True
    return await _shown(session, key)


async def _routes(session: Session, key: str, asked: Any) -> list[tuple[str, str]]:
    found = read_routes(asked)
    own = await ports_of(session, key)
    joined = {line["subnet_id"] for line in await addresses_of(session, rows.ids(own))}
    reachable = await rows.find(session, subnets, id=joined) if joined else []
    for destination, hop in found:
        if containing(reachable, number_of(hop)) is None:
            raise bad(
                "InvalidRoutes",
                f"Invalid format for routes: {destination} via {hop}, the nexthop is not connected with router",
            )
    return found


async def _set_gateway(
    session: Session, touched: Touched, context: RequestContext, key: str, asked: Mapping[str, Any]
) -> None:
    router = (await rows.lock(session, routers, id=key))[0]
    touched.gateway = True
    external, snat = asked.get("network_id"), asked.get("enable_snat", True)
    if asked and "network_id" not in asked:
        raise bad("HTTPBadRequest", "Invalid input for external_gateway_info. Reason: network_id is missing.")
    if external and external == router["external_network_id"] and await _has(session, router, asked):
        await rows.change(session, routers, key, snat=snat)
        return
    if router["gateway_port_id"]:
        await _clear_gateway(session, touched, router)
    if not external:
        return
    network = await the_network(session, context, external)
    if not network["external"]:
        raise bad("BadRequest", f"Bad router request: Network {external} is not an external network.")
    own = await rows.lock(session, subnets, network_id=external)
    await refuse_overlap(session, key, own)
    wants = _gateway_wants(own, asked.get("external_fixed_ips") or ())
    row = new_port(external, device_id=key, device_owner=GATEWAY, port_security=False, status="ACTIVE")
    draft = PortDraft(row=row, wants=wants)
    await choose(session, [draft], {external: own})
    if not draft.numbers:
        raise bad("BadRequest", f"Bad router request: external network {external} has no subnet with a free address.")
    await write(session, [draft])
    await rows.change(session, routers, key, external_network_id=external, gateway_port_id=row["id"], snat=snat)


async def _has(session: Session, router: Row, asked: Mapping[str, Any]) -> bool:
    """Say whether the gateway has every address that is asked for already."""
    have = [
        (line["subnet_id"], ip_of(line["number"])) for line in await addresses_of(session, [router["gateway_port_id"]])
    ]
    return all(
        any(wish.get("subnet_id", key) == key and wish.get("ip_address", ip) == ip for key, ip in have)
        for wish in asked.get("external_fixed_ips") or ()
    )


def _gateway_wants(own: Sequence[Row], asked: Sequence[Mapping[str, str]]) -> list[tuple[str, int | None]] | None:
    found: list[tuple[str, int | None]] = []
    for wish in asked:
        number = number_of(wish["ip_address"]) if wish.get("ip_address") else None
        subnet = next((row for row in own if row["id"] == wish.get("subnet_id")), None)
        if subnet is None and number is not None and not wish.get("subnet_id"):
            subnet = containing(own, number)
        if subnet is None or (number is not None and containing([subnet], number) is None):
            raise bad("InvalidIpForNetwork", "external_fixed_ips name an address or subnet that is not of the network.")
        found.append((subnet["id"], number))
    return found or None


async def _clear_gateway(session: Session, touched: Touched, router: Row) -> None:
    if await rows.one(session, floating_ips, router_id=router["id"]):
        raise conflict(
            "RouterExternalGatewayInUseByFloatingIp",
            f"Gateway cannot be updated for router {router['id']}, since a gateway to external network "
            f"{router['external_network_id']} is required by one or more floating IPs.",
        )
    await rows.change(session, routers, router["id"], external_network_id=None, gateway_port_id=None)
    await drop(session, touched, await rows.find(session, ports, id=router["gateway_port_id"]))


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a router without interfaces; raise `RouterInUse` otherwise. Its gateway goes with it."""
    row = await the_own(session, context, routers, "router", key)
    if await ports_of(session, key, INTERFACE):
        raise conflict("RouterInUse", f"Router {key} still has ports")
    if row["gateway_port_id"]:
        await _clear_gateway(session, touched, row)
    await rows.remove(session, routers, id=key)
    touched.gateway = True


async def add_interface(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Join a router to a subnet, at the subnet's gateway address or with a given port."""
    router = await the_own(session, context, routers, "router", key)
    _one_of(values)
    if values.get("port_id"):
        port_id, own = await _by_port(session, context, router, values["port_id"])
    else:
        port_id, own = await _by_subnet(session, context, router, values["subnet_id"])
    touched.gateway = True
    touched.networks.add(own[0]["network_id"])
    return _interface(router, port_id, own)


def _one_of(values: Mapping[str, Any]) -> None:
    if not (values.get("port_id") or values.get("subnet_id")):
        raise bad("BadRequest", "Bad router request: Either subnet_id or port_id must be specified.")


def _interface(router: Row, port_id: str, own: Sequence[Row]) -> dict[str, Any]:
    return {
        "id": router["id"],
        "project_id": router["project_id"],
        "tenant_id": router["project_id"],
        "port_id": port_id,
        "network_id": own[0]["network_id"],
        "subnet_id": own[0]["id"],
        "subnet_ids": rows.ids(own),
        "tags": router["tags"],
    }


async def _by_subnet(session: Session, context: RequestContext, router: Row, key: str) -> tuple[str, list[Row]]:
    await quotas.reserve(session, router["project_id"], "port")
    own = await rows.lock(session, subnets, id=key)
    if not own:
        raise not_found("subnet", key)
    await _usable(session, context, own[0])
    if own[0]["gateway_ip"] is None:
        raise bad("BadRequest", "Bad router request: Subnet for router interface must have a gateway IP.")
    await refuse_overlap(session, router["id"], own)
    row = new_port(
        own[0]["network_id"],
        project_id=router["project_id"],
        device_id=router["id"],
        device_owner=INTERFACE,
        port_security=False,
        status="ACTIVE",
    )
    draft = PortDraft(row=row, wants=[(key, number_of(own[0]["gateway_ip"]))])
    await choose(session, [draft], {own[0]["network_id"]: own})
    await write(session, [draft])
    return row["id"], own


async def _usable(session: Session, context: RequestContext, subnet: Row) -> None:
    try:
        network = await the_network(session, context, subnet["network_id"])
    except Exception as error:
        raise not_found("subnet", subnet["id"]) from error
    if not (owns(context, network) or network["shared"]):
        raise not_found("subnet", subnet["id"])
    if network["external"]:
        raise bad(
            "BadRequest",
            "Bad router request: an external network is joined as external_gateway_info, not as interface.",
        )


async def _by_port(session: Session, context: RequestContext, router: Row, key: str) -> tuple[str, list[Row]]:
    port = await the_own(session, context, ports, "port", key)
    if port["device_id"] or port["server_id"]:
        raise conflict(
            "PortInUse",
            f"Unable to complete operation on port {key} for network {port['network_id']}. Port already has an "
            f"attached device {port['device_id']}.",
        )
    lines = await addresses_of(session, [key])
    if not lines:
        raise bad("BadRequest", "Bad router request: Router port must have at least one fixed IP.")
    own = await rows.lock(session, subnets, id={line["subnet_id"] for line in lines})
    await _usable(session, context, own[0])
    await refuse_overlap(session, router["id"], own)
    await rows.change(session, ports, key, device_id=router["id"], device_owner=INTERFACE, status="ACTIVE")
    return key, own


async def remove_interface(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Part a router from a subnet; raise `RouterInterfaceInUseByFloatingIP` while a floating IP needs it."""
    router = await the_own(session, context, routers, "router", key)
    _one_of(values)
    port, lines = await _the_interface(session, key, values)
    own = await rows.find(session, subnets, id={line["subnet_id"] for line in lines})
    await refuse_needed(session, router, own)
    await drop(session, touched, [port])
    touched.networks.add(port["network_id"])
    return _interface(router, port["id"], own)


async def _the_interface(session: Session, key: str, values: Mapping[str, Any]) -> tuple[Row, list[Row]]:
    port_id, subnet_id = values.get("port_id"), values.get("subnet_id")
    for port in await ports_of(session, key, INTERFACE):
        lines = await addresses_of(session, [port["id"]])
        on = {line["subnet_id"] for line in lines}
        if port_id and port["id"] == port_id:
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
