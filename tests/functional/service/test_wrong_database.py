"""`novakit serve` on a wrong database, by a slip in novakit.toml: nothing of either deployment is touched."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.store import Store
from tests.functional.guests.cloud import Content, copied
from tests.support.service import Api, Service

REPORTS = 4.0
"""Seconds in which a host reports several times, and whatever were to be removed would be."""
MAY_DIFFER = {"novakit.toml", "novakit.log", "serve.out", "conductor.lock"}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: Any, tmp_path: Path) -> Callable[[str], str]:
    """Give the URL of another empty database with each name."""
    if request.param == "sqlite":
        return lambda name: f"sqlite+aiosqlite:///{tmp_path}/{name}.db"
    cluster = request.getfixturevalue("postgres_cluster")
    urls: dict[str, str] = {}
    return lambda name: urls.setdefault(name, cluster.database())


def set_up(state: Path, url: str) -> Service:
    state.mkdir(exist_ok=True)
    options = '[agent]\nhost = "vm"\nreport_every = 0.5\n'
    (state / "novakit.toml").write_text(f'database = "{url}"\n{options}')
    return Service(state)


def tree(state: Path) -> dict[str, bytes]:
    """Give every file of a state directory that is not about the run itself."""
    paths = [path for path in state.rglob("*") if path.is_file() and path.name not in MAY_DIFFER]
    return {str(path.relative_to(state)): path.read_bytes() for path in paths}


async def rows(url: str) -> Content:
    store = await Store.open(url)
    try:
        return await copied(store)
    finally:
        await store.close()


def novakit(state: Path, *words: str, code: int) -> Any:
    argv = [sys.executable, "-m", "novakit", *words, "--format", "json", "--state", str(state)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
async def test_serve_takes_no_other_database_than_its_own_and_destroys_nothing_on_an_empty_one(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    with set_up(others, database("others")):
        pass
    async with aiohttp.ClientSession() as session:
        with set_up(mine, database("mine")) as service:
            api = await Api.login(service, session)
            server = await api.server("web", await api.image())
            await api.reach(server, "ACTIVE")

        before, theirs, ours = tree(mine), await rows(database("others")), await rows(database("mine"))
        wrong = set_up(mine, database("others"))
        done = await asyncio.to_thread(
            subprocess.run, wrong.command(), capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == 2 and said.count("\n") == 1, said
        for state in (mine, others):
            assert (state / "deployment").read_text().strip() in said
        assert "Set `database` in novakit.toml" in said
        assert tree(mine) == before
        assert await rows(database("others")) == theirs and await rows(database("mine")) == ours

        with set_up(mine, database("empty")) as service:
            assert "The database was empty" in service.output
            await asyncio.sleep(REPORTS)
            [stranger] = (await asyncio.to_thread(novakit, mine, "guest", "list", code=1))["guests"]
            assert (stranger["id"], stranger["power"]) == (server, "running")
            orphaned = (await asyncio.to_thread(novakit, mine, "audit", code=1))["orphaned"]
            assert sorted(each["kind"] for each in orphaned) == ["guest", "image file"]

        with set_up(mine, database("mine")) as service:
            await asyncio.sleep(REPORTS)
            clouds = await asyncio.to_thread(novakit, mine, "audit", code=0)
            assert clouds["orphaned"] == [] and clouds["counted"]["servers"] == clouds["counted"]["guests"] == 1


@pytest.mark.slow
async def test_another_state_directory_on_the_same_database_takes_no_guest_for_lost(
    database: Callable[[str], str], tmp_path: Path
) -> None:
    mine, typo = tmp_path / "mine", tmp_path / "mien"
    async with aiohttp.ClientSession() as session:
        with set_up(mine, database("mine")) as service:
            api = await Api.login(service, session)
            server = await api.server("web", await api.image())
            await api.reach(server, "ACTIVE")
            await asyncio.sleep(REPORTS / 2)
            second = set_up(typo, database("mine"))
            if database("mine").startswith("sqlite"):
                done = await asyncio.to_thread(
                    subprocess.run, second.command(), capture_output=True, text=True, timeout=60, check=False
                )
                assert done.returncode == 2 and f"runs on the database {tmp_path}/mine.db" in done.stderr, done.stderr
            else:
                process = subprocess.Popen(second.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                await asyncio.sleep(2 * REPORTS)
                process.terminate()
                process.wait(60)
            await api.reach(server, "ACTIVE")

        second = set_up(typo, database("mine"))
        shutil.copy(mine / "clouds.yaml", typo)
        process = subprocess.Popen(second.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        listing = [sys.executable, "-m", "novakit", "guest", "list", "--state", str(typo)]
        done = await asyncio.to_thread(subprocess.run, listing, capture_output=True, text=True, check=False)
        async with asyncio.timeout(90):
            while "has been refused" not in done.stdout:
                done = await asyncio.to_thread(subprocess.run, listing, capture_output=True, text=True, check=False)
        await asyncio.sleep(2 * REPORTS)
        enrolled = [sys.executable, "-m", "novakit", "host", "list", "--state", str(typo)]
        hosts = await asyncio.to_thread(subprocess.run, enrolled, capture_output=True, text=True, check=False)
        process.terminate()
        process.wait(60)
        assert "The host vm has been refused since" in done.stdout and server in done.stdout, done.stdout + done.stderr
        assert "vm is refused. Servers of the host vm have no guest" in hosts.stdout, hosts.stdout + hosts.stderr

        with set_up(mine, database("mine")) as service:
            api = await Api.login(service, session)
            await asyncio.sleep(REPORTS)
            await api.reach(server, "ACTIVE")
            clouds = await asyncio.to_thread(novakit, mine, "audit", code=0)
            assert clouds["orphaned"] == []
