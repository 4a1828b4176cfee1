"""What hosts measured reaches filters and weighers as long as it is fresh."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.calls.scheduler import Selection
from novakit.scheduler.picture.measurements import MAX_NAMES
from novakit.scheduler.select import Scheduler
from novakit.store import operations
from novakit.store.compute import hosts
from novakit.store.scheduler import host_metrics
from tests.functional.scheduler.conftest import Cloud

EFFICIENT = {"power_usage_watts": 100.0, "cpu_percent": 80.0}
WASTEFUL = {"power_usage_watts": 400.0, "cpu_percent": 80.0}


@attrs.define
class Clock(world.SystemWorld):
    """A clock that stands still until it is moved."""

    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def measured(cloud: Cloud, **metrics: Mapping[str, float]) -> None:
    async with cloud.store.write() as session:
        await host_metrics.put(session, metrics)


async def heartbeats(cloud: Cloud, count: int) -> None:
    """Let the hosts say that they are up, and nothing else."""
    async with cloud.store.write() as session:
        await hosts.seen(session, [f"host{number}" for number in range(count)], world.now())


async def efficiency(scheduler: Scheduler, ask: Any) -> dict[str, float]:
    """Give each host's share by the weigher, as a decision's record tells it."""
    weights = (await scheduler.dry_run(ask)).weights
    return {each.host: each.by["energy_efficiency"] for each in weights}


async def column(scheduler: Scheduler, name: str) -> list[float | None]:
    await scheduler.state.refresh()
    return [None if math.isnan(each) else float(each) for each in scheduler.state.table.column(f"metric_{name}")]


async def test_the_efficient_host_wins_until_what_it_told_is_too_old(cloud: Cloud, make: Any, clock: Clock) -> None:
    with world.using(clock):
        await cloud.add_hosts(3)
        await measured(cloud, host0=WASTEFUL, host1=EFFICIENT, host2={"power_usage_watts": 0.0, "cpu_percent": 50.0})
        scheduler = cloud.scheduler(weighers=("energy_efficiency",))
        await scheduler.open()
        (one,) = await scheduler.select([make()])
        assert isinstance(one, Selection) and one.host == "host1"
        assert await efficiency(scheduler, make()) == {"host1": 1.0, "host2": 0.5, "host0": 0.0}

        clock.move(100)
        await measured(cloud, host0=WASTEFUL, host2={"power_usage_watts": 300.0, "cpu_percent": 50.0})
        assert (await column(scheduler, "power_usage_watts"))[0] == 400.0
        clock.move(79)
        assert (await column(scheduler, "power_usage_watts"))[1] == 100.0
        clock.move(1)
        assert await column(scheduler, "power_usage_watts") == [400.0, None, 300.0]
        clock.move(100)
        assert await column(scheduler, "power_usage_watts") == [None, None, None]
        await heartbeats(cloud, 3)
        clock.move(1)
        assert len(set((await efficiency(scheduler, make())).values())) == 1

        await measured(cloud, host0=EFFICIENT)
        clock.move(1)
        assert await column(scheduler, "power_usage_watts") == [100.0, None, None]


async def test_a_host_that_lacks_a_required_measurement_is_removed_and_the_record_says_so(
    cloud: Cloud, make: Any, clock: Clock
) -> None:
    with world.using(clock):
        await cloud.add_hosts(3)
        await measured(cloud, host0=WASTEFUL, host1={"uptime_hours": 5.0}, host2=WASTEFUL)
        scheduler = cloud.scheduler(
            filters=("metrics",), filter_options={"metrics": {"required": ["power_usage_watts", "cpu.percent"]}}
        )
        await scheduler.open()
        assert await removed(scheduler, make()) == (3, 2)
        clock.move(500)
        await heartbeats(cloud, 3)
        assert await removed(scheduler, make()) == (3, 0)
        record = await scheduler.dry_run(make())
        assert "measure" in record.message and "3" in record.message, record


async def removed(scheduler: Scheduler, ask: Any) -> tuple[int, int]:
    """Give how many hosts there were before and after the filter."""
    (stage,) = [one for one in (await scheduler.dry_run(ask)).filters if one.name == "metrics"]
    return stage.before, stage.after


async def test_a_measurement_that_the_next_report_lacks_is_gone_and_names_are_bounded(
    cloud: Cloud, clock: Clock
) -> None:
    with world.using(clock):
        await cloud.add_hosts(2)
        await measured(cloud, host0=EFFICIENT)
        scheduler = cloud.scheduler(
            weighers=("metrics",), weigher_options={"metrics": {"weights": {"cpu.percent": 1.0}}}
        )
        assert await column(scheduler, "cpu_percent") == [80.0, None]
        await measured(cloud, host0={"power_usage_watts": 3.0})
        clock.move(1)
        assert await column(scheduler, "cpu_percent") == [None, None]
        assert await column(scheduler, "power_usage_watts") == [3.0, None]
        await measured(cloud, host1={f"made_up_{number}": 1.0 for number in range(MAX_NAMES)})
        clock.move(1)
        await scheduler.state.refresh()
        assert len(scheduler.state.measurements._names) == MAX_NAMES


async def test_measurements_alone_are_no_change_of_a_host(cloud: Cloud, clock: Clock) -> None:
    with world.using(clock):
        await cloud.add_hosts(1)
        scheduler = cloud.scheduler()
        await scheduler.open()
        async with cloud.store.read() as session:
            before = await hosts.host(session, "host0")
        await measured(cloud, host0=EFFICIENT)
        version = scheduler.state.table.version
        clock.move(1)
        await scheduler.state.refresh()
        async with cloud.store.read() as session:
            assert await hosts.host(session, "host0") == before
        assert scheduler.state.table.version == version


async def test_the_failure_rate_is_of_the_builds_in_the_store(cloud: Cloud, clock: Clock) -> None:
    with world.using(clock):
        await cloud.add_hosts(3)
        await ended(cloud, [["host0", False], ["host1", True]])
        await ended(cloud, [["host0", True]])
        scheduler = cloud.scheduler(weighers=("production",))
        assert await column(scheduler, "failure_rate") == [0.5, 0.0, None]
        await ended(cloud, [["host0", True], ["host2", False]])
        clock.move(5)
        await ended(cloud, [["host0", True]])
        assert await column(scheduler, "failure_rate") == [0.25, 0.0, 1.0]
        restarted = cloud.scheduler(weighers=("production",), name="other")
        assert await column(restarted, "failure_rate") == [0.25, 0.0, 1.0]
        await measured(cloud, host0={"failure_rate": 0.75})
        clock.move(5)
        assert await column(scheduler, "failure_rate") == [0.75, 0.0, 1.0]
        clock.move(200)
        assert await column(scheduler, "failure_rate") == [0.25, 0.0, 1.0]
        clock.move(24 * 3600)
        assert await column(scheduler, "failure_rate") == [None, None, None]


async def ended(cloud: Cloud, builds: list[list[Any]]) -> None:
    """Record a create that is over, as its conductor writes it."""
    row = {name: world.new_id() for name in ("id", "server_id", "project_id", "user_id")}
    rest = {"kind": "create", "request_id": "r", "data": {"builds": builds}}
    async with cloud.store.write() as session:
        await operations.add(session, [{**row, **rest, "state": "done", "finished_at": world.now()}])
