"""What a new cloud begins with."""

from typing import Any

from tests.functional.network.scenes import outside


async def test_starting_twice_makes_one_external_network(cloud: Any) -> None:
    assert await outside(cloud) == await outside(cloud)
    (shown,) = (await cloud.call("GET", "networks?router:external=True"))[1]["networks"]
    assert (shown["name"], shown["mtu"], shown["is_default"]) == ("public", 1500, True)
    (subnet,) = (await cloud.call("GET", f"subnets?network_id={shown['id']}", token="admin"))[1]["subnets"]
    assert (subnet["cidr"], subnet["enable_dhcp"]) == ("192.0.2.0/24", False)
