"""What all resources have alike: wrong bodies and ids, what is not shown, what is in use."""

from typing import Any

import pytest

from novakit.api.network.handlers import RESOURCES
from tests.functional.network.scenes import NOBODY, left, one_of_each


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b"{}",
        {"network": None},
        {"network": {"name": "n" * 300}},
        {"network": {"name": 5}},
        {"network": {"name": None}},
        {"network": {"name": "a\0b"}},
        {"network": {"name": "n", "colour": "blue"}},
        {"network": {"name": "n", "id": NOBODY}},
        {"network": {"name": "n", "admin_state_up": "perhaps"}},
        {"network": {"name": "n", "mtu": 9001}},
        {"networks": []},
        {"networks": {}},
        {"networks": [{"name": "good"}, {"name": "bad", "colour": "blue"}]},
    ],
)
async def test_a_wrong_body_is_a_bad_request_and_makes_nothing(cloud: Any, body: Any) -> None:
    status, _ = await cloud.refused("POST", "networks", body)
    assert status == 400
    assert await left(cloud) == 0


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("networks", {"network": {"name": "x"}, "colour": 1}, None),
        (f"networks/{NOBODY}", {}, "Unable to find 'network' in request body"),
        (f"networks/{NOBODY}", {"network": {"colour": 1}}, "Unrecognized attribute(s) 'colour'"),
        (f"quotas/{'a' * 32}", {}, "Unable to find 'quota' in request body"),
        (f"quotas/{'a' * 32}", {"quota": {"port": -2}}, "Invalid input for port. Reason: '-2' is not in valid range:"),
        (f"routers/{NOBODY}/add_router_interface", {"subnet_id": 5}, "Invalid input for subnet_id. Reason: '5' is not"),
        (f"networks/{NOBODY}/tags", {"colour": 1}, "Invalid input for tags. Reason: keys 'tags' are missing."),
        (f"networks/{NOBODY}/tags", {"tags": ["x" * 61]}, "exceeds maximum length of 60."),
        (f"networks/{NOBODY}/tags", {"tags": "x"}, "Invalid input for tags. Reason: 'x' is not a list."),
    ],
)
async def test_a_body_is_held_to_its_schema_before_anything_is_looked_for(
    cloud: Any, path: str, body: Any, told: str | None
) -> None:
    status, said = await cloud.call("PUT" if "/" in path else "POST", path, body, token="admin")
    if told is None:
        assert status == 201, "what stands beside a thing is passed over"
    else:
        assert (status, said["NeutronError"]["type"]) == (400, "HTTPBadRequest")
        assert told in said["NeutronError"]["message"]


async def test_a_wrong_token_is_unauthorized_and_none_as_well(cloud: Any) -> None:
    status, body = await cloud.call("GET", "networks", token="nonsense")
    assert (status, body["error"]["code"]) == (401, 401)
    async with cloud.client.get("/v2.0/networks") as answer:
        assert answer.status == 401 and "Keystone" in answer.headers["WWW-Authenticate"]


async def test_the_body_may_not_be_huge(cloud: Any) -> None:
    async with cloud.client.post(
        "/v2.0/networks", data=b'{"network": "' + b"x" * 10_000_000 + b'"}', headers={"X-Auth-Token": "alice"}
    ) as answer:
        assert answer.status in (400, 413)
    assert await left(cloud) == 0


@pytest.mark.parametrize("path", ["networks", "subnets", "ports", "routers", "floatingips", "security-groups"])
@pytest.mark.parametrize("key", [NOBODY, "name", "%00", "a%2Fb", "x" * 300])
async def test_an_unknown_id_is_not_found(cloud: Any, path: str, key: str) -> None:
    for method, body in (("GET", None), ("DELETE", None)):
        assert (await cloud.refused(method, f"{path}/{key}", body))[0] == 404


async def test_what_belongs_to_another_project_is_not_found(cloud: Any) -> None:
    net = await cloud.network()
    port = await cloud.make("ports", network_id=net["id"])
    router = await cloud.make("routers", name="r")
    group = await cloud.make("security-groups", name="g")
    paths = {
        f"networks/{net['id']}": "network",
        f"subnets/{net['subnet']['id']}": "subnet",
        f"ports/{port['id']}": "port",
        f"routers/{router['id']}": "router",
        f"security-groups/{group['id']}": "security_group",
    }
    for path, key in paths.items():
        assert (await cloud.call("GET", path, token="bob"))[0] == 404
        assert (await cloud.call("PUT", path, {key: {"name": "mine"}}, token="bob"))[0] == 404
        assert (await cloud.call("DELETE", path, token="bob"))[0] == 404
    assert (await cloud.refused("POST", "ports", {"port": {"network_id": net["id"]}}, "bob"))[1] == "NetworkNotFound"
    wish = {"port": {"network_id": net["id"], "security_groups": [group["id"]]}}
    assert (await cloud.refused("POST", "ports", {"port": {**wish["port"], "project_id": "b" * 32}}))[0] == 403


async def test_a_reader_may_look_and_not_touch(cloud: Any) -> None:
    net = await cloud.network()
    assert (await cloud.call("GET", f"networks/{net['id']}", token="watcher"))[0] == 200
    assert (await cloud.refused("DELETE", f"networks/{net['id']}", token="watcher")) == (403, "PolicyNotAuthorized")
    assert (await cloud.refused("POST", "networks", {"network": {}}, "watcher")) == (403, "PolicyNotAuthorized")


async def test_what_is_in_use_is_not_deleted(cloud: Any) -> None:
    net = await cloud.network()
    group = await cloud.make("security-groups", name="g")
    port = await cloud.make("ports", network_id=net["id"], security_groups=[group["id"]])
    router = await cloud.make("routers", name="r")
    join = f"routers/{router['id']}/add_router_interface"
    assert (await cloud.call("PUT", join, {"subnet_id": net["subnet"]["id"]}))[0] == 200
    assert await cloud.refused("DELETE", f"networks/{net['id']}") == (409, "NetworkInUse")
    assert await cloud.refused("DELETE", f"subnets/{net['subnet']['id']}") == (409, "SubnetInUse")
    assert await cloud.refused("DELETE", f"security-groups/{group['id']}") == (409, "SecurityGroupInUse")
    assert await cloud.refused("DELETE", f"routers/{router['id']}") == (409, "RouterInUse")
    legs = (await cloud.call("GET", "ports?device_owner=network:router_interface"))[1]["ports"]
    assert await cloud.refused("DELETE", f"ports/{legs[0]['id']}") == (409, "ServicePortInUse")
    assert (await cloud.call("DELETE", f"ports/{port['id']}"))[0] == 204


async def test_the_names_of_filters_are_those_of_what_is_shown(cloud: Any) -> None:
    await one_of_each(cloud)
    for resource in RESOURCES:
        status, body = await cloud.call("GET", resource.path, token="admin")
        shown = body[resource.many][0]
        assert status == 200 and set(shown) == resource.shown, resource.many
        assert {name for name, value in shown.items() if isinstance(value, bool)} <= resource.flags
