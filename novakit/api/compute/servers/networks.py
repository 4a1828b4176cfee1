"""What a server has on the network: addresses, interfaces, security groups."""

from typing import Any

from aiohttp import web

from novakit import errors
from novakit.api.compute.servers import views
from novakit.api.compute.servers.servers import server_of
from novakit.api.compute.validation import part
from novakit.api.service import Call, Route, reply
from novakit.network import PortInfo

NOT_SERVED = "Interfaces are given to a server when it is created; attaching and detaching them is not served yet."


async def ips(call: Call[Any]) -> web.Response:
    """Show the addresses by network."""
    return reply({"addresses": views.addresses(await _ports(call, "os_compute_api:ips:index"), with_cards=False)})


async def ips_of_network(call: Call[Any]) -> web.Response:
    """Show the addresses on one network."""
    shown = views.addresses(await _ports(call, "os_compute_api:ips:show"), with_cards=False)
    name = part(call, "network")
    if name not in shown:
        raise errors.NotFound("Instance is not a member of specified network")
    return reply({name: shown[name]})


async def interfaces(call: Call[Any]) -> web.Response:
    """List the ports."""
    found = await _ports(call, "os_compute_api:os-attach-interfaces:list")
    return reply({"interfaceAttachments": [_interface(call, port) for port in found]})


async def interface(call: Call[Any]) -> web.Response:
    """Show one port."""
    port_id = part(call, "port")
    for port in await _ports(call, "os_compute_api:os-attach-interfaces:show"):
        if port.id == port_id:
            return reply({"interfaceAttachment": _interface(call, port)})
    raise errors.NotFound(f"Instance {part(call, 'id')} does not have a port with id {port_id}")


async def not_served(call: Call[Any]) -> web.Response:
    """Refuse to attach or detach."""
    await server_of(call, "os_compute_api:servers:action")
    raise errors.NotImplementedHere(NOT_SERVED)


async def security_groups(call: Call[Any]) -> web.Response:
    """List the security groups of a server's ports."""
    server = await server_of(call, "os_compute_api:os-security-groups:list")
    ports = (await call.service.servers.ports([server.id])).get(server.id, ())
    groups = {group_id: name for port in ports for group_id, name in port.security_groups}
    shown = [
        {"id": group_id, "name": name, "description": "", "tenant_id": server.project_id, "rules": []}
        for group_id, name in groups.items()
    ]
    return reply({"security_groups": shown})


async def _ports(call: Call[Any], policy: str) -> list[PortInfo]:
    server = await server_of(call, policy)
    return list((await call.service.servers.ports([server.id])).get(server.id, ()))


def _interface(call: Call[Any], port: PortInfo) -> dict[str, Any]:
    shown: dict[str, Any] = {
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
    Route(method="GET", path="/v2.1/servers/{id}/ips", handler=ips),
    Route(method="GET", path="/v2.1/servers/{id}/ips/{network}", handler=ips_of_network),
    Route(method="GET", path="/v2.1/servers/{id}/os-interface", handler=interfaces),
    Route(method="POST", path="/v2.1/servers/{id}/os-interface", handler=not_served),
    Route(method="GET", path="/v2.1/servers/{id}/os-interface/{port}", handler=interface),
    Route(method="DELETE", path="/v2.1/servers/{id}/os-interface/{port}", handler=not_served),
    Route(method="GET", path="/v2.1/servers/{id}/os-security-groups", handler=security_groups),
]
