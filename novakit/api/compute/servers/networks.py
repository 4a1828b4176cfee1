"""What a server has on the network: addresses, interfaces, security groups."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from novakit import errors
from novakit.api.compute.domain import Compute
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import not_served as schemas
from novakit.api.compute.servers import views
from novakit.api.compute.servers.servers import server_of
from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.network import PortInfo
from novakit.network.security_group_rules import RuleDetails
from novakit.network.security_groups import SecurityGroupDetails

ICMP = ("icmp", "icmpv6", "ipv6-icmp", "1", "58")
Names = Mapping[str, tuple[str, str]]
"""Name and project of security groups by id."""
NOT_SERVED = "Interfaces are given to a server when it is created; attaching and detaching them is not served yet."


async def ips(call: Call[Compute]) -> web.Response:
    """Show the addresses by network."""
    return reply({"addresses": await _addresses(call)})


async def ips_of_network(call: Call[Compute]) -> web.Response:
    """Show the addresses on one network."""
    shown = await _addresses(call)
    name = part(call, "network")
    if name not in shown:
        raise errors.NotFound("Instance is not a member of specified network")
    return reply({name: shown[name]})


async def interfaces(call: Call[Compute]) -> web.Response:
    """List the ports."""
    found = await _ports(call)
    return reply({"interfaceAttachments": [_interface(call, port) for port in found]})


async def interface(call: Call[Compute]) -> web.Response:
    """Show one port."""
    port_id = part(call, "port")
    for port in await _ports(call):
        if port.id == port_id:
            return reply({"interfaceAttachment": _interface(call, port)})
    raise errors.NotFound(f"Instance {part(call, 'id')} does not have a port with id {port_id}")


async def not_served(call: Call[Compute]) -> web.Response:
    """Refuse to attach or detach."""
    await server_of(call)
    if call.request.method == "POST" and call.request.can_read_body:
        await schemas.attach_interface.require(call)
    raise errors.NotImplementedHere(NOT_SERVED)


async def security_groups(call: Call[Compute]) -> web.Response:
    """List the security groups of a server's ports."""
    server = await server_of(call)
    found, names = await call.service.servers.security_groups(server.id)
    return reply({"security_groups": [_group(group, names) for group in found]})


def _group(one: SecurityGroupDetails, names: Names) -> Document:
    """Show a security group as the compute API did before there was a network API: rules for what comes in alone."""
    group, inward = one.group, [rule for rule in one.rules if rule.direction == "ingress"]
    return {
        "id": group.id,
        "name": group.name,
        "description": group.description,
        "tenant_id": group.project_id,
        "rules": [_rule(rule, names) for rule in inward],
    }


def _rule(rule: RuleDetails, names: Names) -> Document:
    low, high, protocol = rule.port_min, rule.port_max, rule.protocol
    if protocol is not None and low is None:
        low, high = (-1, -1) if protocol in ICMP else (1, 65535)
    shown: Document = {
        "id": rule.id,
        "parent_group_id": rule.security_group_id,
        "ip_protocol": protocol,
        "from_port": low,
        "to_port": high,
        "group": {},
        "ip_range": {},
    }
    if remote := rule.remote_group_id:
        name, project = names[remote]
        shown["group"] = {"name": name, "tenant_id": project}
    else:
        everywhere = "::/0" if rule.ethertype == "IPv6" else "0.0.0.0/0"
        shown["ip_range"] = {"cidr": rule.remote_ip_prefix or everywhere}
    return shown


async def _addresses(call: Call[Compute]) -> dict[str, list[Document]]:
    server = await server_of(call)
    ports = await call.service.servers.addresses([server.id])
    return views.addresses(ports.get(server.id, ()), with_cards=False)


async def _ports(call: Call[Compute]) -> Sequence[PortInfo]:
    server = await server_of(call)
    return await call.service.servers.ports(server.id)


def _interface(call: Call[Compute], port: PortInfo) -> dict[str, object]:
    shown: Document = {
        "net_id": port.network_id,
        "port_id": port.id,
        "mac_addr": port.mac,
        "port_state": port.status,
        "fixed_ips": [{"subnet_id": fixed.subnet.id, "ip_address": fixed.ip} for fixed in port.addresses],
    }
    if call.version >= (2, 70):
        shown["tag"] = port.tag
    return shown


ROUTES = [
    Route(method="GET", path="/v2.1/servers/{id}/ips", handler=ips, rule="os_compute_api:ips:index"),
    Route(
        method="GET", path="/v2.1/servers/{id}/ips/{network}", handler=ips_of_network, rule="os_compute_api:ips:show"
    ),
    Route(
        method="GET",
        path="/v2.1/servers/{id}/os-interface",
        handler=interfaces,
        rule="os_compute_api:os-attach-interfaces:list",
    ),
    Route(
        method="POST",
        path="/v2.1/servers/{id}/os-interface",
        handler=not_served,
        rule="os_compute_api:os-attach-interfaces:create",
    ),
    Route(
        method="GET",
        path="/v2.1/servers/{id}/os-interface/{port}",
        handler=interface,
        rule="os_compute_api:os-attach-interfaces:show",
    ),
    Route(
        method="DELETE",
        path="/v2.1/servers/{id}/os-interface/{port}",
        handler=not_served,
        rule="os_compute_api:os-attach-interfaces:delete",
    ),
    Route(
        method="GET",
        path="/v2.1/servers/{id}/os-security-groups",
        handler=security_groups,
        rule="os_compute_api:os-security-groups:list",
    ),
]
