"""PostgreSQL on a disk that is really full: its tables alone, or its log as well, which ends the server.

Clients are told so in a sentence, and once there is room everything works again.
"""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit import world
from tests.support.postgres import Cluster, cluster_of_its_own, programs
from tests.support.service import Api, Service

RECOVERS_WITHIN = 60.0
MOST = 400
"""Images of 200 KB that are tried until the disk is full; the disk has 48 MiB left at most."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed"),
]


@contextmanager
def small(directory: Path, mib: int) -> Iterator[None]:
    """Mount a disk of so many MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0777", "tmpfs", directory], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def fill(directory: Path) -> None:
    """Use the disk up, as another program would."""
    with (directory / "other").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 14)):
                pass
        except OSError:
            return


def is_told(status: int, said: Any, headers: Any) -> bool:
    """Say whether a refusal is the one that a full disk must give: JSON with a sentence, 507 or 503."""
    return isinstance(said, dict) and (
        (status == 507 and "no room left on the disk" in str(said)) or (status == 503 and "Retry-After" in headers)
    )


async def ask(api: Api, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
    headers = {"X-Auth-Token": api.token}
    async with api.session.request(method, api.url + path, json=body, headers=headers) as answer:
        text = await answer.text()
        is_json = "json" in answer.headers.get("Content-Type", "")
        return answer.status, await answer.json(content_type=None) if is_json and text else text, answer.headers


async def write_until_full(api: Api) -> set[int]:
    """Store more until the database has no room, and return the statuses of refusals, each of which says why."""
    refused = []
    for number in range(MOST):
        noise = world.chance().randbytes(100_000).hex()
        body = {"name": f"i{number}", **{f"p{n}": noise[n * 250 : n * 250 + 250] for n in range(100)}}
        status, said, headers = await ask(api, "POST", "/image/v2/images", body)
        if status != 201:
            assert is_told(status, said, headers), (status, said)
            refused.append(status)
            if len(refused) == 5:
                return set(refused)
    raise AssertionError("the disk of the database never became full")


async def is_back(api: Api) -> None:
    """Wait until something is stored again."""
    end = time.monotonic() + RECOVERS_WITHIN
    while True:
        status, said, headers = await ask(api, "POST", "/image/v2/images", {"name": "again"})
        if status == 201:
            return
        assert is_told(status, said, headers), (status, said)
        assert time.monotonic() < end, (status, said)
        await asyncio.sleep(0.3)


@contextmanager
def tables_alone() -> Iterator[tuple[Cluster, Path, str]]:
    """Run a cluster whose databases are on a small disk, and whose log is not."""
    with cluster_of_its_own() as cluster:
        disk = Path(cluster.home) / "disk"
        disk.mkdir()
        with small(disk, 64):
            place = disk / "tables"
            place.mkdir(mode=0o700)
            if cluster.user is not None:
                subprocess.run(["chown", cluster.user, place], check=True)
            psql = ["-h", "127.0.0.1", "-p", str(cluster.port), "-U", "novakit", "-d", "postgres", "-c"]
            cluster.run("psql", *psql, f"CREATE TABLESPACE small LOCATION '{place}'")
            cluster.run("psql", *psql, "CREATE DATABASE cloud TABLESPACE small")
            yield cluster, disk, f"postgresql+asyncpg://novakit@127.0.0.1:{cluster.port}/cloud"
            cluster.run("psql", *psql, "DROP DATABASE cloud WITH (FORCE)")
            cluster.run("psql", *psql, "DROP TABLESPACE small")


@contextmanager
def everything() -> Iterator[tuple[Cluster, Path, str]]:
    """Run a cluster that is on a small disk with all it has."""
    found, directory = programs(), Path(tempfile.mkdtemp(prefix="novakit-postgres-"))
    assert found is not None
    try:
        with small(directory, 128):
            cluster = Cluster(found, directory)
            cluster.start()
            try:
                yield cluster, directory, cluster.database()
            finally:
                cluster.stop()
    finally:
        directory.rmdir()


@pytest.mark.parametrize("part", [tables_alone, everything])
async def test_a_database_without_room_says_so_and_works_again_once_it_has_some(part: Any, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with part() as (cluster, disk, url):
        (state / "novakit.toml").write_text(f'database = "{url}"\n[agent]\nhost = "vm"\n')
        with Service(state) as service:
            async with aiohttp.ClientSession() as session:
                api = await Api.login(service, session)
                image, network = await api.image(), await api.network()
                kept = await api.server("kept", image, networks=[{"uuid": network}])
                await api.reach(kept, "ACTIVE")

                fill(disk)
                refused = await write_until_full(api)
                _, health, _ = await ask(api, "GET", "/healthcheck")
                assert "store" in health["degraded"], health
                assert "full" in health["degraded"]["store"] or part is everything, health
                assert refused == {507} or part is everything, "a server that is up says that it is full"
                for method, path, body in (
                    ("POST", "/compute/v2.1/servers", {"server": {"name": "s", "imageRef": image, "flavorRef": "1"}}),
                    ("POST", "/network/v2.0/networks", {"network": {"name": "n"}}),
                    ("GET", "/compute/v2.1/servers", None),
                    ("DELETE", f"/image/v2/images/{image}", None),
                ):
                    status, said, headers = await ask(api, method, path, body)
                    assert status < 500 or is_told(status, said, headers), (method, path, status, said)

                (disk / "other").unlink()
                if part is everything and await asyncio.to_thread(has_ended, cluster):
                    await asyncio.to_thread(cluster.resume)
                await is_back(api)
                for server in [kept, *(each["id"] for each in await api.settled() if each["id"] != kept)]:
                    await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
                await api.gone(kept)
                images = (await api.ok("GET", "/image/v2/images?limit=1000"))["images"]
                for each in images:
                    await api.ok("DELETE", f"/image/v2/images/{each['id']}")
                await api.reach(await api.server("new", await api.image()), "ACTIVE")
                admin = await Api.login(service, session, "novakit-admin")
                audit = (await admin.ok("GET", "/novakit/v1/audit"))["audit"]
                assert audit["orphaned"] == [] and audit["unchecked"] == []


def has_ended(cluster: Cluster) -> bool:
    """Say whether the server went down for want of room; one that is still recovering has its file."""
    time.sleep(2)
    try:
        cluster.run("pg_ctl", "-D", f"{cluster.home}/data", "status")
    except AssertionError:
        return True
    return False


async def test_a_database_that_is_made_anew_in_use_is_answered_with_what_to_do(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with cluster_of_its_own() as cluster:
        url = cluster.database()
        name, at = url.rpartition("/")[2], ["-h", "127.0.0.1", "-p", str(cluster.port), "-U", "novakit"]
        (state / "novakit.toml").write_text(f'database = "{url}"\n[agent]\nhost = "vm"\n')
        async with aiohttp.ClientSession() as session:
            with Service(state) as service:
                api = await Api.login(service, session)
                kept = await api.server("kept", await api.image())
                await api.reach(kept, "ACTIVE")
                cluster.run("dropdb", *at, "-f", name)
                cluster.run("createdb", *at, name)
                for method, path in (("GET", "/compute/v2.1/servers"), ("POST", "/image/v2/images")):
                    status, said, headers = await ask(api, method, path, {"name": "i"} if method == "POST" else None)
                    assert status == 503 and "Retry-After" in headers, (status, said)
                    assert "has no schema of novakit" in str(said) and "start novakit anew" in str(said), said
                _, health, _ = await ask(api, "GET", "/healthcheck")
                assert "has no schema" in health["degraded"]["store"], health
            with Service(state) as service:
                api = await Api.login(service, session, "novakit-admin")
                unknown = (await api.ok("GET", "/novakit/v1/guests"))["guests"]
                assert [each["id"] for each in unknown] == [kept], "the guest is there, and waits for an operator"
