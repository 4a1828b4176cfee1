"""Aggregates."""


async def test_aggregates_are_made_changed_and_removed(api, host):
    async def ask(method, path="", body=None, version="2.41"):
        return await api(method, f"/v2.1/os-aggregates{path}", body, as_="admin", version=version)

    made = (await ask("POST", "", {"aggregate": {"name": "rack"}})).body["aggregate"]
    fields = {"availability_zone", "created_at", "deleted", "deleted_at", "id", "name", "updated_at"}
    assert set(made) == fields | {"uuid"}
    place = f"/{made['id']}"
    assert set((await ask("GET", place, version="2.40")).body["aggregate"]) == fields | {"hosts", "metadata"}
    assert (await ask("POST", "", {"aggregate": {"name": "rack"}})).status == 409
    assert (await ask("POST", "", {"aggregate": {"name": "x", "availability_zone": "a:b"}})).status == 400
    changed = await ask("POST", f"{place}/action", {"set_metadata": {"metadata": {"ssd": "true", "old": None}}})
    assert changed.body["aggregate"]["metadata"] == {"ssd": "true"}
    assert (await ask("PUT", place, {"aggregate": {"name": "rack2"}})).body["aggregate"]["name"] == "rack2"
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "nowhere"}})).status == 404
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "alpha"}})).status == 200
    assert (await ask("POST", f"{place}/action", {"add_host": {"host": "alpha"}})).status == 409
    assert (await ask("DELETE", place)).status == 400
    assert (await ask("POST", f"{place}/action", {"remove_host": {"host": "alpha"}})).status == 200
    assert (await ask("POST", f"{place}/action", {"remove_host": {"host": "alpha"}})).status == 404
    assert (await ask("POST", f"{place}/action", {"paint": {}})).status == 400
    assert (await ask("DELETE", place)).status == 200
    assert (await ask("GET", place)).status == 404
    assert (await ask("GET", "/rack2")).status == 400
    assert (await api("GET", "/v2.1/os-aggregates")).status == 403
