"""In which states details of a server may be changed, what is seen of locks, and of groups that are gone."""

import pytest

STATES = {
    "build": {},
    "error": {"vm_state": "error", "task_state": None},
    "shelved": {"vm_state": "shelved_offloaded", "task_state": None},
}
CHANGES = [
    ("POST", "metadata", {"metadata": {"a": "b"}}),
    ("PUT", "metadata", {"metadata": {"a": "b"}}),
    ("PUT", "metadata/a", {"meta": {"a": "b"}}),
    ("DELETE", "metadata/a", None),
    ("PUT", "tags", {"tags": ["x"]}),
    ("PUT", "tags/x", None),
    ("DELETE", "tags/x", None),
    ("DELETE", "tags", None),
]
RIGHT = [(method, path, body) for method, path, body in CHANGES if method != "DELETE" or path == "tags"]


@pytest.fixture
async def server(boot, become, host):
    return await boot(metadata={"a": "1"}, tags=["x"])


async def change(api, server, method, path, body, **who):
    return await api(method, f"/v2.1/servers/{server}/{path}", body, version="2.90", **who)


@pytest.mark.parametrize("state", sorted(STATES))
@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=lambda value: str(value)[:20])
async def test_metadata_and_tags_are_left_alone_while_a_server_is_not_at_rest(
    api, server, become, state, method, path, body
):
    if STATES[state]:
        await become(server, **STATES[state])
    answer = await change(api, server, method, path, body)
    assert answer.status == 409, answer.body
    column = path.partition("/")[0]
    assert f"Cannot 'update {column}' instance {server}" in answer.body["conflictingRequest"]["message"]
    shown = (await api("GET", f"/v2.1/servers/{server}", version="2.90")).body["server"]
    assert (shown["metadata"], shown["tags"]) == ({"a": "1"}, ["x"])


@pytest.mark.parametrize("vm_state", ["active", "stopped", "paused", "suspended"])
async def test_metadata_and_tags_are_changed_at_rest(api, server, become, host, vm_state):
    await become(server, vm_state=vm_state, task_state=None, host=host)
    for method, path, body in CHANGES:
        assert (await change(api, server, method, path, body)).status in (200, 201, 204), (method, path)


async def test_a_task_keeps_metadata_and_not_tags_and_a_lock_does_so_too(api, server, become, host):
    await become(server, vm_state="active", task_state="rebooting", host=host)
    for method, path, body in RIGHT:
        status = (await change(api, server, method, path, body)).status
        assert status == 409 if "meta" in path else status in (200, 201, 204)
    await become(server, vm_state="active", task_state=None)
    place = f"/v2.1/servers/{server}/action"
    assert (await api("POST", place, {"lock": None})).status == 202
    for method, path, body in RIGHT:
        answer = await change(api, server, method, path, body)
        if "meta" in path:
            assert answer.status == 409 and "is locked" in answer.body["conflictingRequest"]["message"]
        else:
            assert answer.status in (200, 201, 204)
    assert (await api("POST", place, {"unlock": None})).status == 202
    done = (await api("GET", f"/v2.1/servers/{server}/os-instance-actions")).body["instanceActions"]
    assert [each["action"] for each in done][:2] == ["unlock", "lock"]
    lock = (
        await api("GET", f"/v2.1/servers/{server}/os-instance-actions/{done[1]['request_id']}", version="2.51")
    ).body
    assert [(each["event"], each["result"]) for each in lock["instanceAction"]["events"]] == [("api_lock", "Success")]


async def test_a_group_that_is_deleted_is_no_longer_shown_with_its_members(api, boot):
    made = await api("POST", "/v2.1/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}},
                     version="2.64")  # fmt: skip
    group = made.body["server_group"]["id"]
    server = await boot(hints={"group": group})
    path = f"/v2.1/servers/{server}"
    assert (await api("GET", path, version="2.71")).body["server"]["server_groups"] == [group]
    assert (await api("DELETE", f"/v2.1/os-server-groups/{group}", version="2.64")).status == 204
    assert (await api("GET", path, version="2.71")).body["server"]["server_groups"] == []
