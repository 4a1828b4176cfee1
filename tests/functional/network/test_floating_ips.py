"""Floating IPs: where they lead, and with what they go."""

from typing import Any

from tests.functional.network.scenes import one_of_each, outside, routed


async def test_unused_floating_ips_go_with_their_external_network(cloud: Any) -> None:
    net = await cloud.make("networks", token="admin", name="out", **{"router:external": True})
    await cloud.make("subnets", token="admin", network_id=net["id"], cidr="203.0.113.0/24", ip_version=4)
    floating = await cloud.make("floatingips", floating_network_id=net["id"])
    assert (await cloud.call("DELETE", f"networks/{net['id']}", token="admin"))[0] == 204
    assert (await cloud.refused("GET", f"floatingips/{floating['id']}"))[0] == 404


async def test_used_floating_ips_keep_their_external_network(cloud: Any) -> None:
    await one_of_each(cloud)
    _, body = await cloud.call("GET", "networks?name=out", token="admin")
    path = f"networks/{body['networks'][0]['id']}"
    assert await cloud.refused("DELETE", path, token="admin") == (409, "NetworkInUse")


async def test_a_floating_ip_moves_and_becomes_free_with_its_port(cloud: Any) -> None:
    public, net, router = await routed(cloud)
    one, two = [await cloud.make("ports", network_id=net["id"]) for _ in range(2)]
    address = await cloud.make("floatingips", floating_network_id=public, port_id=one["id"])
    path = f"floatingips/{address['id']}"
    moved = (await cloud.call("PUT", path, {"floatingip": {"port_id": two["id"]}}))[1]["floatingip"]
    assert moved["fixed_ip_address"] == two["fixed_ips"][0]["ip_address"]
    again = await cloud.call("PUT", path, {"floatingip": {"port_id": two["id"]}})
    assert (again[0], again[1]["floatingip"]["port_id"]) == (200, two["id"]), "to where it is, too"
    leave = f"routers/{router['id']}/remove_router_interface"
    wish = {"subnet_id": net["subnet"]["id"]}
    assert await cloud.refused("PUT", leave, wish) == (409, "RouterInterfaceInUseByFloatingIP")
    clear = {"router": {"external_gateway_info": None}}
    assert (await cloud.refused("PUT", f"routers/{router['id']}", clear))[1] == "RouterExternalGatewayInUseByFloatingIp"
    assert (await cloud.call("DELETE", f"ports/{two['id']}"))[0] == 204
    freed = (await cloud.call("GET", path))[1]["floatingip"]
    assert (freed["port_id"], freed["fixed_ip_address"], freed["status"]) == (None, None, "DOWN")
    assert (await cloud.call("PUT", leave, wish))[0] == 200
    assert (await cloud.call("DELETE", f"routers/{router['id']}"))[0] == 204
    assert (await cloud.call("DELETE", path))[0] == 204
    ports = (await cloud.call("GET", "ports", token="admin"))[1]["ports"]
    assert [port["id"] for port in ports] == [one["id"]]


async def test_a_floating_ip_needs_a_router_to_its_network(cloud: Any) -> None:
    public, net = await outside(cloud), await cloud.network()
    port = await cloud.make("ports", network_id=net["id"])
    body = {"floatingip": {"floating_network_id": public, "port_id": port["id"]}}
    assert await cloud.refused("POST", "floatingips", body) == (404, "ExternalGatewayForFloatingIPNotFound")
    assert (await cloud.call("GET", "floatingips"))[1]["floatingips"] == []
    body = {"floatingip": {"floating_network_id": net["id"]}}
    assert (await cloud.refused("POST", "floatingips", body))[0] == 400


async def test_a_fixed_address_without_its_port_is_refused(cloud: Any) -> None:
    public, net, _ = await routed(cloud)
    port = await cloud.make("ports", network_id=net["id"])
    fixed = {"fixed_ip_address": port["fixed_ips"][0]["ip_address"]}
    wish = {"floatingip": {"floating_network_id": public, **fixed}}
    assert await cloud.refused("POST", "floatingips", wish) == (400, "BadRequest")
    assert (await cloud.call("GET", "floatingips"))[1]["floatingips"] == []
    made = await cloud.make("floatingips", floating_network_id=public, port_id=port["id"], **fixed)
    path = f"floatingips/{made['id']}"
    assert await cloud.refused("PUT", path, {"floatingip": {"port_id": None, **fixed}}) == (400, "BadRequest")
    assert (await cloud.call("GET", path))[1]["floatingip"]["port_id"] == port["id"]


async def test_one_fixed_ip_has_one_floating_ip(cloud: Any) -> None:
    public, net, _ = await routed(cloud)
    port = await cloud.make("ports", network_id=net["id"])
    await cloud.make("floatingips", floating_network_id=public, port_id=port["id"])
    body = {"floatingip": {"floating_network_id": public, "port_id": port["id"]}}
    assert await cloud.refused("POST", "floatingips", body) == (409, "FloatingIPPortAlreadyAssociated")
