"""A disk that runs full: first uploads stop, then everything new; deleting works to the last byte, and so does a start
once there is room again."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.service import Api, Service
from tests.support.small_disk import ServiceOnSmallDisk, SmallDisk

MIB = 1 << 20
LOW, RESERVED = 12, 4
OPTIONS = f"""
[agent]
host = "vm"
[disk]
low_water_mb = {LOW}
reserved_mb = {RESERVED}
"""
NEW: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "k2"}}),
    ("POST", "/compute/v2.1/servers", {"server": {"name": "s", "imageRef": "IMAGE", "flavorRef": "1"}}),
    ("POST", "/network/v2.0/networks", {"network": {"name": "n2"}}),
    ("POST", "/image/v2/images", {"name": "i2"}),
    ("POST", "/placement/resource_providers", {"name": "p2"}),
    ("POST", "/identity/v3/projects", {"project": {"name": "p2"}}),
    ("POST", "/novakit/v1/server-groups", {"server_group": {"name": "g2", "policy": "affinity"}}),
)


async def upload(api: Api, name: str) -> tuple[int, Any]:
    """Try to store an image of 1 MiB; give the answer to the upload."""
    new = {"name": name, "disk_format": "raw", "container_format": "bare"}
    image = (await api.ok("POST", "/image/v2/images", new))["id"]
    headers = {"X-Auth-Token": api.token, "Content-Type": "application/octet-stream"}
    url = f"{api.url}/image/v2/images/{image}/file"
    async with api.session.put(url, data=bytes(MIB), headers=headers) as answer:
        return answer.status, await answer.text()


async def free_bytes(api: Api) -> dict[str, float]:
    async with api.session.get(f"{api.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    mine = [line for line in lines if line.startswith("novakit_disk_free_bytes{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in mine}


@pytest.mark.slow
async def test_a_disk_that_runs_full_stops_what_is_new_and_never_what_is_deleted(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "state", 64) as disk:
        (disk.path / "novakit.toml").write_text(OPTIONS)
        service = ServiceOnSmallDisk(disk)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            with service:
                api = await Api.login(service, session, "novakit-admin")
                image, network = await api.image(), await api.network()
                servers = [await api.server(f"s{number}", image, networks=[{"uuid": network}]) for number in range(3)]
                await api.settled()
                await api.ok("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "k"}}, version="2.1")
                assert (await api.call("GET", "/healthcheck"))[0] == 200

                disk.fill(leave=(LOW + RESERVED) // 2 * MIB)
                status, said = await upload(api, "late")
                assert status == 507 and f"{LOW} MiB" in said, (status, said)
                status, health = await api.call("GET", "/healthcheck")
                assert status == 503 and "uploads" in health["degraded"]["disk of images"], health
                assert (await free_bytes(api)).keys() >= {"images", "database"}
                free = await free_bytes(api)
                assert max(free["images"], free["database"]) < LOW * MIB
                await api.reach(await api.server("still", image), "ACTIVE")

                disk.fill()
                assert disk.free == 0
                for method, path, body in NEW:
                    status, told = await api.call(method, path, body)
                    assert status == 507 and "disk" in str(told).lower(), (method, path, status, told)
                status, health = await api.call("GET", "/healthcheck")
                assert status == 503 and "nothing new" in health["degraded"]["disk of database"], health
                await Api.login(service, session)
                assert len((await api.ok("GET", "/compute/v2.1/servers/detail"))["servers"]) == 4
                await api.ok("DELETE", "/compute/v2.1/os-keypairs/k")
                for server in servers:
                    await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
                await api.gone(*servers)
                await api.ok("DELETE", f"/network/v2.0/networks/{network}")
                still = (await api.ok("GET", "/compute/v2.1/servers"))["servers"][0]["id"]
                await api.ok("POST", f"/compute/v2.1/servers/{still}/action", {"os-stop": None})
                await api.reach(still, "SHUTOFF")
                await api.ok("DELETE", f"/image/v2/images/{image}")
            disk.fill()
            ended = subprocess.run(service.command(), capture_output=True, text=True, timeout=60, check=False)
            assert ended.returncode == 2 and ended.stderr.count("\n") == 1, ended.stderr
            assert "full" in ended.stderr and str(disk.directory) in ended.stderr and "Traceback" not in ended.stderr
            disk.clear()
            with service:
                api = await Api.login(service, session, "novakit-admin")
                assert (await api.call("GET", "/healthcheck"))[0] == 200
                assert (await upload(api, "again"))[0] == 204
                assert [each["name"] for each in (await api.ok("GET", "/compute/v2.1/servers"))["servers"]] == ["still"]


class HostOnSmallDisk(Service):
    """A service whose hosts' directory alone is on a small disk."""

    def __init__(self, state: Path, disk: SmallDisk):
        super().__init__(state)
        self.disk = disk

    def command(self) -> list[str]:
        return self.disk.command(*super().command())


async def test_a_host_whose_own_disk_is_full_is_named_and_the_fault_of_a_build_says_so(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with SmallDisk(state / "agents", 16) as disk:
        (state / "novakit.toml").write_text('[agent]\nhost = "vm"\nreport_every = 1\n')
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            with HostOnSmallDisk(state, disk) as service:
                api = await Api.login(service, session, "novakit-admin")
                image = await api.image()
                before = await api.server("before", image)
                await api.reach(before, "ACTIVE")
                assert (await api.call("GET", "/healthcheck"))[0] == 200
                disk.fill()
                async with asyncio.timeout(30):
                    while (told := await api.call("GET", "/healthcheck"))[0] == 200:
                        await asyncio.sleep(0.2)
                assert "nothing new is made" in told[1]["disks_of_hosts"]["vm"], told
                assert "No host has room" in told[1]["degraded"]["disks of hosts"], told
                assert (await free_bytes(api))["host vm"] < MIB
                for where in ({}, {"availability_zone": "nova:vm"}):
                    late = await api.server("late", image, **where)
                    fault = (await api.reach(late, "ERROR"))["fault"]
                    assert "disk is full" in fault["message"], fault
                    await api.ok("DELETE", f"/compute/v2.1/servers/{late}")
                    await api.gone(late)
                await api.ok("POST", f"/compute/v2.1/servers/{before}/action", {"os-stop": None})
                await api.reach(before, "SHUTOFF")
                disk.clear()
                await api.reach(await api.server("after", image), "ACTIVE")
