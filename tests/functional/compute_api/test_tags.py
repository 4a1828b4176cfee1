"""Tags of servers."""

import pytest


@pytest.fixture
async def active(boot, become, host):
    server_id = await boot()
    await become(server_id, vm_state="active", task_state=None, power_state=1, host=host)
    return server_id


async def test_tags_are_added_checked_replaced_and_removed(api, active):
    place = f"/v2.1/servers/{active}/tags"
    assert (await api("GET", place, version="2.25")).status == 404
    made = await api("PUT", f"{place}/red", version="2.26")
    assert made.status == 201 and made.headers["Location"].endswith(f"/servers/{active}/tags/red")
    assert (await api("PUT", f"{place}/red", version="2.26")).status == 204
    assert (await api("GET", f"{place}/red", version="2.26")).status == 204
    assert (await api("GET", f"{place}/blue", version="2.26")).status == 404
    assert (await api("PUT", place, {"tags": ["a", "b"]}, version="2.26")).body == {"tags": ["a", "b"]}
    assert (await api("DELETE", f"{place}/a", version="2.26")).status == 204
    assert (await api("DELETE", f"{place}/a", version="2.26")).status == 404
    assert (await api("GET", place, version="2.26")).body == {"tags": ["b"]}
    assert (await api("DELETE", place, version="2.26")).status == 204
    assert (await api("PUT", f"{place}/a,b", version="2.26")).status == 400
    assert (await api("PUT", f"{place}/{'x' * 61}", version="2.26")).status == 400
    assert (await api("PUT", place, {"tags": ["x"] * 51}, version="2.26")).status == 400
