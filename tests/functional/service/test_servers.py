import asyncio


async def test_a_group_keeps_its_members_apart(api, admin, image):
    body = {"server_group": {"name": "apart", "policy": "anti-affinity"}}
    group = (await api.ok("POST", "/compute/v2.1/os-server-groups", body))["server_group"]["id"]
    servers = []
    for number in range(3):
        new = {"name": f"g{number}", "imageRef": image, "flavorRef": "1", "networks": "none"}
        body = {"server": new, "os:scheduler_hints": {"group": group}}
        servers.append((await api.ok("POST", "/compute/v2.1/servers", body))["server"]["id"])
    shown = {each["id"]: each for each in await admin_view(admin, servers)}
    active = [each for each in shown.values() if each["status"] == "ACTIVE"]
    assert len({each["OS-EXT-SRV-ATTR:host"] for each in active}) == len(active) == 2
    assert sum(each["status"] == "ERROR" for each in shown.values()) == 1
    listed = (await api.ok("GET", f"/compute/v2.1/os-server-groups/{group}"))["server_group"]["members"]
    assert sorted(listed) == sorted(servers)
    for server in servers:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
        await api.gone(server)
        held = (await admin.ok("GET", f"/placement/allocations/{server}"))["allocations"]
        assert held == {}, "a sweep that comes later would free it, too"
    assert (await api.ok("GET", f"/compute/v2.1/os-server-groups/{group}"))["server_group"]["members"] == []


async def test_a_group_takes_no_more_members_than_the_quota(api, admin, image):
    body = {"server_group": {"name": "few", "policy": "soft-affinity"}}
    group = (await api.ok("POST", "/compute/v2.1/os-server-groups", body))["server_group"]["id"]
    quota = f"/compute/v2.1/os-quota-sets/{api.project_id}"
    await admin.ok("PUT", quota, {"quota_set": {"server_group_members": 2}})
    new = {"name": "m", "imageRef": image, "flavorRef": "1", "networks": "none", "max_count": 3, "min_count": 3}
    body = {"server": new, "os:scheduler_hints": {"group": group}}
    status, error = await api.call("POST", "/compute/v2.1/servers", body)
    assert status == 403 and error["forbidden"]["message"] == "Quota exceeded, too many servers in group."
    assert (await api.ok("GET", f"/compute/v2.1/os-server-groups/{group}"))["server_group"]["members"] == []
    new |= {"max_count": 2, "min_count": 2}
    await api.ok("POST", "/compute/v2.1/servers", body)
    members = (await api.ok("GET", f"/compute/v2.1/os-server-groups/{group}"))["server_group"]["members"]
    assert len(members) == 2
    await admin_view(admin, members)
    left, *members = members
    await api.ok("DELETE", f"/compute/v2.1/servers/{left}")
    await api.gone(left)
    new |= {"max_count": 1, "min_count": 1}
    members.append((await api.ok("POST", "/compute/v2.1/servers", body))["server"]["id"])
    await admin_view(admin, members)
    await admin.ok("DELETE", quota)
    for server in members:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await api.gone(*members)


async def admin_view(admin, servers):
    async with asyncio.timeout(60):
        while True:
            shown = [(await admin.ok("GET", f"/compute/v2.1/servers/{each}"))["server"] for each in servers]
            if all(each["status"] in ("ACTIVE", "ERROR") for each in shown):
                return shown
            await asyncio.sleep(0.05)


async def test_a_group_that_is_not_there_is_refused(api, image):
    new = {"name": "lonely", "imageRef": image, "flavorRef": "1", "networks": "none"}
    body = {"server": new, "os:scheduler_hints": {"group": "11111111-1111-1111-1111-111111111111"}}
    status, error = await api.call("POST", "/compute/v2.1/servers", body)
    assert status == 400 and "could not be found" in error["badRequest"]["message"]
