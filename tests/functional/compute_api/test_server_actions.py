import asyncio

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from novakit import world
from novakit.calls.host import HostCalls
from novakit.store import operations
from novakit.store.compute import hosts
from tests.support.targets import serve_some


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


async def test_a_locked_server_is_left_alone_until_it_is_unlocked(api, active):
    assert (await act(api, active, {"lock": {"locked_reason": "audit"}}, version="2.73")).status == 202
    shown = (await api("GET", f"/v2.1/servers/{active}", version="2.73")).body["server"]
    assert (shown["locked"], shown["locked_reason"]) == (True, "audit")
    assert (await act(api, active, {"os-stop": None})).status == 409
    assert (await act(api, active, {"unlock": None})).status == 202
    assert (await act(api, active, {"os-stop": None})).status == 202
    assert (await act(api, active, {"lock": {"reason": "x"}}, version="2.73")).status == 400


async def lock_of(api, server_id):
    shown = (await api("GET", f"/v2.1/servers/{server_id}", as_="admin", version="2.73")).body["server"]
    return shown["locked"], shown["locked_reason"]


async def test_a_member_cannot_make_an_administrators_lock_his_own(api, store, active):
    assert (await act(api, active, {"lock": {"locked_reason": "audit"}}, as_="admin", version="2.73")).status == 202
    async with store.read() as session:
        begun = await operations.of_server(session, active)
    assert (await act(api, active, {"lock": {"locked_reason": "mine"}}, version="2.73")).status == 202
    assert await lock_of(api, active) == (True, "audit")
    async with store.read() as session:
        assert await operations.of_server(session, active) == begun, "what changes nothing is no action of the server"
    refused = await act(api, active, {"unlock": None})
    assert refused.status == 403
    assert "os_compute_api:os-lock-server:unlock:unlock_override to be" in refused.body["forbidden"]["message"]
    assert (await act(api, active, {"unlock": None}, as_="admin")).status == 202
    assert await lock_of(api, active) == (False, None)


async def test_a_member_who_locks_again_keeps_the_first_reason(api, active):
    for reason in ("first", "second"):
        assert (await act(api, active, {"lock": {"locked_reason": reason}}, version="2.73")).status == 202
    assert await lock_of(api, active) == (True, "first")
    assert (await act(api, active, {"unlock": None})).status == 202


async def test_an_administrator_takes_over_a_members_lock(api, active):
    assert (await act(api, active, {"lock": {"locked_reason": "mine"}}, version="2.73")).status == 202
    assert (await act(api, active, {"lock": {"locked_reason": "audit"}}, as_="admin", version="2.73")).status == 202
    assert await lock_of(api, active) == (True, "audit")
    assert (await act(api, active, {"unlock": None})).status == 403


async def test_of_two_locks_at_once_the_administrators_stands(api, active):
    """Whichever comes first: together they are of one transaction, where the second one sees what the first wrote."""
    for order in (("ann", "admin"), ("admin", "ann")):
        bodies = [act(api, active, {"lock": {"locked_reason": who}}, as_=who, version="2.73") for who in order]
        assert [answer.status for answer in await asyncio.gather(*bodies)] == [202, 202]
        assert await lock_of(api, active) == (True, "admin")
        assert (await act(api, active, {"unlock": None})).status == 403
        assert (await act(api, active, {"unlock": None}, as_="admin")).status == 202


async def test_a_server_in_error_is_not_unshelved_while_anything_asked_before_is_open(
    api, store, boot, become, image_id
):
    """That may be an unshelve, which would end as the second one begins: the guest would be built twice."""
    server = await boot()
    ids = {"server_id": server, "project_id": "p", "user_id": "u", "request_id": "r"}
    done = {"state": "done", "finished_at": world.now()}
    async with store.write() as session:
        (under_way,) = await operations.unfinished(session, [server])
        await operations.add(session, [{"id": image_id, "kind": "shelve", **ids, **done}])
    await become(server, vm_state="error", task_state=None, host=None)
    refused = await act(api, server, {"unshelve": None})
    assert refused.status == 409 and "still being taken back" in refused.body["conflictingRequest"]["message"]
    async with store.write() as session:
        c = operations.operations.c
        await session.execute(sa.update(operations.operations).where(c.id == under_way["id"]).values(**done))
    assert (await act(api, server, {"unshelve": None})).status == 202


async def test_a_console_log_is_asked_only_of_a_host_that_keeps_one(api, bus, store, active, host):
    """A trait that the agent withholds counts as an ability that its driver lacks."""
    asked = []

    async def console_log(server, max_bytes):
        asked.append(server)
        return b"Linux"

    serve_some(bus.join(f"agent:{host}"), HostCalls, host, console_log=console_log)
    refused = await act(api, active, {"os-getConsoleOutput": {}})
    assert refused.status == 409 and "CUSTOM_COMPUTE_LOGS_CONSOLE" in refused.body["conflictingRequest"]["message"]
    assert asked == []
    async with store.write() as session:
        facts = (await hosts.host(session, host))["facts"]
        await hosts.report(session, host, {**facts, "traits": ["CUSTOM_COMPUTE_LOGS_CONSOLE"]})
    assert (await act(api, active, {"os-getConsoleOutput": {}})).body == {"output": "Linux"}
    assert asked == [active]


async def test_what_a_host_says_of_a_console_log_that_it_cannot_read_is_told_to_the_operator_alone(
    api, bus, store, active, host
):
    async def console_log(server, max_bytes):
        raise PermissionError(13, "Permission denied", "/var/lib/novakit/guests/console.log")

    serve_some(bus.join(f"agent:{host}"), HostCalls, host, console_log=console_log)
    async with store.write() as session:
        facts = (await hosts.host(session, host))["facts"]
        await hosts.report(session, host, {**facts, "traits": ["CUSTOM_COMPUTE_LOGS_CONSOLE"]})
    with capture_logs() as logs:
        failed = await act(api, active, {"os-getConsoleOutput": {}})
    told = failed.body["itemNotFound"]["message"]
    assert failed.status == 404 and f"console log of instance {active}" in told
    assert "/var/lib" not in told and "Errno" not in told and host not in told
    (line,) = [one for one in logs if one["event"] == "a console log could not be read"]
    assert line["host"] == host and "/var/lib/novakit" in line["why"] and line["request_id"] in told


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
