"""Networks: who may say what of them."""

from typing import Any

import pytest

from tests.functional.network.scenes import NOBODY


@pytest.mark.parametrize("name,value", [("shared", True), ("router:external", True), ("provider:network_type", "flat")])
async def test_what_only_admins_may_set_is_forbidden(cloud: Any, name: str, value: Any) -> None:
    refusal = await cloud.refused("POST", "networks", {"network": {name: value}})
    assert refusal == (403, "PolicyNotAuthorized")


@pytest.mark.parametrize(
    "values", [{"name": None}, {"name": "x" * 256}, {"id": NOBODY}, {"mtu": "x"}, {"colour": 1}, []]
)
async def test_a_wrong_change_is_refused_and_changes_nothing(cloud: Any, values: Any) -> None:
    net = await cloud.make("networks", name="n")
    assert (await cloud.refused("PUT", f"networks/{net['id']}", {"network": values}))[0] == 400
    assert (await cloud.call("GET", f"networks/{net['id']}"))[1]["network"] == net


async def test_a_network_can_be_made_down_and_without_port_security(cloud: Any) -> None:
    net = await cloud.network(admin_state_up=False, port_security_enabled=False, mtu=1400)
    assert (net["admin_state_up"], net["port_security_enabled"], net["mtu"]) == (False, False, 1400)
    port = await cloud.make("ports", network_id=net["id"])
    assert (port["security_groups"], port["port_security_enabled"]) == ([], False)


async def test_what_the_provider_knows_is_shown_to_admins_alone(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    assert not [key for key in made if key.startswith("provider:")]
    shown = (await cloud.call("GET", f"networks/{made['id']}", token="admin"))[1]["network"]
    assert shown["provider:network_type"] == "vxlan" and shown["provider:segmentation_id"] >= 1
