"""A host that takes no part, as its directory lacks its guests: what is asked of it waits, and a delete ends."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.agent.membership import TAKES_NO_PART
from novakit.compute.hosts import Hosts
from novakit.conductor.engine import Engine
from novakit.conductor.requests import Requests
from novakit.conductor.verbs import VERBS
from novakit.config import ConductorOptions
from novakit.store import Store, operations
from novakit.store.compute import servers
from novakit.store.compute.liveness import Liveness
from tests.functional.guests.cloud import ADMIN, Cloud
from tests.functional.guests.test_older_at_boundaries import Site, _serve_scheduler

A = ("a",)


@attrs.define
class Host:
    """The one host of a cloud, whose directory can be taken away and brought back."""

    cloud: Cloud
    own: Path
    away: Path

    async def lose(self) -> None:
        """Start the host on an empty directory, as where a disk is not mounted."""
        name = self.own.name
        await self.cloud.stop_host(name)
        self.own.rename(self.away)
        await self.cloud.start_host(name)
        await self.cloud.report()
        assert self.cloud.agents[name].membership.refusal

    async def find(self) -> None:
        name = self.own.name
        await self.cloud.stop_host(name)
        shutil.rmtree(self.own)
        self.away.rename(self.own)
        await self.cloud.start_host(name)
        await self.cloud.report()
        assert not self.cloud.agents[name].membership.refusal


@asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    task = asyncio.ensure_future(engine.run(alone=True))
    try:
        async with asyncio.timeout(60):
            yield
    finally:
        await engine.stop(0)
        await task


async def ask(cloud: Cloud, id: str, kind: str) -> None:
    await Requests(cloud.store, cloud.bus.join("api")).begin(ADMIN, id, VERBS[kind])


async def latest(store: Store, id: str) -> Any:
    async with store.read() as session:
        return (await operations.of_server(session, id))[0]


async def server(store: Store, id: str) -> Any:
    async with store.read() as session:
        return await servers.server(session, id, deleted=True)


async def test_a_stop_waits_until_the_right_directory_is_back(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        host = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away")
        await cloud.begin()
        id = await cloud.create("a")
        await cloud.report()
        await host.lose()
        await ask(cloud, id, "stop")
        async with running(Engine(cloud.parts, VERBS)):
            while (await latest(store, id))["reason"] is None:
                await asyncio.sleep(0.02)
            waiting = await latest(store, id)
            assert waiting["state"] == "running" and waiting["reason"] == TAKES_NO_PART
            assert (await server(store, id))["task_state"] == "powering-off"
            await host.find()
            while (await server(store, id))["task_state"] is not None:
                await asyncio.sleep(0.02)
        assert (await server(store, id))["vm_state"] == "stopped"
        assert await cloud.guests("a") == {id}


async def test_a_stop_ends_with_its_patience_and_the_event_says_why(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        host = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away")
        await cloud.begin()
        id = await cloud.create("a")
        await cloud.report()
        await host.lose()
        await ask(cloud, id, "stop")
        async with running(Engine(cloud.parts, VERBS, patience=0.2)):
            while (await server(store, id))["task_state"] is not None:
                await asyncio.sleep(0.02)
        ended = await latest(store, id)
        assert ended["state"] == "failed" and ended["attempt"] > 1
        assert TAKES_NO_PART in ended["events"][0]["details"] and str(tmp_path) not in str(ended["events"])
        assert (await server(store, id))["vm_state"] == "active"


async def test_servers_of_a_directory_that_is_lost_can_be_deleted(store: Store, tmp_path: Path) -> None:
    async with Cloud.on(store, tmp_path, A) as cloud:
        host = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away")
        await cloud.begin()
        id = await cloud.create("a")
        await cloud.report()
        await host.lose()
        await ask(cloud, id, "delete")
        short = attrs.evolve(cloud.config, conductor=ConductorOptions(host_down_after=0.1))
        async with running(Engine(attrs.evolve(cloud.parts, config=short), VERBS)):
            while not (await server(store, id))["deleted_at"]:
                await asyncio.sleep(0.02)
        await cloud.report()
        assert cloud.agents["a"].membership.refusal == "", "nothing is missing in this directory any more"
        assert (await server(store, id))["terminated_at"] is None, "the lost directory may come back with the guest"


@pytest.mark.parametrize(("down_after", "is_up"), [(3600.0, True), (1e-9, False)])
async def test_the_services_say_why_a_refused_host_is_down(
    store: Store, tmp_path: Path, down_after: float, is_up: bool
) -> None:
    """One whose right directory reports beside the wrong one is up, and shown so."""
    async with Cloud.on(store, tmp_path, A) as cloud:
        host = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away")
        await cloud.begin()
        id = await cloud.create("a")
        await cloud.report()
        await host.lose()
        (shown,) = await Hosts(store, cloud.bus.join("api"), Liveness(down_after)).every()
        reason = shown.disabled_reason or ""
        assert shown.up is is_up and (id in reason, reason.startswith("refused: Servers")) == (not is_up, not is_up)


@asynccontextmanager
async def some_hosts(store: Store, directory: Path, *names: str) -> AsyncIterator[Site]:
    """Give a cloud of hosts with a guest on each, so that all have something to lose."""
    async with Cloud.on(store, directory, names) as cloud:
        await cloud.begin()
        await _serve_scheduler(cloud)
        for name in names:
            await cloud.create(name)
        await cloud.report()
        yield Site(cloud)


def counting_as_down_soon(cloud: Cloud, **other: Any) -> None:
    short = attrs.evolve(cloud.config, conductor=ConductorOptions(host_down_after=0.1))
    cloud.parts = attrs.evolve(cloud.parts, config=short, **other)


async def test_a_create_goes_to_the_next_host_where_the_chosen_one_takes_no_part_any_more(
    either_store: Store, tmp_path: Path
) -> None:
    async with some_hosts(either_store, tmp_path, "a", "b") as site:
        cloud, id = site.cloud, await site.create()
        lost: list[str] = []

        async def lose(host: str) -> object:
            if not lost:
                lost.append(host)
                await Host(cloud, tmp_path / "agents" / host, tmp_path / "away").lose()
                await asyncio.sleep(0.2)
            return await wire(host)

        wire = cloud.parts.wiring.ensure
        counting_as_down_soon(cloud, wiring=Losing(cloud.parts.wiring, lose))
        await site.work()
        row = await site.row(id)
        assert row["vm_state"] == "active" and {row["host"], *lost} == {"a", "b"}
        assert await cloud.guests(row["host"]) >= {id}
        told = [each["details"] for each in (await latest(either_store, id))["events"] if each["result"] == "Error"]
        assert told == [TAKES_NO_PART]


async def test_a_create_without_networks_goes_to_the_next_host_as_well(either_store: Store, tmp_path: Path) -> None:
    async with some_hosts(either_store, tmp_path, "a", "b") as site:
        cloud, id = site.cloud, await site.create(networks=False)
        lost: list[str] = []
        allocate = cloud.parts.networks.allocate

        async def lose(*, host: str, **asked: Any) -> object:
            if not lost:
                lost.append(host)
                await Host(cloud, tmp_path / "agents" / host, tmp_path / "away").lose()
                await asyncio.sleep(0.2)
            return await allocate(host=host, **asked)

        counting_as_down_soon(cloud, networks=Losing(cloud.parts.networks, allocate=lose))
        await site.work()
        row = await site.row(id)
        assert row["vm_state"] == "active" and {row["host"], *lost} == {"a", "b"}
        told = [each["details"] for each in (await latest(either_store, id))["events"] if each["result"] == "Error"]
        assert told == [TAKES_NO_PART]


async def test_a_create_without_networks_waits_for_the_only_host_and_is_built_once_it_is_back(
    either_store: Store, tmp_path: Path
) -> None:
    async with some_hosts(either_store, tmp_path, "a") as site:
        cloud, id = site.cloud, await site.create(networks=False)
        host, lost = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away"), asyncio.Event()
        allocate = cloud.parts.networks.allocate

        async def lose(**asked: Any) -> object:
            if not lost.is_set():
                await host.lose()
                lost.set()
            return await allocate(**asked)

        counting_as_down_soon(cloud, networks=Losing(cloud.parts.networks, allocate=lose))
        async with running(Engine(cloud.parts, VERBS)), asyncio.timeout(40):
            await lost.wait()
            while not (await latest(either_store, id))["data"].get("unasked"):
                await asyncio.sleep(0.02)
            assert (await site.row(id))["vm_state"] == "building"
            await host.find()
            while await site.open():
                await asyncio.sleep(0.02)
        row, data = await site.row(id), (await latest(either_store, id))["data"]
        assert (row["vm_state"], row["host"], data.get("unasked")) == ("active", "a", None)


async def test_a_create_waits_for_the_only_host_there_is(either_store: Store, tmp_path: Path) -> None:
    async with some_hosts(either_store, tmp_path, "a") as site:
        cloud, id = site.cloud, await site.create()
        host, lost = Host(cloud, tmp_path / "agents" / "a", tmp_path / "away"), asyncio.Event()

        async def lose(name: str) -> object:
            if not lost.is_set():
                await host.lose()
                await asyncio.sleep(0.2)
                lost.set()
            return await wire(name)

        wire = cloud.parts.wiring.ensure
        counting_as_down_soon(cloud, wiring=Losing(cloud.parts.wiring, lose))
        async with running(Engine(cloud.parts, VERBS)), asyncio.timeout(40):
            await lost.wait()
            await asyncio.sleep(1)
            assert (await site.row(id))["vm_state"] == "building"
            await host.find()
            while await site.open():
                await asyncio.sleep(0.02)
        row = await site.row(id)
        assert (row["vm_state"], row["host"]) == ("active", "a")


@attrs.define
class Losing:
    """The wiring or the networks of hosts, one of which takes no part any more when they are used the first time."""

    part: Any
    ensure: Any = None
    allocate: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)


async def test_a_create_whose_host_may_have_the_guest_is_built_nowhere_else_and_fails_with_the_reason(
    either_store: Store, tmp_path: Path
) -> None:
    async with some_hosts(either_store, tmp_path, "a", "b") as site:
        cloud, id = site.cloud, await site.create()
        site.cut_at = "create/build/done"
        await site.work()
        name = (await site.row(id))["host"]
        host = Host(cloud, tmp_path / "agents" / name, tmp_path / "away")
        await host.lose()
        counting_as_down_soon(cloud)
        async with running(Engine(cloud.parts, VERBS, patience=0.2)):
            while await site.open():
                await asyncio.sleep(0.02)
        row = await site.row(id)
        assert row["vm_state"] == "error" and row["host"] is None
        assert "The host did not answer." in row["fault"]["message"] and TAKES_NO_PART in row["fault"]["details"]
        (other,) = {"a", "b"} - {name}
        assert id not in await cloud.guests(other)
        await host.find()
        await cloud.report(3)
        row = await site.row(id)
        assert (row["vm_state"], row["host"]) == ("active", name), "the end of its build was noted on its host"
        assert (await cloud.audit()).orphaned == ()
