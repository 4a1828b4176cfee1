"""Ports: what is told of how they are wired."""

from typing import Any

import pytest

from novakit_hookspecs.networks import VifBinding


async def _told(cloud: Any, port_id: str) -> tuple[str, dict[str, bool]]:
    _, body = await cloud.call("GET", f"ports/{port_id}", token="admin")
    return body["port"]["binding:vif_type"], body["port"]["binding:vif_details"]


@pytest.mark.parametrize(("kind", "filters"), [("ovs", True), ("bridge", False)])
async def test_a_bound_port_is_told_of_as_its_hosts_network_driver_says(cloud: Any, kind: str, filters: bool) -> None:
    net = await cloud.network()
    await cloud.networks.host_up("here", VifBinding(vif_type=kind, port_filter=filters))
    made = await cloud.make("ports", token="admin", network_id=net["id"], **{"binding:host_id": "here"})
    assert (made["binding:vif_type"], made["binding:vif_details"]) == (kind, {"port_filter": filters})
    assert await _told(cloud, made["id"]) == (kind, {"port_filter": filters})


async def test_a_port_on_no_host_is_unbound_and_one_on_an_unknown_host_could_not_be_bound(cloud: Any) -> None:
    net = await cloud.network()
    made = await cloud.make("ports", network_id=net["id"])
    assert await _told(cloud, made["id"]) == ("unbound", {})
    await cloud.call("PUT", f"ports/{made['id']}", {"port": {"binding:host_id": "nowhere"}}, token="admin")
    assert await _told(cloud, made["id"]) == ("binding_failed", {})


async def test_a_host_that_comes_back_with_another_driver_tells_of_its_ports_anew(cloud: Any) -> None:
    net = await cloud.network()
    await cloud.networks.host_up("here")
    made = await cloud.make("ports", token="admin", network_id=net["id"], **{"binding:host_id": "here"})
    assert await _told(cloud, made["id"]) == ("binding_failed", {})  # an agent that does not tell yet
    for kind in ("ovs", "bridge"):
        await cloud.networks.host_up("here", VifBinding(vif_type=kind))
        assert await _told(cloud, made["id"]) == (kind, {"port_filter": True})
