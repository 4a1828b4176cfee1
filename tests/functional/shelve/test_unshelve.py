"""A shelved server comes back."""

from tests.functional.shelve.lives import act, claimed, remove, snapshots


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
