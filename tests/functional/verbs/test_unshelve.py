"""A shelved server comes back."""

import asyncio

import aiohttp

from tests.functional.verbs.lives import act, claimed, remove, snapshots
from tests.support.service import Api, Service


async def test_where_to_unshelve_is_said_in_the_form_of_the_version(api, admin, image):
    server = await admin.server("placed", own := await admin.image("placed"))
    home = (await admin.reach(server, "ACTIVE"))["OS-EXT-SRV-ATTR:host"]
    other = next(f"{home[:-1]}{number}" for number in "123" if number != home[-1])
    await act(admin, server, {"shelve": None})
    await admin.reach(server, "SHELVED_OFFLOADED")
    for body, version, status in (
        ({"availability_zone": "nowhere"}, "2.77", 400),
        ({"host": other}, "2.77", 400),
        ({"availability_zone": None}, "2.77", 400),
        ({"host": "nobody"}, "2.91", 400),
        ({"host": other, "more": 1}, "2.91", 400),
    ):
        assert (await act(admin, server, {"unshelve": body}, version=version))[0] == status, body
    assert (await act(admin, server, {"unshelve": {"availability_zone": None, "host": other}}, version="2.91"))[
        0
    ] == 202
    assert (await admin.reach(server, "ACTIVE"))["OS-EXT-SRV-ATTR:host"] == other
    await act(admin, server, {"shelve": None})
    await admin.reach(server, "SHELVED_OFFLOADED")
    body = {"unshelve": {"availability_zone": "nova"}}
    assert (await act(admin, server, body, version="2.77"))[0] == 202
    assert (await admin.reach(server, "ACTIVE"))["OS-EXT-AZ:availability_zone"] == "nova"
    mine = await api.server("mine", image)
    await api.reach(mine, "ACTIVE")
    await act(api, mine, {"shelve": None})
    await api.reach(mine, "SHELVED_OFFLOADED")
    assert (await act(api, mine, {"unshelve": {"host": other}}, version="2.91"))[0] == 403
    await remove(api, mine)
    await remove(admin, server)
    await admin.ok("DELETE", f"/image/v2/images/{own}")


