"""Subnets."""

from typing import Any


async def test_a_subnet_is_stored_without_host_bits(cloud: Any) -> None:
    net = await cloud.make("networks", name="n")
    made = await cloud.make("subnets", network_id=net["id"], cidr="10.0.0.5/24", ip_version=4)
    assert (made["cidr"], made["gateway_ip"]) == ("10.0.0.0/24", "10.0.0.1")


async def test_subnets_of_an_external_network_are_its_owners_business(cloud: Any) -> None:
    for name, flags in (("out", {"router:external": True}), ("all", {"shared": True})):
        net = await cloud.make("networks", token="admin", name=name, **flags)
        third = {"out": "203", "all": "204"}[name]
        await cloud.make(
            "subnets", token="admin", network_id=net["id"], name=name, cidr=f"10.{third}.0.0/24", ip_version=4
        )
    _, mine = await cloud.call("GET", "subnets")
    _, every = await cloud.call("GET", "subnets", token="admin")
    assert [one["name"] for one in mine["subnets"]] == ["all"]
    assert sorted(one["name"] for one in every["subnets"]) == ["all", "out"]
    (hidden,) = [one["id"] for one in every["subnets"] if one["name"] == "out"]
    assert (await cloud.refused("GET", f"subnets/{hidden}"))[0] == 404
