"""What several tests of the network API begin with."""

from typing import Any

NOBODY = "00000000-0000-0000-0000-000000000000"


async def left(cloud: Any) -> int:
    paths = ("networks", "subnets", "ports", "routers", "floatingips")
    return sum([len((await cloud.call("GET", path, token="admin"))[1][path]) for path in paths])


async def one_of_each(cloud: Any) -> None:
    outside = await cloud.make("networks", token="admin", name="out", **{"router:external": True})
    await cloud.make("subnets", token="admin", network_id=outside["id"], cidr="203.0.113.0/24", ip_version=4)
    net = await cloud.network()
    router = await cloud.make("routers", external_gateway_info={"network_id": outside["id"]})
    await cloud.call("PUT", f"routers/{router['id']}/add_router_interface", {"subnet_id": net["subnet"]["id"]})
    port = await cloud.make("ports", network_id=net["id"])
    await cloud.make("floatingips", floating_network_id=outside["id"], port_id=port["id"])


async def names(cloud: Any, query: str = "") -> list[str]:
    return [one["name"] for one in (await cloud.call("GET", f"networks?{query}"))[1]["networks"]]


async def outside(cloud: Any) -> str:
    made = await cloud.networks.bootstrap(admin_project_id="c" * 32, external_cidr="192.0.2.0/24", gateway="192.0.2.1")
    return str(made.network.id)


async def routed(cloud: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    public, net = await outside(cloud), await cloud.network()
    router = await cloud.make("routers", name="r", external_gateway_info={"network_id": public})
    join = f"routers/{router['id']}/add_router_interface"
    status, body = await cloud.call("PUT", join, {"subnet_id": net["subnet"]["id"]})
    assert status == 200 and body["subnet_id"] == net["subnet"]["id"]
    return public, net, router
