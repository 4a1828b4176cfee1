"""Ports: addresses, what is refused, and what is told of how they are wired."""

import asyncio
from typing import Any

import pytest

from novakit.network.ports import MOST_PROFILE
from novakit_hookspecs.networks import VifBinding
from tests.functional.network.scenes import NOBODY, left


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


async def test_names_and_values_of_fixed_ips_narrow_a_list_of_ports(cloud: Any) -> None:
    net = await cloud.network()
    other = await cloud.make("subnets", network_id=net["id"], cidr="10.9.0.0/24", ip_version=4)
    first, second = [
        await cloud.make("ports", network_id=net["id"], fixed_ips=[{"subnet_id": net["subnet"]["id"]}])
        for _ in range(2)
    ]
    both = await cloud.make(
        "ports", network_id=net["id"], fixed_ips=[{"subnet_id": net["subnet"]["id"]}, {"subnet_id": other["id"]}]
    )
    ip = {port["id"]: port["fixed_ips"][0]["ip_address"] for port in (first, second, both)}
    subnet = f"fixed_ips=subnet_id%3D{net['subnet']['id']}"

    async def found(query: str) -> set[str]:
        status, body = await cloud.call("GET", f"ports?{query}")
        assert status == 200, body
        return {port["id"] for port in body["ports"]}

    assert await found(f"{subnet}&fixed_ips=ip_address%3D{ip[first['id']]}") == {first["id"]}
    assert await found(f"{subnet}&fixed_ips=ip_address%3D192.0.2.1") == set()
    two = f"fixed_ips=ip_address%3D{ip[first['id']]}&fixed_ips=ip_address%3D{ip[second['id']]}"
    assert await found(f"{subnet}&{two}") == {first["id"], second["id"]}
    on_other = next(line["ip_address"] for line in both["fixed_ips"] if line["subnet_id"] == other["id"])
    assert await found(f"{subnet}&fixed_ips=ip_address%3D{on_other}") == set()  # one address must meet both
    assert await found("fixed_ips=ip_address_substr%3D10.9.0.") == {both["id"]}
    for wrong in ("fixed_ips=mac%3Da", "fixed_ips=10.0.0.5"):
        assert (await cloud.refused("GET", f"ports?{wrong}"))[0] == 400


async def test_ports_are_found_by_address_and_subnet(cloud: Any) -> None:
    net = await cloud.network()
    one, _ = [await cloud.make("ports", network_id=net["id"]) for _ in range(2)]
    ip = one["fixed_ips"][0]["ip_address"]
    for query in (f"fixed_ips=ip_address={ip}", f"mac_address={one['mac_address']}"):
        assert [port["id"] for port in (await cloud.call("GET", f"ports?{query}"))[1]["ports"]] == [one["id"]]
    found = (await cloud.call("GET", f"ports?fixed_ips=subnet_id={net['subnet']['id']}"))[1]["ports"]
    assert len(found) == 2


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


async def test_ports_show_the_lowest_address_and_group_first_in_whatever_order_they_were_made(cloud: Any) -> None:
    net = await cloud.network()
    groups = sorted([(await cloud.make("security-groups", name=name))["id"] for name in "abc"])
    fixed = [{"ip_address": f"10.0.0.{number}"} for number in (130, 20, 75)]
    port = await cloud.make("ports", network_id=net["id"], fixed_ips=fixed, security_groups=groups[::-1])
    bare = await cloud.make("ports", network_id=net["id"], fixed_ips=[], port_security_enabled=False)
    _, listed = await cloud.call("GET", "ports")
    shown = {one["id"]: one for one in listed["ports"]}
    addresses = [one["ip_address"] for one in shown[port["id"]]["fixed_ips"]]
    assert addresses == ["10.0.0.20", "10.0.0.75", "10.0.0.130"]
    assert shown[port["id"]]["security_groups"] == groups
    assert shown[bare["id"]]["fixed_ips"] == shown[bare["id"]]["security_groups"] == []
    assert (await cloud.call("GET", f"ports/{port['id']}"))[1]["port"] == shown[port["id"]]


async def test_nobody_takes_an_address_or_a_mac_of_choice_on_a_network_of_others(cloud: Any) -> None:
    net = await cloud.make("networks", token="admin", name="shared", shared=True)
    await cloud.make("subnets", token="admin", network_id=net["id"], cidr="10.5.0.0/24", ip_version=4)
    for chosen in ({"fixed_ips": [{"ip_address": "10.5.0.9"}]}, {"mac_address": "fa:16:3e:00:00:09"}):
        refusal = await cloud.refused("POST", "ports", {"port": {"network_id": net["id"], **chosen}})
        assert refusal == (403, "PolicyNotAuthorized")
    assert (await cloud.make("ports", network_id=net["id"]))["fixed_ips"][0]["ip_address"] == "10.5.0.2"


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


async def test_two_ports_of_one_request_do_not_get_the_same_address(cloud: Any) -> None:
    net = await cloud.network()
    wish = {"network_id": net["id"], "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    assert await cloud.refused("POST", "ports", {"ports": [wish, wish]}) == (409, "IpAddressInUse")
    assert (await cloud.call("GET", f"ports?network_id={net['id']}"))[1]["ports"] == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * MOST_PROFILE, f"it has more than {MOST_PROFILE} characters."),
        ({"deep": ["a\0b"]}, "a text in it has a NUL character, which no database can hold."),
        ({"a\0b": 1}, "a text in it has a NUL character, which no database can hold."),
    ],
)
async def test_a_profile_that_cannot_be_kept_is_refused(cloud: Any, value: object, reason: str) -> None:
    net = await cloud.network()
    told = f"Invalid input for binding:profile. Reason: {reason}"
    profile = {"binding:profile": {"key": value}}
    made = await cloud.make("ports", token="admin", network_id=net["id"])
    for method, path, more in (("POST", "ports", {"network_id": net["id"]}), ("PUT", f"ports/{made['id']}", {})):
        status, said = await cloud.call(method, path, {"port": {**more, **profile}}, token="admin")
        assert (status, said["NeutronError"]["type"], said["NeutronError"]["message"]) == (400, "HTTPBadRequest", told)


async def test_a_profile_that_spells_a_nul_out_has_none(cloud: Any) -> None:
    wish = {"network_id": (await cloud.network())["id"], "binding:profile": {"key": "\\u0000"}}
    refusal = (403, "PolicyNotAuthorized")
    assert await cloud.refused("POST", "ports", {"port": wish}, "admin") == refusal, "only services set profiles"
