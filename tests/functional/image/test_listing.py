"""Lists of images: what a filter says is what the list holds."""

from datetime import datetime, timedelta
from typing import Any

import pytest


async def _names(cloud: Any, query: str) -> list[str]:
    status, said = await cloud.ask("GET", f"/v2/images?{query}")
    assert status == 200, said
    return [one["name"] for one in said["images"]]


@pytest.mark.parametrize("name", ["created_at", "updated_at"])
async def test_images_are_filtered_by_their_age(cloud: Any, name: str) -> None:
    made = await cloud.image()
    shown = made[name]
    earlier, later = (
        (datetime.fromisoformat(shown) + timedelta(seconds=by)).strftime("%Y-%m-%dT%H:%M:%SZ") for by in (-1, 1)
    )
    for query, found in (
        (f"{name}=lt:2000-01-01T00:00:00Z", False),
        (f"{name}=gt:2000-01-01T00:00:00Z", True),
        *((f"{name}={operator}:{shown}", operator in ("eq", "gte", "lte")) for operator in OPERATORS),
        *((f"{name}={operator}:{earlier}", operator in ("neq", "gt", "gte")) for operator in OPERATORS),
        *((f"{name}={operator}:{later}", operator in ("neq", "lt", "lte")) for operator in OPERATORS),
        (f"{name}={shown}", True),
        (f"{name}=gt:{earlier}&{name}=lt:{later}", True),
        (f"{name}=gt:{earlier}&{name}=lt:{shown}", False),
        (f"{name}=lte:9999-12-31T23:59:59Z", True),
    ):
        assert await _names(cloud, query) == (["one"] if found else []), query


OPERATORS = ("eq", "neq", "gt", "gte", "lt", "lte")


@pytest.mark.parametrize("said", ["yesterday", "lt:", "between:2000-01-01", "lt:2000-13-01T00:00:00Z", "gt:x"])
async def test_an_age_that_is_none_is_refused(cloud: Any, said: str) -> None:
    await cloud.image()
    status, answer = await cloud.ask("GET", f"/v2/images?created_at={said}")
    assert status == 400, answer


async def test_the_filter_of_version_1_by_age_is_refused(cloud: Any) -> None:
    status, answer = await cloud.ask("GET", "/v2/images?changes-since=2000-01-01T00:00:00Z")
    assert status == 400 and "updated_at=gte:" in str(answer)


async def test_images_are_filtered_by_the_algorithm_of_their_hash(cloud: Any) -> None:
    await cloud.image(name="empty")
    full = await cloud.image(name="full")
    assert (await cloud.upload(full["id"], b"bytes"))[0] == 204
    assert await _names(cloud, "os_hash_algo=sha512") == ["full"]
    assert await _names(cloud, "os_hash_algo=in:md5,sha512") == ["full"]
    assert await _names(cloud, "os_hash_algo=md5") == []


async def test_images_are_filtered_by_their_exact_sizes(cloud: Any) -> None:
    await cloud.image(name="empty")
    full = await cloud.image(name="full")
    assert (await cloud.upload(full["id"], b"bytes"))[0] == 204
    assert await _names(cloud, "size=5") == ["full"]
    assert await _names(cloud, "size=6") == await _names(cloud, f"size={10**17}") == []
    _, shown = await cloud.ask("GET", f"/v2/images/{full['id']}")
    assert await _names(cloud, f"virtual_size={shown['virtual_size']}") == ["full"]
    assert (await cloud.ask("GET", "/v2/images?size=five"))[0] == 400


@pytest.mark.parametrize("said", ["", "%1F", "a%1F%1Fb", "b%1F"])
async def test_a_tag_that_no_image_can_have_finds_none(cloud: Any, said: str) -> None:
    await cloud.image(tags=["a", "b"])
    assert await _names(cloud, f"tag={said}") == []
    assert await _names(cloud, f"tag=a&tag={said}") == []
    assert await _names(cloud, "tag=a&tag=b") == ["one"]


@pytest.mark.parametrize(
    "query",
    [
        "name=one&name=two",
        "status=queued&status=active",
        "protected=true&protected=false",
        "size_min=0&size_min=1",
        "color=red&color=blue",
        "limit=1&limit=2",
        'name=in:"one',
        "sort=name:asc&sort_key=id",
        "sort=name&sort_dir=asc",
        "sort_key=name&sort_dir=asc&sort_dir=desc",
    ],
)
async def test_what_a_list_would_obey_in_part_is_refused(cloud: Any, query: str) -> None:
    await cloud.image(name="one")
    assert (await cloud.ask("GET", f"/v2/images?{query}"))[0] == 400
