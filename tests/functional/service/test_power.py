"""Servers are stopped, started and rebooted."""


async def test_a_server_stops_starts_and_reboots(api, image):
    server = await api.server("power", image)
    await api.reach(server, "ACTIVE")
    for action, status in (
        ({"os-stop": None}, "SHUTOFF"),
        ({"os-start": None}, "ACTIVE"),
        ({"reboot": {"type": "SOFT"}}, "ACTIVE"),
        ({"reboot": {"type": "HARD"}}, "ACTIVE"),
    ):
        await api.ok("POST", f"/compute/v2.1/servers/{server}/action", action)
        await api.reach(server, status)
    log = await api.ok("POST", f"/compute/v2.1/servers/{server}/action", {"os-getConsoleOutput": {}})
    assert log["output"].count("Linux version") == 4
    status, error = await api.call("POST", f"/compute/v2.1/servers/{server}/action", {"os-start": None})
    assert status == 409 and "vm_state active" in error["conflictingRequest"]["message"]
    await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await api.gone(server)
