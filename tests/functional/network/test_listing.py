"""Lists: filters, fields, order and pages."""

import re
from typing import Any

import pytest

from novakit.api.network.handlers import RESOURCES
from tests.functional.network.scenes import names


@pytest.mark.parametrize(
    "query", ["colour=blue", "limit=-1", "limit=x", "marker=nope", "sort_key=colour", "sort_key=name&sort_dir=up"]
)
async def test_a_wrong_query_is_refused(cloud: Any, query: str) -> None:
    await cloud.network()
    assert (await cloud.refused("GET", f"networks?{query}"))[0] == 400


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.many)
@pytest.mark.parametrize(
    "query",
    ["no_such=1", "sort_key=no_such", "admin_state_up=perhaps", "page_reverse=perhaps", "changed_since=yesterday"],
)
async def test_filters_that_cannot_be_obeyed_are_refused_in_empty_lists_too(
    cloud: Any, resource: Any, query: str
) -> None:
    status, _ = await cloud.refused("GET", f"{resource.path}?{query}", token="bob")
    assert status == 400


@pytest.mark.parametrize("word", ["true", "True", "t", "1", "y", "yes", "on"])
async def test_flags_in_queries_take_every_usual_word(cloud: Any, word: str) -> None:
    await cloud.make("networks", name="up")
    await cloud.make("networks", name="down", admin_state_up=False)
    _, body = await cloud.call("GET", f"networks?admin_state_up={word}")
    assert [one["name"] for one in body["networks"]] == ["up"]


