"""Filters, fields, order and pages."""

from typing import Any


async def names(cloud: Any, query: str = "") -> list[str]:
    return [one["name"] for one in (await cloud.call("GET", f"networks?{query}"))[1]["networks"]]


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


async def test_ports_are_found_by_address_and_subnet(cloud: Any) -> None:
    net = await cloud.network()
    one, _ = [await cloud.make("ports", network_id=net["id"]) for _ in range(2)]
    ip = one["fixed_ips"][0]["ip_address"]
    for query in (f"fixed_ips=ip_address={ip}", f"mac_address={one['mac_address']}"):
        assert [port["id"] for port in (await cloud.call("GET", f"ports?{query}"))[1]["ports"]] == [one["id"]]
    found = (await cloud.call("GET", f"ports?fixed_ips=subnet_id={net['subnet']['id']}"))[1]["ports"]
    assert len(found) == 2


async def test_what_the_provider_knows_is_shown_to_admins_alone(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    assert not [key for key in made if key.startswith("provider:")]
    shown = (await cloud.call("GET", f"networks/{made['id']}", token="admin"))[1]["network"]
    assert shown["provider:network_type"] == "vxlan" and shown["provider:segmentation_id"] >= 1


async def test_tags_are_added_filtered_and_removed(cloud: Any) -> None:
    made = await cloud.make("networks", name="a")
    path = f"networks/{made['id']}/tags"
    assert (await cloud.call("PUT", path, {"tags": ["red", "blue"]}))[1] == {"tags": ["blue", "red"]}
    assert (await cloud.call("PUT", f"{path}/green"))[0] == 201
    assert await names(cloud, "tags=red,green") == ["a"]
    assert await names(cloud, "not-tags=red") == []
    assert (await cloud.call("DELETE", f"{path}/green"))[0] == 204
    assert await cloud.refused("DELETE", f"{path}/green") == (404, "TagNotFound")
    assert (await cloud.call("PUT", path, {"tags": ["x"]}, token="bob"))[0] == 404


async def test_the_service_tells_its_versions_extensions_zones_and_quotas(cloud: Any) -> None:
    async with cloud.client.get("/") as answer:
        (version,) = (await answer.json())["versions"]
        assert version["id"] == "v2.0" and version["links"][0]["href"].endswith("/v2.0/")
    assert (await cloud.call("GET", ""))[1]["resources"][0]["name"] == "network"
    assert (await cloud.call("GET", "extensions/router"))[1]["extension"]["alias"] == "router"
    refusal = await cloud.refused("GET", "extensions/external-gateway-multihoming")
    assert refusal == (404, "ExtensionNotFound")
    zones = (await cloud.call("GET", "availability_zones"))[1]["availability_zones"]
    assert {zone["resource"] for zone in zones} == {"network", "router"}
    assert (await cloud.call("GET", f"quotas/{'a' * 32}"))[1]["quota"]["port"] == 500


async def test_a_project_has_a_default_group_from_the_first_look(cloud: Any) -> None:
    (group,) = (await cloud.call("GET", "security-groups"))[1]["security_groups"]
    assert group["name"] == "default"
    trusts = {rule["remote_group_id"] for rule in group["security_group_rules"] if rule["direction"] == "ingress"}
    assert trusts == {group["id"]}
    refusal = await cloud.refused("POST", "security-groups", {"security_group": {"name": "default"}})
    assert refusal == (409, "SecurityGroupDefaultAlreadyExists")
    assert (await cloud.refused("DELETE", f"security-groups/{group['id']}"))[1] == "SecurityGroupCannotRemoveDefault"
