"""Pause, suspend, reset state and locks through a whole service, and what a host that cannot is not asked to do."""

import json

import aiohttp
import pytest
import yaml

from tests.functional.command_line import openstack
from tests.functional.service.active import act, ready
from tests.support.service import Service

UNABLE = """
[agent]
withheld_traits = ["CUSTOM_COMPUTE_PAUSES", "CUSTOM_COMPUTE_SUSPENDS", "CUSTOM_COMPUTE_SNAPSHOTS"]
"""


async def test_a_server_is_paused_and_suspended_and_comes_back_where_it_was(tmp_path):
    with Service(tmp_path / "state") as service:
        async with aiohttp.ClientSession() as session:
            api, server = await ready(service, session)
            console = {"os-getConsoleOutput": {}}
            path = f"/compute/v2.1/servers/{server}/action"
            for away, back, status, power in (("pause", "unpause", "PAUSED", 3), ("suspend", "resume", "SUSPENDED", 7)):
                boots = (await api.ok("POST", path, console))["output"].count("Linux version")
                assert (await act(api, server, away))[0] == 202
                assert (await api.reach(server, status))["OS-EXT-STS:power_state"] == power
                for refused in (away, "os-stop", "os-start"):
                    code, answer = await act(api, server, refused)
                    assert code == 409 and f"vm_state {status.lower()}" in answer["conflictingRequest"]["message"]
                assert (await act(api, server, back))[0] == 202
                assert (await api.reach(server, "ACTIVE"))["OS-EXT-STS:power_state"] == 1
                assert (await api.ok("POST", path, console))["output"].count("Linux version") == boots
            for status, action in (("PAUSED", "pause"), ("SUSPENDED", "suspend")):
                await act(api, server, action)
                await api.reach(server, status)
                assert (await act(api, server, "reboot", {"type": "SOFT"}))[0] == 409
                assert (await act(api, server, "reboot", {"type": "HARD"}))[0] == 202
                await api.reach(server, "ACTIVE")
            await act(api, server, "suspend")
            await api.reach(server, "SUSPENDED")
            assert (await act(api, server, "shelve"))[0] == 202
            await api.reach(server, "SHELVED_OFFLOADED")
            await api.ok("DELETE", f"/compute/v2.1/servers/{server}")


async def test_what_a_host_cannot_do_is_refused_before_anything_begins(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(UNABLE)
    with Service(state) as service:
        async with aiohttp.ClientSession() as session:
            api, server = await ready(service, session)
            for action, facet in (("pause", "PAUSES"), ("suspend", "SUSPENDS"), ("shelve", "SNAPSHOTS")):
                code, answer = await act(api, server, action)
                assert code == 409
                wanted = f"its host cannot do that, as CUSTOM_COMPUTE_{facet} is not among its traits"
                assert wanted in answer["conflictingRequest"]["message"]
                shown = (await api.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
                assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("ACTIVE", None)
            done = (await api.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions"))["instanceActions"]
            assert [each["action"] for each in done] == ["create"]
            assert (await act(api, server, "os-stop"))[0] == 202, "what needs no facet is done as ever"


@pytest.mark.slow
async def test_the_openstack_command_shows_who_did_what_and_each_step(tmp_path):
    with Service(tmp_path / "state") as service:
        async with aiohttp.ClientSession() as session:
            api, server = await ready(service, session)

            clouds = yaml.safe_load((service.state / "clouds.yaml").read_text())["clouds"]
            auth = clouds["novakit-admin"]["auth"]

            async def run(*words):
                return await openstack(auth["auth_url"], auth["username"], auth["password"], *words)

            for verb, status in (("pause", "PAUSED"), ("unpause", "ACTIVE"), ("suspend", "SUSPENDED")):
                await run("server", verb, server)
                await api.reach(server, status)
            await run("server", "resume", server)
            await api.reach(server, "ACTIVE")
            await run("server", "lock", "--reason", "hands off", server, "--os-compute-api-version", "2.73")
            await run("server", "unlock", server)
            await run("server", "set", "--state", "error", "--auto-approve", server)
            events = json.loads(await run("server", "event", "list", server, "-f", "json"))
            done = [each["Action"] for each in events]
            assert done == ["resetState", "unlock", "lock", "resume", "suspend", "unpause", "pause", "create"]
            create = events[-1]["Request ID"]
            shown = json.loads(await run("server", "event", "show", server, create, "-f", "json",
                                         "--os-compute-api-version", "2.84"))  # fmt: skip
            steps = shown["events"]
            assert [each["event"] for each in steps] == [
                "conductor_schedule_and_build_instances", "create_wire", "compute__do_build_and_run_instance",
            ]  # fmt: skip
            assert all(each["result"] == "Success" and each["finish_time"] >= each["start_time"] for each in steps)
            assert {each["host"] for each in steps} == {shown["events"][0]["host"]} != {None}
    log = (service.state / "novakit.log").read_text()
    assert "built a guest" in log
    for step in ("create/place", "create/wire", "create/build", "pause/pause", "resume/resume"):
        assert f"step done: {step}" in log
