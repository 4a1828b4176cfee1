from datetime import UTC, datetime

import pytest

from tests.functional.compute_api.listed import names


async def test_the_newest_server_comes_first(api, three):
    assert await names(api, "") == ["c%3", "b_2", "a1"]


async def test_pages_lead_to_each_other(api, three):
    first = await api("GET", "/v2.1/servers/detail?limit=2&sort_key=display_name&sort_dir=asc")
    assert [each["name"] for each in first.body["servers"]] == ["a1", "b_2"]
    href = first.body["servers_links"][0]["href"]
    assert (
        "/compute/v2.1/servers/detail?" in href and f"marker={three['b_2']}" in href and "sort_key=display_name" in href
    )
    following = await api("GET", "/v2.1/servers/detail?" + href.partition("?")[2])
    assert [each["name"] for each in following.body["servers"]] == ["c%3"]
    assert "servers_links" not in following.body
    assert await names(api, "?limit=0") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?sort_dir=asc", ["a1", "b_2", "c%3"]),
        ("?sort_dir=desc", ["c%3", "b_2", "a1"]),
        ("?sort_key=vm_state&sort_key=display_name&sort_dir=asc", ["a1", "c%3", "b_2"]),
        ("?sort_key=vm_state&sort_key=display_name&sort_dir=desc", ["b_2", "c%3", "a1"]),
        ("?sort_key=project_id&sort_key=display_name&sort_dir=asc", ["a1", "b_2", "c%3"]),
        ("?sort_key=project_id&sort_key=display_name&sort_dir=asc&sort_dir=desc", ["c%3", "b_2", "a1"]),
    ],
)
async def test_keys_without_a_direction_go_the_way_of_the_first(api, three, query, found):
    assert await names(api, query) == found


async def test_more_directions_than_keys_are_refused(api, three):
    answer = await api("GET", "/v2.1/servers?sort_key=display_name&sort_dir=asc&sort_dir=asc")
    assert answer.status == 400


VERSIONS = (
    "2.1",
    "2.3",
    "2.9",
    "2.16",
    "2.19",
    "2.26",
    "2.47",
    "2.63",
    "2.70",
    "2.73",
    "2.75",
    "2.90",
    "2.96",
    "2.98",
    "2.100",
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("as_", ["ann", "admin"])
async def test_a_list_shows_each_server_as_it_is_shown_alone(api, three, boot, become, host, as_, version):
    fault = {"code": 500, "message": "No valid host", "details": "why", "created": "2026-11-29T22:15:01Z"}
    whole, exact = datetime(2026, 11, 29, 22, 15, 1, tzinfo=UTC), datetime(2026, 11, 29, 22, 15, 1, 7, tzinfo=UTC)
    await become(three["a1"], launched_at=whole, description="dé", locked_by="admin", locked_reason="why")
    await become(three["b_2"], launched_at=exact, fault=fault, user_data="aGVsbG8=", access_ip_v6="2001:db8::1")
    await become(await boot(name="gone"), deleted_at=exact, terminated_at=exact, vm_state="deleted", task_state=None)
    query = "?all_tenants=1" if as_ == "admin" else ""
    listed = await api("GET", f"/v2.1/servers/detail{query}", as_=as_, version=version)
    assert [each["name"] for each in listed.body["servers"]] == ["c%3", "b_2", "a1"]
    for each in listed.body["servers"]:
        alone = (await api("GET", f"/v2.1/servers/{each['id']}", as_=as_, version=version)).body["server"]
        alone.pop("server_groups", None)
        assert list(each.items()) == list(alone.items())
    times = {each["name"]: each["OS-SRV-USG:launched_at"] for each in listed.body["servers"]}
    assert times == {"a1": "2026-11-29T22:15:01.000000", "b_2": "2026-11-29T22:15:01.000007", "c%3": None}
