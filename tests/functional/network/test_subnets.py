"""Subnets: what is refused, and who sees them."""

from typing import Any

import pytest

from tests.functional.network.scenes import left


@pytest.mark.parametrize(
    "values,status,kind",
    [
        ({"cidr": "10.0.0.0/25"}, 400, "InvalidInput"),
        ({"cidr": "10.1.0.0"}, 400, "InvalidInput"),
        ({"cidr": "10.1.0.0/33"}, 400, "InvalidInput"),
        ({"cidr": "nonsense"}, 400, "InvalidInput"),
        ({"cidr": "0.0.0.0/0"}, 400, "InvalidInput"),
        ({"cidr": "169.254.169.0/24"}, 400, "InvalidInput"),
        ({}, 400, "InvalidInput"),
        ({"cidr": "fd00::/64", "ip_version": 6}, 501, "IPv6NotSupported"),
        ({"cidr": "10.1.0.0/24", "gateway_ip": "10.2.0.1"}, 400, "InvalidInput"),
        ({"cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.255"}, 400, "InvalidInput"),
        ({"cidr": "10.1.0.0/24", "dns_nameservers": ["evil\ndhcp-option=6"]}, 400, "InvalidInput"),
        ({"cidr": "10.1.0.0/24", "host_routes": [{"destination": "x", "nexthop": "10.1.0.1"}]}, 400, "InvalidInput"),
        (
            {"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.9", "end": "10.1.0.3"}]},
            400,
            "InvalidAllocationPool",
        ),
        (
            {"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.9", "end": "10.2.0.3"}]},
            400,
            "OutOfBoundsAllocationPool",
        ),
        (
            {"cidr": "10.1.0.0/24", "allocation_pools": [{"start": "10.1.0.1", "end": "10.1.0.3"}]},
            409,
            "GatewayConflictWithAllocationPools",
        ),
    ],
)
async def test_a_wrong_subnet_is_refused(cloud: Any, values: dict[str, Any], status: int, kind: str) -> None:
    net = await cloud.network()
    before = await left(cloud)
    body = {"subnet": {"network_id": net["id"], "ip_version": 4, **values}}
    assert await cloud.refused("POST", "subnets", body) == (status, kind)
    assert await left(cloud) == before


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


async def test_a_second_subnet_takes_over_when_the_first_is_used_up(cloud: Any) -> None:
    net = await cloud.network("10.0.0.0/30")
    await cloud.make("subnets", network_id=net["id"], cidr="10.0.1.0/30", ip_version=4)
    found = [(await cloud.make("ports", network_id=net["id"]))["fixed_ips"][0]["ip_address"] for _ in range(2)]
    assert found == ["10.0.0.2", "10.0.1.2"]
