"""Routers: gateways, routes, and what hosts are told of them."""

from typing import Any

import pytest

from novakit_hookspecs.networks import Applied
from tests.functional.network.scenes import left, outside, routed


async def test_a_gateway_needs_its_network_named(cloud: Any) -> None:
    body = {"router": {"external_gateway_info": {"enable_snat": False}}}
    assert (await cloud.refused("POST", "routers", body, "admin"))[0] == 400
    assert (await cloud.refused("POST", "routers", body))[0] == 403
    assert await left(cloud) == 0


async def test_the_gateway_host_is_told_of_the_router_and_its_floating_ips(cloud: Any) -> None:
    public, net, router = await routed(cloud)
    await cloud.networks.set_gateway("gw")
    port = await cloud.make("ports", network_id=net["id"])
    address = await cloud.make("floatingips", floating_network_id=public, port_id=port["id"])
    seen = (await cloud.networks.build(["gw"])).topologies["gw"]
    (run,) = seen.routers
    assert run.interfaces[0].addresses == ("10.0.0.1/24",)
    assert run.gateway is not None and run.gateway.addresses == ("192.0.2.2/24",)
    assert run.gateway.next_hops == ("192.0.2.1",) and run.gateway.snat
    (floating,) = run.floating_ips
    assert (floating.address, floating.fixed_ip) == ("192.0.2.3", port["fixed_ips"][0]["ip_address"])
    kinds = {one.id: one.physical_network for one in seen.networks}
    assert kinds == {public: "public", net["id"]: None}
    await cloud.networks.record_applied("gw", Applied(revision=seen.revision))
    assert await cloud.networks.hosts_behind() == []
    shown = (await cloud.call("GET", f"floatingips/{address['id']}"))[1]["floatingip"]
    assert (shown["status"], shown["router_id"]) == ("ACTIVE", router["id"])
    seen = (await cloud.networks.build(["gw"])).topologies["gw"]
    await cloud.networks.record_applied("gw", Applied(revision=seen.revision, faults={router["id"]: "no namespace"}))
    assert (await cloud.call("GET", f"routers/{router['id']}"))[1]["router"]["status"] == "ERROR"


async def test_what_a_gateway_serves_is_well_again_once_its_host_tells_of_no_fault(cloud: Any) -> None:
    public, net, router = await routed(cloud)
    await cloud.networks.set_gateway("gw")
    port = await cloud.make("ports", network_id=net["id"])
    led = await cloud.make("floatingips", floating_network_id=public, port_id=port["id"])
    free = await cloud.make("floatingips", floating_network_id=public)
    legs = (await cloud.call("GET", "ports?device_owner=network:router_interface"))[1]["ports"]
    paths = {f"routers/{router['id']}": "router", f"ports/{legs[0]['id']}": "port"}
    paths |= {f"floatingips/{one['id']}": "floatingip" for one in (led, free)}

    async def told(*faulty: str) -> list[str]:
        seen = (await cloud.networks.build(["gw"])).topologies["gw"]
        faults = dict.fromkeys(faulty, "it is not there")
        await cloud.networks.record_applied("gw", Applied(revision=seen.revision, faults=faults))
        return [(await cloud.call("GET", path, token="admin"))[1][kind]["status"] for path, kind in paths.items()]

    ids = [path.partition("/")[2] for path in paths]
    assert await told(*ids) == ["ERROR", "DOWN", "ERROR", "ERROR"]
    assert await told(ids[0]) == ["ERROR", "DOWN", "ERROR", "DOWN"], "what hangs on a router is not there without it"
    assert await told() == ["ACTIVE", "ACTIVE", "ACTIVE", "DOWN"]
    before = cloud.networks.store.tally.statements
    await cloud.networks.record_applied("gw", Applied(revision=1))
    assert cloud.networks.store.tally.statements - before == 1, "of what is well nothing is read or written"


async def test_extra_routes_go_through_what_the_router_reaches(cloud: Any) -> None:
    _, _, router = await routed(cloud)
    path = f"routers/{router['id']}"
    good = {"router": {"routes": [{"destination": "10.8.0.0/16", "nexthop": "10.0.0.77"}]}}
    assert (await cloud.call("PUT", path, good))[1]["router"]["routes"] == good["router"]["routes"]
    bad = {"router": {"routes": [{"destination": "10.8.0.0/16", "nexthop": "10.44.0.77"}]}}
    assert await cloud.refused("PUT", path, bad) == (400, "InvalidRoutes")


@pytest.mark.parametrize("snat", [True, False])
async def test_the_gateway_can_be_changed_and_cleared(cloud: Any, snat: bool) -> None:
    public = await outside(cloud)
    router = await cloud.make("routers", name="r")
    info = {"network_id": public, "enable_snat": snat}
    path = f"routers/{router['id']}"
    assert (await cloud.call("PUT", path, {"router": {"external_gateway_info": info}}))[0] == 403
    shown = (await cloud.call("PUT", path, {"router": {"external_gateway_info": info}}, "admin"))[1]["router"]
    assert shown["external_gateway_info"]["enable_snat"] is snat
    again = (await cloud.call("PUT", path, {"router": {"external_gateway_info": info}}, "admin"))[1]["router"]
    assert again["external_gateway_info"] == shown["external_gateway_info"]
    cleared = (await cloud.call("PUT", path, {"router": {"external_gateway_info": {}}}))[1]["router"]
    assert cleared["external_gateway_info"] is None
    assert await cloud.refused("DELETE", f"networks/{public}") == (403, "PolicyNotAuthorized")
    assert (await cloud.call("DELETE", f"networks/{public}", token="admin"))[0] == 204