async def test_without_its_snapshot_a_server_stays_shelved_with_a_reason(api, admin, image):
    server = await api.server("broken", image)
    await api.reach(server, "ACTIVE")
    await act(api, server, {"shelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    (snapshot,) = await snapshots(api, server)
    await api.ok("DELETE", f"/image/v2/images/{snapshot['id']}")
    await act(api, server, {"unshelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    actions = (await api.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions"))["instanceActions"]
    assert [(each["action"], each["message"]) for each in actions[:2]] == [("unshelve", "Error"), ("shelve", None)]
    assert await claimed(admin, server) == {}
    await remove(api, server)


async def test_nothing_is_built_from_a_snapshot_that_was_deactivated_until_it_is_active_again(api, admin, image):
    server = await api.server("put-aside", image)
    await api.reach(server, "ACTIVE")
    await act(api, server, {"shelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    (snapshot,) = await snapshots(api, server)
    path = f"/image/v2/images/{snapshot['id']}"
    await admin.ok("POST", f"{path}/actions/deactivate")
    for who in (api, admin):
        status, answer = await act(who, server, {"unshelve": None})
        assert status == 409 and f"image {snapshot['id']} is deactivated" in answer["conflictingRequest"]["message"]
    assert (await api.ok("GET", path))["status"] == "deactivated", "it is there for whoever looks into it"
    await admin.ok("POST", f"{path}/actions/reactivate")
    await act(api, server, {"unshelve": None})
    await api.reach(server, "ACTIVE")
    await remove(api, server)


async def test_a_server_that_joined_a_group_while_shelved_is_unshelved_beside_it(api, admin, image):
    """On one host the first server stands, on the others there is more room: only the group sends the second there."""
    near = await api.server("near", image, networks="none")
    away = await api.server("away", image, networks="none")
    for server in (near, away):
        await api.reach(server, "ACTIVE")
    assert (await act(api, away, {"shelve": None}))[0] == 202
    await api.reach(away, "SHELVED_OFFLOADED")
    body = {"server_group": {"name": "together", "policy": "affinity"}}
    group = (await api.ok("POST", "/novakit/v1/server-groups", body))["server_group"]["id"]
    for server in (near, away):
        told = await api.ok("PUT", f"/novakit/v1/server-groups/{group}/members/{server}")
        assert server in told["server_group"]["members"]
    assert (await act(api, away, {"unshelve": None}))[0] == 202
    await api.reach(away, "ACTIVE")
    hosts = [(await admin.ok("GET", f"/compute/v2.1/servers/{each}"))["server"] for each in (near, away)]
    assert len({each["OS-EXT-SRV-ATTR:host"] for each in hosts}) == 1
    assert list(await claimed(admin, near)) == list(await claimed(admin, away))
    await remove(api, near, away)


async def offloaded(api, name, image):
    server = await api.server(name, image)
    await api.reach(server, "ACTIVE")
    await act(api, server, {"shelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    return server


async def set_to(admin, server, state):
    return await act(admin, server, {"os-resetState": {"state": state}})


def said(answer):
    return answer["conflictingRequest"]["message"]


async def test_a_shelved_server_that_was_set_to_error_comes_back(api, admin, image):
    server = await offloaded(api, "erred", image)
    assert (await set_to(admin, server, "error"))[0] == 202
    await api.reach(server, "ERROR")
    status, answer = await set_to(admin, server, "active")
    assert status == 409 and "on no host. Unshelve it, or delete it" in said(answer)
    assert (await act(api, server, {"unshelve": None}))[0] == 202
    await api.reach(server, "ACTIVE")
    assert len(await claimed(admin, server)) == 1 and await snapshots(api, server) == []
    assert (await set_to(admin, server, "error"))[0] == 202
    status, answer = await act(api, server, {"unshelve": None})
    assert status == 409 and "it is on a host" in said(answer)
    await remove(api, server)


async def test_a_shelved_server_in_error_without_its_image_is_told_to_be_deleted(api, admin, image):
    server = await offloaded(api, "lost", image)
    assert (await set_to(admin, server, "error"))[0] == 202
    (snapshot,) = await snapshots(api, server)
    await api.ok("DELETE", f"/image/v2/images/{snapshot['id']}")
    status, answer = await act(api, server, {"unshelve": None})
    assert status == 409 and "no image of its disk. Delete it" in said(answer)
    assert (await api.reach(server, "ERROR"))["OS-EXT-STS:task_state"] is None
    await remove(api, server)


async def test_with_a_shelved_server_in_error_its_image_is_deleted(api, admin, image):
    server = await offloaded(api, "deleted", image)
    assert (await set_to(admin, server, "error"))[0] == 202
    await remove(api, server)
    assert await snapshots(api, server) == []


async def test_whoever_resets_a_build_or_an_unshelve_finds_the_server_as_it_really_is(tmp_path):
    """The build is taken back and leaves no guest; the unshelve, which deletes the disk's image, keeps the guest."""
    options = tmp_path / "state" / "novakit.toml"
    options.parent.mkdir()
    options.write_text("[drivers.simulated]\nhang_create = 2.0\n")
    with Service(options.parent) as service:
        async with aiohttp.ClientSession() as session:
            api = await Api.login(service, session, "novakit-admin")
            image = await api.image(content=bytes(1 << 16))
            built = await api.server("built", image)
            await building(api, built)
            server = await offloaded(api, "back", image)
            shown = await api.reach(built, "ERROR")
            assert "The state of the server was changed meanwhile; look at it" in shown["fault"]["message"]
            assert shown["OS-EXT-SRV-ATTR:host"] is None and await claimed(api, built) == {}
            status, answer = await set_to(api, built, "active")
            assert status == 409 and "on no host. Delete it and create another" in said(answer)
            status, answer = await act(api, built, {"unshelve": None})
            assert status == 409 and "no image of its disk" in said(answer)

            await act(api, server, {"unshelve": None})
            await building(api, server)
            await ended(api, server)
            shown = await api.reach(server, "ACTIVE")
            assert list(await claimed(api, server)) and shown["OS-EXT-SRV-ATTR:host"] is not None
            assert (await act(api, server, {"reboot": {"type": "HARD"}}))[0] == 202
            await api.reach(server, "ACTIVE")

            await act(api, server, {"shelve": None})
            await api.reach(server, "SHELVED_OFFLOADED")
            await act(api, server, {"unshelve": None})
            await building(api, server, "error")
            assert (await act(api, server, {"unshelve": None}))[0] == 409
            await ended(api, server)
            assert (await api.reach(server, "ERROR"))["OS-EXT-SRV-ATTR:host"] is not None
            assert await snapshots(api, server) == []
            assert (await act(api, server, {"reboot": {"type": "HARD"}}))[0] == 202
            await api.reach(server, "ACTIVE")
            await remove(api, built, server)


async def building(api, server, state="active"):
    """Wait until a host builds the guest, and set the server to a state then."""
    async with asyncio.timeout(20):
        while (await api.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]["OS-EXT-STS:task_state"] != "spawning":
            await asyncio.sleep(0.02)
    assert (await set_to(api, server, state))[0] == 202
    assert (await api.reach(server, state.upper()))["OS-EXT-STS:task_state"] is None


async def ended(api, server):
    """Wait until the unshelve that was asked for last has ended."""
    path = f"/compute/v2.1/servers/{server}/os-instance-actions"
    last = (await api.ok("GET", path))["instanceActions"][1]
    assert last["action"] == "unshelve"
    async with asyncio.timeout(20):
        while True:
            events = (await api.ok("GET", f"{path}/{last['request_id']}"))["instanceAction"]["events"]
            if ("unshelve_forget", "Success") in [(each["event"], each["result"]) for each in events]:
                return
            await asyncio.sleep(0.05)
