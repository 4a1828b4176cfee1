"""Lists: filters, fields, order and pages."""

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
