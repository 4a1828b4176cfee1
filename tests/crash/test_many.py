"""Many at once: no host is given more than it has, losers are told why, and deletes win over creates."""

import asyncio
from pathlib import Path

import pytest

from tests.crash.cloud import Cloud, until

HOSTS, EACH, ASKED = 3, 50, 200
OPTIONS = f"""
[agent]
host = "sim"
[drivers.simulated]
vcpus = 1000
memory_mb = {EACH * 512}
ram_allocation_ratio = 1.0
create_seconds = 0.05
"""


@pytest.mark.slow
async def test_two_hundred_creates_at_once_fill_the_hosts_and_no_more_and_are_deleted_at_once(tmp_path: Path) -> None:
    async with Cloud(tmp_path / "state", OPTIONS, hosts=HOSTS) as cloud:
        await asyncio.gather(*(cloud.create(f"many-{number}") for number in range(ASKED)))
        servers = await cloud.settled()
        assert len(servers) == ASKED
        active = [each for each in servers if each["status"] == "ACTIVE"]
        failed = [each for each in servers if each["status"] == "ERROR"]
        assert (len(active), len(failed)) == (HOSTS * EACH, ASKED - HOSTS * EACH)
        assert all("o valid host" in each["fault"]["message"] for each in failed), failed[0]["fault"]
        assert all(not each["addresses"] and each["OS-EXT-SRV-ATTR:host"] is None for each in failed)
        await _nothing_is_given_twice(cloud)
        await cloud.check()
        await asyncio.gather(*(cloud.act(each["id"], "delete") for each in servers))
        await _all_gone(cloud)


@pytest.mark.slow
async def test_servers_deleted_while_they_are_built_leave_nothing(tmp_path: Path) -> None:
    async with Cloud(tmp_path / "state", OPTIONS.replace("0.05", "0.5"), hosts=HOSTS) as cloud:

        async def come_and_go(name: str) -> None:
            server_id = await cloud.admin.server(name, cloud.image, networks=[{"uuid": cloud.network}])
            await cloud.act(server_id, "delete")

        await asyncio.gather(*(come_and_go(f"brief-{number}") for number in range(50)))
        await _all_gone(cloud)


async def _nothing_is_given_twice(cloud: Cloud) -> None:
    providers = (await cloud.admin.ok("GET", "/placement/resource_providers"))["resource_providers"]
    assert len(providers) == HOSTS
    for provider in providers:
        path = f"/placement/resource_providers/{provider['uuid']}"
        inventories = (await cloud.admin.ok("GET", f"{path}/inventories"))["inventories"]
        usages = (await cloud.admin.ok("GET", f"{path}/usages"))["usages"]
        for name, stock in inventories.items():
            assert usages[name] <= (stock["total"] - stock["reserved"]) * stock["allocation_ratio"], provider["name"]
        assert usages["MEMORY_MB"] == EACH * 512


async def _all_gone(cloud: Cloud) -> None:
    """Wait until no server is left, and insist that nothing of them is: no claim, no port, no guest."""

    async def none_left() -> bool:
        return not (await cloud.admin.ok("GET", "/compute/v2.1/servers?limit=1"))["servers"]

    await until(none_left, "the last server to go")
    await cloud.check()
    counted = (await cloud.admin.ok("GET", "/novakit/v1/audit"))["audit"]["counted"]
    assert (counted["servers"], counted["allocations"], counted["guests"]) == (0, 0, 0)
    owned = [port for port in (await cloud.admin.ok("GET", "/network/v2.0/ports"))["ports"] if port["device_owner"]]
    assert {port["device_owner"] for port in owned} <= {"network:dhcp"}
