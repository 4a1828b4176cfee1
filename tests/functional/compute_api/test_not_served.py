"""What is not served."""

import pytest

from novakit.api.compute.schemas import not_served
from novakit.api.compute.servers.actions import PLAIN
from novakit.conductor.verbs import ACTIONS


@pytest.fixture
async def active(boot, become, host):
    server_id = await boot()
    await become(server_id, vm_state="active", task_state=None, power_state=1, host=host)
    return server_id


async def act(api, server_id, body, **more):
    return await api("POST", f"/v2.1/servers/{server_id}/action", body, **more)


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


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"os-getVNCConsole": {"type": "novnc"}}, "2.6"),
        ({"addFloatingIp": {"address": "1.2.3.4"}}, "2.44"),
        ({"trigger_crash_dump": None}, "2.16"),
    ],
)
async def test_an_action_that_the_asked_version_has_not_is_not_found(api, active, body, version):
    assert (await act(api, active, body, version=version)).status == 404


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


def test_an_action_that_is_served_does_not_stand_among_those_that_are_not():
    assert not not_served.ACTIONS.keys() & {*ACTIONS, *PLAIN}
