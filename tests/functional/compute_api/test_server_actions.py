import pytest

from novakit.store import operations


@pytest.fixture
async def active(boot, become, host):
    server_id = await boot()
    await become(server_id, vm_state="active", task_state=None, power_state=1, host=host)
    return server_id


async def act(api, server_id, body, **more):
    return await api("POST", f"/v2.1/servers/{server_id}/action", body, **more)


@pytest.mark.parametrize(
    ("body", "task_state"),
    [
        ({"os-stop": None}, "powering-off"),
        ({"reboot": {"type": "SOFT"}}, "rebooting"),
        ({"reboot": {"type": "hard"}}, "rebooting_hard"),
    ],
)
async def test_power_actions_are_accepted_and_become_operations(api, store, active, body, task_state):
    assert (await act(api, active, body)).status == 202
    shown = (await api("GET", f"/v2.1/servers/{active}")).body["server"]
    assert shown["OS-EXT-STS:task_state"] == task_state
    async with store.read() as session:
        assert len(await operations.unfinished(session, [active])) == 2


async def test_an_action_in_the_wrong_state_is_a_conflict(api, active, boot):
    assert (await act(api, active, {"os-start": None})).status == 409
    building = await boot()
    answer = await act(api, building, {"os-stop": None})
    assert answer.status == 409 and "conflictingRequest" in answer.body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"os-stop": None, "os-start": None}, 400),
        ({"dance": None}, 400),
        ({"reboot": {}}, 400),
        ({"reboot": {"type": "TWICE"}}, 400),
        ({"reboot": {"type": "SOFT", "more": 1}}, 400),
        ({"os-getConsoleOutput": {"length": "x"}}, 400),
        ({"addSecurityGroup": {}}, 400),
        ({"rescue": None}, 501),
        ({"resize": {"flavorRef": "1"}}, 501),
        ({"createImage": {"name": "x"}}, 501),
        ({"os-getVNCConsole": {"type": "novnc"}}, 501),
    ],
)
async def test_odd_actions_are_told_apart_from_those_not_served_yet(api, active, body, status):
    answer = await act(api, active, body)
    assert answer.status == status
    if status == 501:
        assert next(iter(body)) in answer.body["notImplemented"]["message"]


async def test_old_actions_are_unknown_to_new_versions(api, active):
    assert (await act(api, active, {"os-getVNCConsole": {"type": "novnc"}}, version="2.6")).status == 400
    assert (await act(api, active, {"addFloatingIp": {"address": "1.2.3.4"}}, version="2.44")).status == 400


async def test_a_locked_server_is_left_alone_until_it_is_unlocked(api, active):
    assert (await act(api, active, {"lock": {"locked_reason": "audit"}}, version="2.73")).status == 202
    shown = (await api("GET", f"/v2.1/servers/{active}", version="2.73")).body["server"]
    assert (shown["locked"], shown["locked_reason"]) == (True, "audit")
    assert (await act(api, active, {"os-stop": None})).status == 409
    assert (await act(api, active, {"unlock": None})).status == 202
    assert (await act(api, active, {"os-stop": None})).status == 202
    assert (await act(api, active, {"lock": {"reason": "x"}}, version="2.73")).status == 400


async def test_metadata_is_added_replaced_and_removed(api, active):
    place = f"/v2.1/servers/{active}/metadata"
    assert (await api("POST", place, {"metadata": {"a": "1", "b": "2"}})).body == {"metadata": {"a": "1", "b": "2"}}
    assert (await api("PUT", f"{place}/b", {"meta": {"b": "3"}})).body == {"meta": {"b": "3"}}
    assert (await api("PUT", f"{place}/b", {"meta": {"c": "3"}})).status == 400
    assert (await api("PUT", f"{place}/b", {"meta": {"b": "3", "c": "4"}})).status == 400
    assert (await api("GET", place)).body == {"metadata": {"a": "1", "b": "3"}}
    assert (await api("GET", f"{place}/a")).body == {"meta": {"a": "1"}}
    assert (await api("DELETE", f"{place}/a")).status == 204
    assert (await api("DELETE", f"{place}/a")).status == 404
    assert (await api("PUT", place, {"metadata": {"z": "9"}})).body == {"metadata": {"z": "9"}}
    assert (await api("POST", place, {"metadata": {"z": 9}})).status == 400
    many = {f"k{n}": "v" for n in range(128)}
    assert (await api("POST", place, {"metadata": many})).status == 403


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


async def test_what_is_not_served_yet_says_so_and_lists_nothing(api, active):
    place = f"/v2.1/servers/{active}"
    assert (await api("GET", f"{place}/os-volume_attachments")).body == {"volumeAttachments": []}
    assert (await api("GET", f"{place}/migrations", version="2.23", as_="admin")).body == {"migrations": []}
    assert (await api("GET", f"{place}/migrations", version="2.23")).status == 403
    assert (await api("GET", "/v2.1/os-migrations", as_="admin")).body == {"migrations": []}
    assert (await api("GET", "/v2.1/extensions")).body == {"extensions": []}
    volume = {"volumeAttachment": {"volumeId": "70a599e0-31e7-49b7-b260-868f441e862b"}}
    console = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    for path, version, body in (("os-volume_attachments", "2.1", volume), ("remote-consoles", "2.6", console)):
        assert (await api("POST", f"{place}/{path}", body, version=version)).status == 501
        for wrong in ({}, {**body, "more": 1}):
            assert (await api("POST", f"{place}/{path}", wrong, version=version)).status == 400
    assert (await api("POST", f"{place}/action", {"rebuild": {"imageRef": "x"}})).status == 501
    refused = await api("POST", f"{place}/action", {"rebuild": {}})
    assert refused.status == 400 and "'imageRef' is a required property" in refused.body["badRequest"]["message"]
    assert (await api("POST", f"{place}/action", {"rebuild": {}}, as_="bob")).status == 404
    assert (await api("POST", f"{place}/action", {"rebuild": {}}, as_="rae")).status == 403
    assert (await api("POST", f"{place}/remote-consoles", {}, version="2.5")).status == 404
