"""What is asked of a server while it is shelved."""


async def act(api, server, body, **options):
    return await api.call("POST", f"/compute/v2.1/servers/{server}/action", body, **options)


async def claimed(admin, server):
    return (await admin.ok("GET", f"/placement/allocations/{server}"))["allocations"]


async def snapshots(api, server):
    images = (await api.ok("GET", "/image/v2/images"))["images"]
    return [each for each in images if each.get("instance_uuid") == server]


async def remove(api, *servers):
    for server in servers:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
    await api.gone(*servers)
