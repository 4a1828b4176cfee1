"""Floating IPs: made, associated, moved and deleted."""

from collections.abc import Mapping, Sequence
from typing import Any

from novakit.context import RequestContext
from novakit.network import quotas
from novakit.network.access import owns, project_of, the_network, the_own
from novakit.network.allocation.addresses import containing, ip_of, number_of
from novakit.network.allocation.drafts import PortDraft, choose, new_port, write
from novakit.network.ports import drop
from novakit.network.refusals import bad, conflict, forbidden, not_found
from novakit.network.views import standard
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import FREE, floating_ips
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import subnets
from novakit.store.network.ports import addresses_of, ports
from novakit.store.network.routers import routers

OWNER = "network:floatingip"


async def views(session: Session, found: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Show floating IPs with what they lead to."""
    keys = [row["port_id"] for row in found if row["port_id"]]
    targets = {port["id"]: port for port in await rows.find(session, ports, id=keys)} if keys else {}
    return [_view(row, targets.get(row["port_id"])) for row in found]


def _view(row: Mapping[Any, Any], target: Row | None) -> dict[str, Any]:
    shown = standard(row)
    del shown["name"]
    return {
        **shown,
        "floating_ip_address": row["address"],
        "floating_network_id": row["external_network_id"],
        "fixed_ip_address": ip_of(row["fixed_number"]) if row["port_id"] else None,
        "port_id": row["port_id"],
        "router_id": row["router_id"],
        "status": row["status"],
        "dns_name": "",
        "dns_domain": "",
        "qos_policy_id": None,
        "port_forwardings": [],
        "port_details": {
            "name": target["name"],
            "network_id": target["network_id"],
            "mac_address": target["mac"],
            "admin_state_up": target["admin_state_up"],
            "status": target["status"],
            "device_id": target["device_id"],
            "device_owner": target["device_owner"],
        }
        if target
        else None,
    }


async def create(
    session: Session, touched: Touched, context: RequestContext, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a floating IP, leading to a port at once when one is named."""
    network = await the_network(session, context, values["floating_network_id"])
    if not network["external"]:
        raise bad("BadRequest", f"Bad floatingip request: Network {network['id']} is not a valid external network.")
    project = project_of(context, values)
    await quotas.reserve(session, project, "floatingip")
    own = await rows.lock(session, subnets, network_id=network["id"])
    if values.get("subnet_id") and values["subnet_id"] not in rows.ids(own):
        raise bad("BadRequest", f"Bad floatingip request: subnet {values['subnet_id'][:64]} is not of the network.")
    row = rows.fresh(
        project_id=project,
        description=values.get("description") or "",
        tags=list(values.get("tags") or ()),
        external_network_id=network["id"],
        **FREE,
    )
    port = new_port(network["id"], device_id=row["id"], device_owner=OWNER, port_security=False)
    draft = PortDraft(row=port, wants=_wants(context, network, own, values))
    await choose(session, [draft], {network["id"]: own})
    if not draft.numbers:
        raise bad("BadRequest", f"Bad floatingip request: Network {network['id']} has no subnet to take one from.")
    await write(session, [draft])
    row |= {"floating_port_id": port["id"], "address": ip_of(draft.numbers[0][1])}
    await rows.add(session, floating_ips, [row])
    if values.get("port_id"):
        await _associate(session, touched, context, row, values)
    return (await views(session, await rows.find(session, floating_ips, id=row["id"])))[0]


def _wants(
    context: RequestContext, network: Row, own: Sequence[Row], values: Mapping[str, Any]
) -> list[tuple[str, int | None]] | None:
    ip, subnet_id = values.get("floating_ip_address"), values.get("subnet_id")
    if not ip:
        return [(subnet_id, None)] if subnet_id else None
    if not owns(context, network):
        raise forbidden("Choosing the address of a floating IP")
    subnet = containing(own, number_of(ip))
    if subnet is None:
        raise bad(
            "InvalidIpForNetwork", f"IP address {ip} is not a valid IP for any of the subnets on the specified network."
        )
    return [(subnet["id"], number_of(ip))]


async def _associate(
    session: Session, touched: Touched, context: RequestContext, row: Mapping[Any, Any], values: Mapping[str, Any]
) -> None:
    """Lead a floating IP to a port's address that a router with a gateway to its network reaches."""
    port = await the_own(session, context, ports, "port", values["port_id"])
    lines = await addresses_of(session, [port["id"]])
    if not lines:
        raise bad(
            "BadRequest",
            f"Bad floatingip request: Cannot add floating IP to port {port['id']} that has no fixed IPv4 addresses.",
        )
    if values.get("fixed_ip_address"):
        number = number_of(values["fixed_ip_address"])
        lines = [line for line in lines if line["number"] == number]
        if not lines:
            raise bad(
                "BadRequest",
                f"Bad floatingip request: Port {port['id']} does not have fixed ip {values['fixed_ip_address']}.",
            )
    elif len(lines) > 1:
        raise bad(
            "BadRequest",
            f"Bad floatingip request: Port {port['id']} has multiple fixed IPv4 addresses. Must provide a specific "
            "IPv4 address when assigning a floating IP.",
        )
    taken = await rows.one(session, floating_ips, port_id=port["id"], fixed_number=lines[0]["number"])
    if taken and taken["id"] != row["id"]:
        raise conflict(
            "FloatingIPPortAlreadyAssociated",
            f"Cannot associate floating IP {row['address']} ({row['id']}) with port {port['id']} using fixed IP "
            f"{ip_of(lines[0]['number'])}, as that fixed IP already has a floating IP on external network "
            f"{row['external_network_id']}.",
        )
    router = await _reaching(session, row["external_network_id"], port, lines[0]["subnet_id"])
    new = {"port_id": port["id"], "fixed_number": lines[0]["number"], "router_id": router, "fault": None}
    await rows.change(session, floating_ips, row["id"], **new, status="DOWN")
    touched.gateway = True


async def _reaching(session: Session, external: str, port: Row, subnet_id: str) -> str:
    legs = await rows.find(session, ports, network_id=port["network_id"], device_owner="network:router_interface")
    on_subnet = {
        line["port_id"] for line in await addresses_of(session, rows.ids(legs)) if line["subnet_id"] == subnet_id
    }
    joined = [leg["device_id"] for leg in legs if leg["id"] in on_subnet]
    found = await rows.lock(session, routers, id=joined, external_network_id=external) if joined else []
    if not found:
        raise not_found_reach(external, subnet_id, port["id"])
    return str(found[0]["id"])


def not_found_reach(external: str, subnet_id: str, port_id: str) -> Exception:
    """Make the error for a port that no router joins to the external network."""
    error = not_found("floating IP", port_id)
    return type(error)(
        f"External network {external} is not reachable from subnet {subnet_id}. Therefore, cannot associate Port "
        f"{port_id} with a Floating IP. Add the subnet to a router that has the external network as its gateway.",
        kind="ExternalGatewayForFloatingIPNotFound",
    )


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """Associate, move or disassociate a floating IP the caller owns."""
    row = await the_own(session, context, floating_ips, "floating IP", key)
    new = {"description": values["description"] or ""} if "description" in values else {}
    if values.get("port_id"):
        await _associate(session, touched, context, row, values)
    elif "port_id" in values:
        new |= FREE
    elif values.get("fixed_ip_address"):
        if not row["port_id"]:
            raise bad("BadRequest", "Bad floatingip request: fixed_ip_address cannot be specified without a port_id.")
        await _associate(session, touched, context, row, {**values, "port_id": row["port_id"]})
    if new:
        await rows.change(session, floating_ips, key, **new)
    touched.gateway = True
    return (await views(session, await rows.find(session, floating_ips, id=key)))[0]


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a floating IP the caller owns; its address becomes free."""
    row = await the_own(session, context, floating_ips, "floating IP", key)
    await rows.remove(session, floating_ips, id=key)
    await drop(session, touched, await rows.find(session, ports, id=row["floating_port_id"]))
