"""Addresses under concurrency, and what clients may choose of them."""

import asyncio
from typing import Any


async def test_fifty_ports_at_once_have_fifty_addresses_and_then_the_range_is_used_up(cloud: Any) -> None:
    net = await cloud.network("10.0.0.0/26")
    made = await asyncio.gather(*(cloud.make("ports", network_id=net["id"]) for _ in range(50)))
    assert len({port["fixed_ips"][0]["ip_address"] for port in made}) == 50
    assert len({port["mac_address"] for port in made}) == 50
    rest = await asyncio.gather(*(cloud.call("POST", "ports", {"port": {"network_id": net["id"]}}) for _ in range(20)))
    assert sorted(status for status, _ in rest) == [201] * 11 + [409] * 9
    kinds = {body["NeutronError"]["type"] for status, body in rest if status == 409}
    assert kinds == {"IpAddressGenerationFailure"}
    assert (await cloud.call("DELETE", f"ports/{made[7]['id']}"))[0] == 204
    again = await cloud.make("ports", network_id=net["id"])
    assert again["fixed_ips"] == made[7]["fixed_ips"]


async def test_ports_made_together_are_all_made_or_none(cloud: Any) -> None:
    net = await cloud.network("10.0.0.0/29")
    wish = {"network_id": net["id"]}
    assert (await cloud.refused("POST", "ports", {"ports": [wish] * 6}))[1] == "IpAddressGenerationFailure"
    assert (await cloud.call("GET", "ports"))[1]["ports"] == []
    status, body = await cloud.call("POST", "ports", {"ports": [wish] * 5})
    assert status == 201 and len(body["ports"]) == 5


async def test_a_second_subnet_takes_over_when_the_first_is_used_up(cloud: Any) -> None:
    net = await cloud.network("10.0.0.0/30")
    await cloud.make("subnets", network_id=net["id"], cidr="10.0.1.0/30", ip_version=4)
    found = [(await cloud.make("ports", network_id=net["id"]))["fixed_ips"][0]["ip_address"] for _ in range(2)]
    assert found == ["10.0.0.2", "10.0.1.2"]


async def test_the_addresses_of_a_port_can_be_changed(cloud: Any) -> None:
    net = await cloud.network()
    port = await cloud.make("ports", network_id=net["id"], fixed_ips=[{"ip_address": "10.0.0.50"}])
    subnet = {"subnet_id": net["subnet"]["id"]}
    wanted = [{"ip_address": "10.0.0.50"}, {"ip_address": "10.0.0.60"}, subnet]
    status, body = await cloud.call("PUT", f"ports/{port['id']}", {"port": {"fixed_ips": wanted}})
    assert status == 200
    assert [one["ip_address"] for one in body["port"]["fixed_ips"]] == ["10.0.0.2", "10.0.0.50", "10.0.0.60"]
    status, body = await cloud.call("PUT", f"ports/{port['id']}", {"port": {"fixed_ips": [subnet]}})
    assert len(body["port"]["fixed_ips"]) == 1
    assert (await cloud.make("ports", network_id=net["id"], fixed_ips=[{"ip_address": "10.0.0.60"}]))["id"]


async def test_nobody_takes_an_address_or_a_mac_of_choice_on_a_network_of_others(cloud: Any) -> None:
    net = await cloud.make("networks", token="admin", name="shared", shared=True)
    await cloud.make("subnets", token="admin", network_id=net["id"], cidr="10.5.0.0/24", ip_version=4)
    for chosen in ({"fixed_ips": [{"ip_address": "10.5.0.9"}]}, {"mac_address": "fa:16:3e:00:00:09"}):
        refusal = await cloud.refused("POST", "ports", {"port": {"network_id": net["id"], **chosen}})
        assert refusal == (403, "PolicyNotAuthorized")
    assert (await cloud.make("ports", network_id=net["id"]))["fixed_ips"][0]["ip_address"] == "10.5.0.2"