async def test_changed_since_keeps_what_changed_since(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    for moment, count in (("2000-01-01T00:00:00Z", 1), (made["updated_at"], 1), ("2999-01-01T00:00:00", 0)):
        _, body = await cloud.call("GET", f"networks?changed_since={moment}")
        assert len(body["networks"]) == count, moment


@pytest.mark.parametrize("path", ["networks", "subnets", "ports", "security-groups", "security-group-rules"])
async def test_moments_are_shown_and_looked_for_to_the_second(cloud: Any, path: str) -> None:
    network = await cloud.network()
    await cloud.make("ports", network_id=network["id"])
    key = path.replace("-", "_")
    shown = (await cloud.call("GET", path))[1][key]
    assert shown and all(re.fullmatch(r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}Z", one["created_at"]) for one in shown)
    moment = shown[0]["created_at"]
    found = (await cloud.call("GET", f"{path}?created_at={moment}&sort_key=created_at&sort_dir=desc"))[1][key]
    assert {one["id"] for one in found} == {one["id"] for one in shown if one["created_at"] == moment}
    assert (await cloud.call("GET", f"{path}?updated_at=2000-01-01T00:00:00Z"))[1][key] == []


async def test_ports_are_listed_as_each_was_made(cloud: Any) -> None:
    network = await cloud.network()
    groups = [(await cloud.make("security-groups", name=name))["id"] for name in "ab"]
    subnet = network["subnet"]["id"]
    made = [
        await cloud.make("ports", network_id=network["id"], **values)
        for values in (
            {"fixed_ips": [{"subnet_id": subnet, "ip_address": f"10.0.0.{last}"} for last in (9, 8)]},
            {"security_groups": groups, "allowed_address_pairs": [{"ip_address": "10.9.0.0/16"}]},
            {"fixed_ips": [], "security_groups": [], "name": "bare"},
        )
    ]
    listed = {one["id"]: one for one in (await cloud.call("GET", "ports"))[1]["ports"]}
    for one in made:
        there = listed[one["id"]]
        for several in ("fixed_ips", "security_groups"):
            assert sorted(map(str, there.pop(several))) == sorted(map(str, one.pop(several)))
        assert there == one


async def test_lists_are_filtered_by_any_attribute_and_repeated_values(cloud: Any) -> None:
    for name in ("a", "b", "c"):
        await cloud.make("networks", name=name, admin_state_up=name != "c")
    assert await names(cloud, "name=a&name=c") == ["a", "c"]
    assert await names(cloud, "admin_state_up=False") == ["c"]
    assert await names(cloud, "router:external=True") == []
    assert await names(cloud, f"tenant_id={'b' * 32}") == []
    assert await names(cloud, "mtu=1450&name=b") == ["b"]


async def test_lists_are_sorted_and_paged_with_links(cloud: Any) -> None:
    for name in ("b", "c", "a", "d", "e"):
        await cloud.make("networks", name=name)
    assert await names(cloud, "sort_key=name&sort_dir=desc") == ["e", "d", "c", "b", "a"]
    path, seen = "networks?sort_key=name&limit=2", []
    while path:
        body = (await cloud.call("GET", path))[1]
        seen.append([one["name"] for one in body["networks"]])
        links = {one["rel"]: one["href"] for one in body.get("networks_links", [])}
        path = links.get("next", "").partition("/v2.0/")[2]
    assert seen == [["a", "b"], ["c", "d"], ["e"]]
    back = (await cloud.call("GET", links["previous"].partition("/v2.0/")[2]))[1]
    assert [one["name"] for one in back["networks"]] == ["c", "d"]


async def test_only_the_chosen_fields_are_shown(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    assert (await cloud.call("GET", "networks?fields=id&fields=name"))[1]["networks"] == [
        {"id": made["id"], "name": "a"}
    ]
    assert (await cloud.call("GET", f"networks/{made['id']}?fields=mtu"))[1] == {"network": {"mtu": 1450}}


async def test_a_filter_finds_a_thing_in_every_spelling(cloud: Any) -> None:
    net = await cloud.network()
    mac = {"mac_address": "FA-16-3E-00-0A-0B", "fixed_ips": [{"ip_address": "10.0.0.9"}]}
    port = await cloud.make("ports", network_id=net["id"].upper(), **mac)
    assert port["mac_address"] == "fa:16:3e:00:0a:0b" and port["network_id"] == net["id"]
    macs = ("fa:16:3e:00:0a:0b", "FA:16:3E:00:0A:0B", "fa-16-3e-00-0a-0b", "fa:16:3e:0:a:b", "fa16.3e00.0a0b")
    subnet = net["subnet"]["id"]
    for query in (
        *(f"mac_address={each}" for each in (*macs, "fa163e000a0b")),
        *(f"network_id={each}" for each in (net["id"].upper(), net["id"].replace("-", ""))),
        *(f"id={port['id'].upper()}", f"fixed_ips=subnet_id={subnet.upper()}", "fixed_ips=ip_address=10.0.0.9"),
    ):
        _, body = await cloud.call("GET", f"ports?{query}")
        assert [one["id"] for one in body["ports"]] == [port["id"]], query
    for query in ("cidr=10.0.0.0/24", "cidr=10.0.0.7/24", "cidr=10.0.0.0/255.255.255.0"):
        _, body = await cloud.call("GET", f"subnets?{query}")
        assert [one["id"] for one in body["subnets"]] == [subnet], query


async def test_a_filter_finds_a_rule_by_every_word_for_its_protocol(cloud: Any) -> None:
    group = await cloud.make("security-groups", name="g")
    rule = {"security_group_id": group["id"].replace("-", ""), "direction": "ingress", "port_range_min": 80}
    made = await cloud.make("security-group-rules", **rule, port_range_max=80, protocol="6")
    sent = {"security_group_id": group["id"], "direction": "ingress", "ethertype": "IPv6"}
    prefix = await cloud.make("security-group-rules", **sent, remote_ip_prefix="FD00::5/64")
    assert prefix["remote_ip_prefix"] == "fd00::5/64"
    for query, rules in (
        *((f"protocol={word}", [made]) for word in ("6", "tcp", "TCP")),
        *((f"remote_ip_prefix={text}", [prefix]) for text in ("fd00::5/64", "FD00:0::5/64")),
        ("normalized_cidr=fd00::9/64", [prefix]),
        ("direction=INGRESS&ethertype=ipv6", [prefix]),
    ):
        _, body = await cloud.call("GET", f"security-group-rules?security_group_id={group['id'].upper()}&{query}")
        assert [one["id"] for one in body["security_group_rules"]] == [one["id"] for one in rules], query


async def test_what_clients_compare_is_shown_as_it_was_sent_and_a_range_of_a_subnet_is_normal(cloud: Any) -> None:
    net = await cloud.network()
    subnet = await cloud.make("subnets", network_id=net["id"], cidr="10.7.0.5/24", ip_version=4)
    assert subnet["cidr"] == "10.7.0.0/24"
    pairs = [{"ip_address": "10.7.0.9/24"}, {"ip_address": "10.7.0.9", "mac_address": "FA163E000A0C"}]
    port = await cloud.make("ports", network_id=net["id"], allowed_address_pairs=pairs)
    assert port["allowed_address_pairs"] == [
        {"mac_address": port["mac_address"], "ip_address": "10.7.0.9/24"},
        {"mac_address": "fa:16:3e:00:0a:0c", "ip_address": "10.7.0.9"},
    ]


async def test_pages_without_an_order_lead_to_each_other_both_ways(cloud: Any) -> None:
    made = [(await cloud.make("networks", name=name))["id"] for name in "abcde"]
    path, seen = "networks?limit=2", []
    while path:
        body = (await cloud.call("GET", path))[1]
        seen.append([one["id"] for one in body["networks"]])
        links = {one["rel"]: one["href"].partition("/v2.0/")[2] for one in body.get("networks_links", [])}
        path = links.get("next", "")
    assert seen == [made[:2], made[2:4], made[4:]]
    back = (await cloud.call("GET", links["previous"]))[1]
    assert [one["id"] for one in back["networks"]] == made[2:4]
