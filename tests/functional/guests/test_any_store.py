"""From any store, with any guests on the hosts: no guest that somebody wants is destroyed, and audit tells of others.

The store is empty, an older backup, another deployment's, or the current one; on SQLite and on PostgreSQL.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from novakit.store import Store
from novakit.store.compute import servers, strangers
from tests.functional.guests.cloud import Cloud, Content, copied, put_back
from tests.support.stores import open_store

HOSTS = ("a", "b")
STORES = ("current", "backup", "empty", "another's")
STEP = st.tuples(
    st.sampled_from(["create", "create", "delete", "leave", "come back", "silent", "heard"]), st.integers(0, 5)
)
LIFE = st.lists(STEP, min_size=1, max_size=9)


class Truth:
    """What was really done: which guests are wanted where, whatever a store says of it."""

    def __init__(self, cloud: Cloud):
        self.cloud = cloud
        self.wanted: dict[str, str] = {}
        self.away: list[str] = []
        self.refuse: set[tuple[str, str]] = set()
        """Guests that nobody wants any more on hosts that could not be told."""

    async def do(self, step: str, number: int) -> None:
        """Do one thing that can be done now."""
        cloud, host = self.cloud, HOSTS[number % 2]
        alive = sorted(self.wanted)
        if step in ("silent", "heard") and (step == "silent") == (host in cloud.agents):
            await (cloud.stop_host(host) if step == "silent" else cloud.start_host(host))
        elif step == "create" and host in cloud.agents:
            self.wanted[await cloud.create(host)] = host
        elif step in ("delete", "leave") and alive:
            id = alive[number % len(alive)]
            at = self.wanted.pop(id)
            if at not in cloud.agents:
                self.refuse.add((id, at))
            if step == "leave":
                self.away.append(id)
            await (cloud.delete(id, at) if step == "delete" else cloud.leave(id, at))
        elif step == "come back" and self.away and host in cloud.agents:
            id = self.away.pop(number % len(self.away))
            await cloud.come_back(id, host)
            self.wanted[id] = host
            self.refuse.discard((id, host))


async def _live(url: str, directory: Path, before: list[Any], after: list[Any], choice: str) -> None:
    store = await open_store(url)
    try:
        await put_back(store, {})
        async with Cloud.on(store, directory, HOSTS) as cloud:
            await cloud.begin()
            truth = Truth(cloud)
            for step in before:
                await truth.do(*step)
            backup = await copied(store)
            for step in after:
                await truth.do(*step)
        await _find(store, directory, truth, {"current": await copied(store), "backup": backup}, choice)
    finally:
        await store.close()


async def _find(store: Store, directory: Path, truth: Truth, contents: dict[str, Content], choice: str) -> None:
    """Start on a store and see what becomes of the guests."""
    if choice == "another's":
        (directory / "deployment").unlink()
    await put_back(store, contents.get(choice, {}))
    async with Cloud.on(store, directory, HOSTS) as cloud:
        await cloud.report(3)
        left = {(guest, host) for host in HOSTS for guest in await cloud.guests(host)}
        lost = {(guest, host) for guest, host in truth.wanted.items()} - left
        assert not lost, f"guests that somebody wants were destroyed: {lost}"
        if choice == "current":
            assert not truth.refuse & left, "what is known to be left over goes"
        if choice in ("empty", "another's"):
            assert truth.refuse <= left, "a store that knows nothing destroys nothing"
        strange = {(each.id, each.host) for each in (await cloud.desk.listed()).guests}
        told = {(each.name, each.host) for each in (await cloud.audit()).orphaned if each.kind == "guest"}
        async with store.read() as session:
            rows = {(row["id"], row["host"]) for row in await servers.living(session)}
        if choice == "another's":
            assert not strange and {each.host for each in (await cloud.desk.listed()).hosts} == {*HOSTS}
            assert {each.name for each in (await cloud.audit()).orphaned if each.kind == "host"} == {*HOSTS}
            return
        assert strange == left - rows == told
        for guest, host in strange & {*truth.wanted.items()}:
            ports = {port for row in await _keeps(store, guest, host) for port in row}
            assert ports <= await cloud.wired(host), "a stranger stays wired"


async def _keeps(store: Store, guest: str, host: str) -> list[list[str]]:
    async with store.read() as session:
        return [row["keeps"]["ports"] for row in await strangers.some(session, guest) if row["host"] == host]


def _explore(url: str, examples: int) -> None:
    @seed(20)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(before=LIFE, after=LIFE, choice=st.sampled_from(STORES))
    @example(before=[("create", 0), ("leave", 0)], after=[("come back", 0)], choice="backup")
    @example(before=[("create", 0), ("silent", 0), ("delete", 0)], after=[("heard", 0)], choice="empty")
    def explore(before: list[Any], after: list[Any], choice: str) -> None:
        with tempfile.TemporaryDirectory(prefix="novakit-any-store-") as directory:
            asyncio.run(_live(url, Path(directory), before, after, choice))

    explore()


async def _make(url: str) -> None:
    store = await open_store(url)
    try:
        await store.create_all()
    finally:
        await store.close()


def test_no_guest_is_destroyed_by_any_store(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    asyncio.run(_make(url))
    _explore(url, 14)


def test_no_guest_is_destroyed_by_any_store_on_postgresql(postgres_url: str) -> None:
    asyncio.run(_make(postgres_url))
    _explore(postgres_url, 8)
