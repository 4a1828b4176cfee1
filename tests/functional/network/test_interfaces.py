"""Routers' ports: what a router needs stays joined."""

from typing import Any

from tests.functional.network.scenes import routed


async def test_addresses_of_a_routers_port_change_within_what_the_router_needs(cloud: Any) -> None:
    net = await cloud.network()
    first = net["subnet"]["id"]
    second = (await cloud.make("subnets", network_id=net["id"], cidr="10.1.0.0/24", ip_version=4))["id"]
    router = await cloud.make("routers")
    _, joined = await cloud.call("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": first})
    path = f"ports/{joined['port_id']}"

    async def change(*fixed: dict[str, str]) -> tuple[int, Any]:
        status, body = await cloud.call("PUT", path, {"port": {"fixed_ips": list(fixed)}})
        return status, body

    status, body = await change({"subnet_id": first, "ip_address": "10.0.0.1"}, {"subnet_id": second})
    assert status == 200 and {line["subnet_id"] for line in body["port"]["fixed_ips"]} == {first, second}, body
    assert (await change())[0] == 400
    routes = [{"destination": "10.5.0.0/24", "nexthop": "10.1.0.9"}]
    await cloud.call("PUT", f"routers/{router['id']}", {"router": {"routes": routes}})
    status, body = await change({"subnet_id": first, "ip_address": "10.0.0.1"})
    assert (status, body["NeutronError"]["type"]) == (409, "RouterInterfaceInUseByRoute")
    _, shown = await cloud.call("GET", path)
    assert len(shown["port"]["fixed_ips"]) == 2  # nothing was half done


async def test_subnets_that_overlap_are_not_joined_by_one_router(cloud: Any) -> None:
    _, net, router = await routed(cloud)
    other = await cloud.network("10.0.0.128/25")
    join = f"routers/{router['id']}/add_router_interface"
    for subnet in (net["subnet"], other["subnet"]):
        assert (await cloud.refused("PUT", join, {"subnet_id": subnet["id"]}))[0] in (400, 409)
    assert (await cloud.refused("PUT", join, {}))[0] == 400
    port = await cloud.make("ports", network_id=other["id"])
    assert (await cloud.refused("PUT", join, {"port_id": port["id"]}))[0] == 400


async def test_nobody_puts_a_router_at_the_gateway_of_a_network_that_others_share(cloud: Any) -> None:
    """It would stand between every other project on the network and what they reach."""
    net = await cloud.network("10.5.0.0/24", token="bob")
    await cloud.call("PUT", f"networks/{net['id']}", {"network": {"shared": True}}, "admin")
    router = await cloud.make("routers")
    join = f"routers/{router['id']}/add_router_interface"
    by_subnet = {"subnet_id": net["subnet"]["id"]}
    assert await cloud.refused("PUT", join, by_subnet) == (400, "BadRequest")
    port = await cloud.make("ports", network_id=net["id"])
    assert (await cloud.call("PUT", join, {"port_id": port["id"]}))[0] == 200
    _, shown = await cloud.call("GET", f"ports/{port['id']}")
    assert [one["ip_address"] for one in shown["port"]["fixed_ips"]] == ["10.5.0.2"]
    theirs = await cloud.make("routers", token="bob")
    assert (await cloud.call("PUT", f"routers/{theirs['id']}/add_router_interface", by_subnet, "bob"))[0] == 200
