"""Answers of the network API that clients compare to the letter: filters, normal forms, and who sees what."""

from typing import Any

import pytest

from novakit.api.network.handlers import RESOURCES


async def _one_of_each(cloud: Any) -> None:
    outside = await cloud.make("networks", token="admin", name="out", **{"router:external": True})
    await cloud.make("subnets", token="admin", network_id=outside["id"], cidr="203.0.113.0/24", ip_version=4)
    net = await cloud.network()
    router = await cloud.make("routers", external_gateway_info={"network_id": outside["id"]})
    await cloud.call("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": net["subnet"]["id"]})
    port = await cloud.make("ports", network_id=net["id"])
    await cloud.make("floatingips", floating_network_id=outside["id"], port_id=port["id"])


async def test_the_names_of_filters_are_those_of_what_is_shown(cloud: Any) -> None:
    await _one_of_each(cloud)
    for resource in RESOURCES:
        status, body = await cloud.call("GET", resource.path, token="admin")
        shown = body[resource.many][0]
        assert status == 200 and set(shown) == resource.shown, resource.many
        assert {name for name, value in shown.items() if isinstance(value, bool)} <= resource.flags


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.many)
@pytest.mark.parametrize(
    "query",
    ["no_such=1", "sort_key=no_such", "admin_state_up=perhaps", "page_reverse=perhaps", "changed_since=yesterday"],
)
async def test_filters_that_cannot_be_obeyed_are_refused_in_empty_lists_too(
    cloud: Any, resource: Any, query: str
) -> None:
    status, _ = await cloud.refused("GET", f"{resource.path}?{query}", token="bob")
    assert status == 400


async def test_names_and_values_of_fixed_ips_narrow_a_list_of_ports(cloud: Any) -> None:
    net = await cloud.network()
    other = await cloud.make("subnets", network_id=net["id"], cidr="10.9.0.0/24", ip_version=4)
    first, second = [
        await cloud.make("ports", network_id=net["id"], fixed_ips=[{"subnet_id": net["subnet"]["id"]}])
        for _ in range(2)
    ]
    both = await cloud.make(
        "ports", network_id=net["id"], fixed_ips=[{"subnet_id": net["subnet"]["id"]}, {"subnet_id": other["id"]}]
    )
    ip = {port["id"]: port["fixed_ips"][0]["ip_address"] for port in (first, second, both)}
    subnet = f"fixed_ips=subnet_id%3D{net['subnet']['id']}"

    async def found(query: str) -> set[str]:
        status, body = await cloud.call("GET", f"ports?{query}")
        assert status == 200, body
        return {port["id"] for port in body["ports"]}

    assert await found(f"{subnet}&fixed_ips=ip_address%3D{ip[first['id']]}") == {first["id"]}
    assert await found(f"{subnet}&fixed_ips=ip_address%3D192.0.2.1") == set()
    two = f"fixed_ips=ip_address%3D{ip[first['id']]}&fixed_ips=ip_address%3D{ip[second['id']]}"
    assert await found(f"{subnet}&{two}") == {first["id"], second["id"]}
    on_other = next(line["ip_address"] for line in both["fixed_ips"] if line["subnet_id"] == other["id"])
    assert await found(f"{subnet}&fixed_ips=ip_address%3D{on_other}") == set()  # one address must meet both
    assert await found("fixed_ips=ip_address_substr%3D10.9.0.") == {both["id"]}
    for wrong in ("fixed_ips=mac%3Da", "fixed_ips=10.0.0.5"):
        assert (await cloud.refused("GET", f"ports?{wrong}"))[0] == 400


@pytest.mark.parametrize("word", ["true", "True", "t", "1", "y", "yes", "on"])
async def test_flags_in_queries_take_every_usual_word(cloud: Any, word: str) -> None:
    await cloud.make("networks", name="up")
    await cloud.make("networks", name="down", admin_state_up=False)
    _, body = await cloud.call("GET", f"networks?admin_state_up={word}")
    assert [one["name"] for one in body["networks"]] == ["up"]


async def test_changed_since_keeps_what_changed_since(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    for moment, count in (("2000-01-01T00:00:00Z", 1), (made["updated_at"], 1), ("2999-01-01T00:00:00", 0)):
        _, body = await cloud.call("GET", f"networks?changed_since={moment}")
        assert len(body["networks"]) == count, moment


async def test_one_tag_is_asked_for(cloud: Any) -> None:
    made = await cloud.make("networks", tags=["blue"])
    assert await cloud.call("GET", f"networks/{made['id']}/tags/blue") == (204, None)
    assert await cloud.refused("GET", f"networks/{made['id']}/tags/red") == (404, "TagNotFound")


async def test_unused_floating_ips_go_with_their_external_network(cloud: Any) -> None:
    net = await cloud.make("networks", token="admin", name="out", **{"router:external": True})
    await cloud.make("subnets", token="admin", network_id=net["id"], cidr="203.0.113.0/24", ip_version=4)
    floating = await cloud.make("floatingips", floating_network_id=net["id"])
    assert (await cloud.call("DELETE", f"networks/{net['id']}", token="admin"))[0] == 204
    assert (await cloud.refused("GET", f"floatingips/{floating['id']}"))[0] == 404


async def test_used_floating_ips_keep_their_external_network(cloud: Any) -> None:
    await _one_of_each(cloud)
    _, body = await cloud.call("GET", "networks?name=out", token="admin")
    path = f"networks/{body['networks'][0]['id']}"
    assert await cloud.refused("DELETE", path, token="admin") == (409, "NetworkInUse")


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
