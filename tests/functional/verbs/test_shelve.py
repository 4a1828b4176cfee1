"""A server is shelved."""

import pytest

from tests.functional.verbs.lives import act, claimed, remove, snapshots


async def test_shelving_frees_the_host_and_stopping_does_not(api, admin, image):
    network = await api.network("shelf", "10.1.0.0/24")
    server = await api.server("shelved", image, networks=[{"uuid": network}], metadata={"keep": "me"})
    before = await api.reach(server, "ACTIVE")
    held = await claimed(admin, server)
    assert (await act(api, server, {"os-stop": None}))[0] == 202
    await api.reach(server, "SHUTOFF")
    assert await claimed(admin, server) == held
    assert (await act(api, server, {"shelve": None}))[0] == 202
    await api.reach(server, "SHELVED_OFFLOADED")
    assert await claimed(admin, server) == {}
    seen = (await admin.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
    assert seen["OS-EXT-SRV-ATTR:host"] is None
    (snapshot,) = await snapshots(api, server)
    assert (snapshot["name"], snapshot["status"], snapshot["owner"]) == ("shelved-shelved", "active", api.project_id)
    assert (snapshot["image_type"], snapshot["base_image_ref"]) == ("snapshot", image)
    assert (await act(api, server, {"unshelve": None}))[0] == 202
    after = await api.reach(server, "ACTIVE")
    for same in ("id", "addresses", "metadata", "image", "created"):
        assert after[same] == before[same]
    assert sum(map(len, (await claimed(admin, server)).values()), 0)
    assert await snapshots(api, server) == []
    await remove(api, server)
    await api.ok("DELETE", f"/network/v2.0/networks/{network}")


async def test_deleting_a_shelved_server_removes_its_snapshot(api, admin, image):
    server = await api.server("gone", image)
    await api.reach(server, "ACTIVE")
    await act(api, server, {"shelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    await remove(api, server)
    assert await snapshots(api, server) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"unshelve": None}, "Cannot 'unshelve' instance {} while it is in vm_state active"),
        ({"shelveOffload": None}, "Cannot 'shelveOffload' instance {} while it is in vm_state active"),
    ],
)
async def test_a_server_that_runs_is_not_unshelved_or_offloaded(api, admin, image, body, message):
    server = await admin.server("runs", image_of := await admin.image("own"))
    await admin.reach(server, "ACTIVE")
    status, answer = await act(admin, server, body)
    assert status == 409 and answer["conflictingRequest"]["message"] == message.format(server)
    await remove(admin, server)
    await admin.ok("DELETE", f"/image/v2/images/{image_of}")


async def test_a_shelved_server_refuses_power_actions_and_ordinary_users_do_not_offload(api, image):
    server = await api.server("quiet", image)
    await api.reach(server, "ACTIVE")
    await act(api, server, {"shelve": None})
    await api.reach(server, "SHELVED_OFFLOADED")
    for body in ({"os-start": None}, {"os-stop": None}, {"reboot": {"type": "HARD"}}, {"shelve": None}):
        status, answer = await act(api, server, body)
        assert status == 409 and "vm_state shelved_offloaded" in answer["conflictingRequest"]["message"]
    assert (await act(api, server, {"shelveOffload": None}))[0] == 403
    await remove(api, server)
