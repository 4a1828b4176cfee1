"""The history of a server."""

import pytest


@pytest.fixture
async def active(boot, become, host):
    server_id = await boot()
    await become(server_id, vm_state="active", task_state=None, power_state=1, host=host)
    return server_id


async def act(api, server_id, body, **more):
    return await api("POST", f"/v2.1/servers/{server_id}/action", body, **more)


async def test_the_history_of_a_server_names_what_was_asked(api, active):
    await act(api, active, {"os-stop": None})
    place = f"/v2.1/servers/{active}/os-instance-actions"
    old = (await api("GET", place)).body["instanceActions"]
    assert [each["action"] for each in old] == ["stop", "create"]
    fields = {"action", "instance_uuid", "request_id", "user_id", "project_id", "start_time", "message"}
    assert set(old[0]) == fields
    new = await api("GET", f"{place}?limit=1", version="2.58")
    assert set(new.body["instanceActions"][0]) == fields | {"updated_at"}
    marker = old[0]["request_id"]
    assert f"marker={marker}" in new.body["links"][0]["href"]
    rest = (await api("GET", f"{place}?marker={marker}", version="2.58")).body["instanceActions"]
    assert [each["action"] for each in rest] == ["create"]
    assert "events" not in (await api("GET", f"{place}/{marker}", version="2.50")).body["instanceAction"]
    assert (await api("GET", f"{place}/{marker}", version="2.51")).body["instanceAction"]["events"][0][
        "finish_time"
    ] is None
    assert (await api("GET", f"{place}/req-none")).status == 404
