"""What the network API answers to requests that are wrong: the right status, Neutron's word for it, nothing left."""

from typing import Any

import pytest

NOBODY = "00000000-0000-0000-0000-000000000000"


async def left(cloud: Any) -> int:
    paths = ("networks", "subnets", "ports", "routers", "floatingips")
    return sum([len((await cloud.call("GET", path, token="admin"))[1][path]) for path in paths])


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


@pytest.mark.parametrize("name,value", [("shared", True), ("router:external", True), ("provider:network_type", "flat")])
async def test_what_only_admins_may_set_is_forbidden(cloud: Any, name: str, value: Any) -> None:
    refusal = await cloud.refused("POST", "networks", {"network": {name: value}})
    assert refusal == (403, "PolicyNotAuthorized")


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


@pytest.mark.parametrize(
    "values,status,kind",
    [
        ({"fixed_ips": [{"ip_address": "10.9.0.1"}]}, 400, "InvalidIpForNetwork"),
        ({"fixed_ips": [{"ip_address": "10.0.0.255"}]}, 400, "InvalidIpForSubnet"),
        ({"fixed_ips": [{"subnet_id": NOBODY}]}, 400, "InvalidInput"),
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 409, "IpAddressInUse"),
        ({"fixed_ips": [{"ip_address": "fd00::1"}]}, 400, "InvalidInput"),
        ({"fixed_ips": {"ip_address": "10.0.0.10"}}, 400, "HTTPBadRequest"),
        ({"mac_address": "fa:16:3e:00:00:01"}, 409, "MacAddressInUse"),
        ({"mac_address": "ff:ff:ff:ff:ff:ff"}, 400, "InvalidInput"),
        ({"security_groups": [NOBODY]}, 404, "SecurityGroupNotFound"),
        ({"device_owner": "network:dhcp"}, 403, "PolicyNotAuthorized"),
        ({"binding:host_id": "a"}, 403, "PolicyNotAuthorized"),
        ({"allowed_address_pairs": [{"ip_address": "x"}]}, 400, "InvalidInput"),
        (
            {"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "1.1.1.1"}]},
            409,
            "AddressPairAndPortSecurityRequired",
        ),
        ({"network_id": NOBODY}, 404, "NetworkNotFound"),
        ({"network_id": "nonsense"}, 400, "HTTPBadRequest"),
    ],
)
async def test_a_wrong_port_is_refused(cloud: Any, values: dict[str, Any], status: int, kind: str) -> None:
    net = await cloud.network()
    first = {"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    await cloud.make("ports", network_id=net["id"], **first)
    before = await left(cloud)
    body = {"port": {"network_id": net["id"], **values}}
    assert await cloud.refused("POST", "ports", body) == (status, kind)
    assert await left(cloud) == before


@pytest.mark.parametrize(
    "values,kind",
    [
        ({"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}, "SecurityGroupRuleExists"),
        ({"protocol": "tcp", "port_range_min": 23, "port_range_max": 22}, "SecurityGroupInvalidPortRange"),
        ({"protocol": "tcp", "port_range_min": 0, "port_range_max": 22}, "SecurityGroupInvalidPortValue"),
        ({"protocol": "tcp", "port_range_min": 1, "port_range_max": 65536}, "SecurityGroupInvalidPortValue"),
        ({"port_range_min": 1, "port_range_max": 2}, "SecurityGroupProtocolRequiredWithPorts"),
        ({"protocol": "icmp", "port_range_min": 256}, "SecurityGroupInvalidIcmpValue"),
        ({"protocol": "icmp", "port_range_max": 0}, "SecurityGroupMissingIcmpType"),
        ({"protocol": "nonsense"}, "SecurityGroupRuleInvalidProtocol"),
        ({"protocol": 256}, "SecurityGroupRuleInvalidProtocol"),
        ({"remote_ip_prefix": "nonsense"}, "InvalidCIDR"),
        ({"remote_ip_prefix": "fd00::/8"}, "SecurityGroupRuleParameterConflict"),
        ({"remote_group_id": NOBODY}, "SecurityGroupNotFound"),
        ({"direction": "sideways"}, "HTTPBadRequest"),
    ],
)
async def test_a_wrong_rule_is_refused(cloud: Any, values: dict[str, Any], kind: str) -> None:
    group = await cloud.make("security-groups", name="g")
    ssh = {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}
    await cloud.make("security-group-rules", security_group_id=group["id"], direction="ingress", **ssh)
    body = {"security_group_rule": {"security_group_id": group["id"], "direction": "ingress", **values}}
    assert (await cloud.refused("POST", "security-group-rules", body))[1] == kind


@pytest.mark.parametrize(
    "query", ["colour=blue", "limit=-1", "limit=x", "marker=nope", "sort_key=colour", "sort_key=name&sort_dir=up"]
)
async def test_a_wrong_query_is_refused(cloud: Any, query: str) -> None:
    await cloud.network()
    assert (await cloud.refused("GET", f"networks?{query}"))[0] == 400


async def test_over_quota_is_a_conflict_of_neutrons_kind(cloud: Any) -> None:
    assert (await cloud.refused("PUT", f"quotas/{'a' * 32}", {"quota": {"network": 1}}))[0] == 403
    assert (await cloud.refused("PUT", f"quotas/{'a' * 32}", {"quota": {"net": 1}}, "admin"))[0] == 400
    status, body = await cloud.call("PUT", f"quotas/{'a' * 32}", {"quota": {"network": 1, "port": -1}}, "admin")
    assert status == 200 and body["quota"]["network"] == 1 and body["quota"]["port"] == -1
    await cloud.make("networks", name="one")
    assert await cloud.refused("POST", "networks", {"network": {"name": "two"}}) == (409, "OverQuota")
    assert (await cloud.call("GET", f"quotas/{'a' * 32}/details"))[1]["quota"]["network"] == {
        "limit": 1,
        "used": 1,
        "reserved": 0,
    }
    assert (await cloud.call("DELETE", f"quotas/{'a' * 32}", token="admin"))[0] == 204
    assert (await cloud.call("GET", f"quotas/{'a' * 32}"))[1]["quota"]["network"] == 100
    assert (await cloud.refused("GET", f"quotas/{'b' * 32}"))[0] == 403


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


async def test_a_gateway_needs_its_network_named(cloud: Any) -> None:
    body = {"router": {"external_gateway_info": {"enable_snat": False}}}
    assert (await cloud.refused("POST", "routers", body, "admin"))[0] == 400
    assert (await cloud.refused("POST", "routers", body))[0] == 403
    assert await left(cloud) == 0
