"""A build that fails, and what becomes of the server."""


async def test_a_host_that_fails_is_left_for_another_and_each_try_is_recorded(api, admin, image):
    servers = [await api.server(f"s{number}", image) for number in range(3)]
    for server in servers:
        await api.reach(server, "ACTIVE")
    hosts = {(await admin.reach(server, "ACTIVE"))["OS-EXT-SRV-ATTR:host"] for server in servers}
    assert hosts <= {"sim-2", "sim-3"}
    tried = []
    for server in servers:
        actions = (await admin.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions"))["instanceActions"]
        path = f"/compute/v2.1/servers/{server}/os-instance-actions/{actions[0]['request_id']}"
        events = (await admin.ok("GET", path))["instanceAction"]["events"]
        tried += [(each["result"], each["host"]) for each in events if each["event"].startswith("compute_")]
    assert ("Error", "sim-1") in tried
    assert {host for result, host in tried if result == "Success"} <= {"sim-2", "sim-3"}
    chosen = []
    for server in servers:
        decisions = (await admin.ok("GET", f"/novakit/v1/decisions?server_id={server}"))["decisions"]
        chosen += [decisions] if len(decisions) > 1 else []
    assert chosen
    for second, first in chosen:
        assert (first["host"], second["next_best_of"]) == ("sim-1", first["id"])
        assert second["host"] == first["alternates"][0]
    for server in servers:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        await api.gone(server)


async def test_a_server_bound_to_a_host_that_fails_tells_of_that_and_of_no_other_hosts(api, admin, image):
    flavor = (await admin.ok("GET", "/compute/v2.1/flavors"))["flavors"][0]["id"]
    for where in ({"host": "sim-1"}, {"availability_zone": "nova:sim-1"}):
        new = {"name": "bound", "imageRef": image, "flavorRef": flavor, "networks": "none", **where}
        made = await admin.ok(
            "POST", "/compute/v2.1/servers", {"server": new}, headers={"OpenStack-API-Version": "compute 2.74"}
        )
        shown = await admin.reach(made["server"]["id"], "ERROR")
        assert (
            "The host could not do 'create'. Try again, or give" in shown["fault"]["message"]
            and "sim-1" in shown["fault"]["details"]
        )
        decisions = (await admin.ok("GET", f"/novakit/v1/decisions?server_id={shown['id']}"))["decisions"]
        assert [each["host"] for each in decisions] == ["sim-1"]
        await admin.ok("DELETE", f"/compute/v2.1/servers/{shown['id']}")
        await admin.gone(shown["id"])


async def test_a_host_whose_build_failed_is_the_last_choice_from_then_on(api, admin, image):
    servers = []
    for number in range(6):
        servers.append(await api.server(f"w{number}", image))
        await api.reach(servers[-1], "ACTIVE")
    tried = []
    for server in servers:
        actions = (await admin.ok("GET", f"/compute/v2.1/servers/{server}/os-instance-actions"))["instanceActions"]
        path = f"/compute/v2.1/servers/{server}/os-instance-actions/{actions[0]['request_id']}"
        events = (await admin.ok("GET", path))["instanceAction"]["events"]
        tried.append([each["host"] for each in events if each["event"].startswith("compute_")])
    assert sum(hosts.count("sim-1") for hosts in tried) <= 1
    assert all("sim-1" not in hosts for hosts in tried[3:])
    for server in servers:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        await api.gone(server)


async def test_a_server_for_a_zone_of_one_host_says_that_the_build_failed_there_and_to_admins_why(api, admin, image):
    asked = {"aggregate": {"name": "alone", "availability_zone": "alone"}}
    alone = (await admin.ok("POST", "/compute/v2.1/os-aggregates", asked))["aggregate"]["id"]
    members = f"/compute/v2.1/os-aggregates/{alone}/action"
    await admin.ok("POST", members, {"add_host": {"host": "sim-1"}})
    server = await admin.server("alone", image, availability_zone="alone")
    fault = (await admin.reach(server, "ERROR"))["fault"]
    assert fault["message"].startswith("No valid host was found.")
    assert fault["message"].endswith("Before that, the server could not be built on 1 host.")
    assert "Builds that failed: sim-1: " in fault["details"]
    await admin.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await admin.gone(server)
    await admin.ok("POST", members, {"remove_host": {"host": "sim-1"}})
    await admin.ok("DELETE", f"/compute/v2.1/os-aggregates/{alone}")


async def test_a_server_that_is_unshelved_to_a_host_that_fails_is_tried_nowhere_else(api, admin, image):
    server = await admin.server("shelved", image, availability_zone="nova:sim-2")
    await admin.reach(server, "ACTIVE")
    action = f"/compute/v2.1/servers/{server}/action"
    await admin.ok("POST", action, {"shelve": None})
    await admin.reach(server, "SHELVED_OFFLOADED")
    there = {"unshelve": {"host": "sim-1"}}
    await admin.ok("POST", action, there, headers={"OpenStack-API-Version": "compute 2.91"})
    await admin.reach(server, "SHELVED_OFFLOADED")
    decisions = (await admin.ok("GET", f"/novakit/v1/decisions?server_id={server}"))["decisions"]
    assert [each.get("host") for each in decisions] == ["sim-1", "sim-2"]
    await admin.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await admin.gone(server)


async def test_a_forced_host_that_fails_leaves_a_reason_its_owner_can_read(api, admin, image):
    server = await admin.server("forced", image, availability_zone="nova:sim-1")
    shown = await admin.reach(server, "ERROR")
    assert "sim-1" not in shown["fault"]["message"]
    assert shown["fault"]["message"]
    await admin.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await admin.gone(server)
