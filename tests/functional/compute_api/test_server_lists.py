import pytest


async def names(api, query, as_="ann", version="2.100"):
    answer = await api("GET", f"/v2.1/servers{query}", as_=as_, version=version)
    assert answer.status == 200, answer.body
    return [each["name"] for each in answer.body["servers"]]


@pytest.fixture
async def three(boot, become):
    made = {name: await boot(name=name, tags=[name, "all"], metadata={"n": name}) for name in ("a1", "b_2", "c%3")}
    await become(made["a1"], vm_state="active", task_state=None, power_state=1, host="alpha")
    await become(made["b_2"], vm_state="error", task_state=None, locked_by="owner")
    return made


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
