"""Steps of the wall clock, and what is judged by how long ago something was: shelved servers, builds that failed."""

from datetime import datetime, timedelta
from pathlib import Path

import attrs
import pytest

from novakit import world
from novakit.conductor.verbs.shelve_offload import Offloading
from novakit.scheduler.picture.measurements import Builds
from novakit.store import operations
from novakit.store.compute import servers
from tests.functional.guests.cloud import Cloud
from tests.support.stores import sqlite_store

AFTER = 1800.0
HOUR = 3600.0


@attrs.define
class Clocks(world.SystemWorld):
    """A wall clock that can be set, and a monotonic one that goes on."""

    wall: datetime = attrs.field(factory=lambda: world.now())
    passed: float = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.passed

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self.wall += timedelta(seconds=seconds)

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.step(seconds)
        self.passed += seconds


async def _due(offloading: Offloading) -> set[str]:
    return {row["id"] for row in await offloading.look()}


async def _shelve(cloud: Cloud) -> str:
    id = await cloud.create("a")
    async with cloud.store.write() as session:
        await servers.change(session, id, vm_state="shelved")
    return id


@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_a_shelved_server_stays_as_long_as_it_may_whatever_the_clock_is_set_to(
    tmp_path: Path, step: float
) -> None:
    store, clocks = await sqlite_store(tmp_path / "cloud.db"), Clocks()
    with world.using(clocks):
        async with Cloud.on(store, tmp_path, ["a"]) as cloud:
            await cloud.begin()
            parts = attrs.evolve(cloud.parts, config=attrs.evolve(cloud.config, conductor=_may_stay(cloud)))
            old = await _shelve(cloud)
            offloading = Offloading(parts)
            assert await _due(offloading) == set()
            clocks.step(step)
            new = await _shelve(cloud)
            clocks.go(AFTER - 1)
            assert await _due(offloading) == set(), "nothing is offloaded early"
            clocks.go(2)
            assert old in await _due(offloading)
            clocks.go(AFTER)
            assert await _due(offloading) == {old, new}, "nor is anything forgotten"
            assert await offloading.begin_due() == 2 and await Offloading(parts).begin_due() == 0
    await store.close()


async def test_a_conductor_that_starts_anew_counts_on_from_the_newest_mark_of_the_database(tmp_path: Path) -> None:
    store, clocks = await sqlite_store(tmp_path / "cloud.db"), Clocks()
    with world.using(clocks):
        async with Cloud.on(store, tmp_path, ["a"]) as cloud:
            await cloud.begin()
            parts = attrs.evolve(cloud.parts, config=attrs.evolve(cloud.config, conductor=_may_stay(cloud)))
            old = await _shelve(cloud)
            clocks.go(AFTER - 10)
            await cloud.report()
            clocks.step(HOUR)
            offloading = Offloading(parts)
            assert await _due(offloading) == set(), "a step while nothing ran is no time"
            clocks.go(AFTER / 2 - 1)
            assert await _due(offloading) == set()
            clocks.go(2)
            assert await _due(offloading) == {old}
    await store.close()


async def test_a_step_before_a_conductor_starts_offloads_nothing_that_was_shelved_just_before_it(
    tmp_path: Path,
) -> None:
    store, clocks = await sqlite_store(tmp_path / "cloud.db"), Clocks()
    with world.using(clocks):
        async with Cloud.on(store, tmp_path, ["a"]) as cloud:
            await cloud.begin()
            parts = attrs.evolve(cloud.parts, config=attrs.evolve(cloud.config, conductor=_may_stay(cloud)))
            old, left = await _shelve(cloud), await _shelve(cloud)
            for step in (HOUR, 24 * HOUR):
                clocks.step(step)
                await cloud.report()  # by the clock that was set, before a conductor looks
                offloading = Offloading(parts)
                assert await _due(offloading) == set(), "a step is no time, whatever was written after it"
                clocks.go(AFTER / 2 - 1)
                assert await _due(offloading) == set()
            clocks.go(2)
            assert await _due(offloading) == {old, left}, "and a conductor that started twice offloads it nevertheless"
    await store.close()


def _may_stay(cloud: Cloud) -> object:
    return attrs.evolve(cloud.config.conductor, shelved_offload_after=AFTER)


async def test_builds_that_fail_after_the_clock_was_set_back_count_once(tmp_path: Path) -> None:
    store, clocks = await sqlite_store(tmp_path / "cloud.db"), Clocks()

    async def ended(worked: bool) -> None:
        row = {"id": world.new_id(), "kind": "create", "server_id": world.new_id(), "project_id": "p", "user_id": "u"}
        row |= {"request_id": "r", "state": "done", "finished_at": world.now(), "data": {"builds": [["a", worked]]}}
        async with store.write() as session:
            await operations.add(session, [row])

    async def rate() -> float:
        async with store.read() as session:
            return (await builds.rates(session, world.now()))["a"]

    with world.using(clocks):
        builds = Builds()
        await ended(True)
        assert await rate() == 0.0
        for step in (-HOUR, 2 * HOUR, -HOUR):
            clocks.step(step)
            await ended(False)
            await rate()
        assert await rate() == 0.75 == await rate()
    await store.close()
