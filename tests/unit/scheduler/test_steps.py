"""A plugin that fails, blocks or says too much costs only itself."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from novakit_hookspecs.scheduling import FilterSpec, IfBroken
from novakit_hookspecs.testing.asks import ask
from novakit_hookspecs.weighing import WeigherSpec
from tests.support.patience import PATIENT
from tests.unit.scheduler.pipelines import VENDOR, alive, composed, run, table_of


def vendor(build: Callable[[Any], Any], **fields: Any) -> FilterSpec:
    return FilterSpec(**{"name": "acme", "api": 1, "build": build, "within": PATIENT, **fields})


async def test_a_host_filter_sees_only_what_the_others_left_over() -> None:
    seen: list[str] = []

    class Notes:
        def passes(self, host: Any, ask: Any) -> bool:
            seen.append((host.name, host.free_memory_mb, host.availability_zone))
            return True

    table = table_of([512, 4096, 8192])
    spec = vendor(lambda _: Notes(), reads={"free_memory_mb", "availability_zone"})
    outcome = await run(table, spec, filters=["acme", "ram"])
    assert seen == [("host1", 4096.0, "nova"), ("host2", 8192.0, "nova")]
    assert alive(table, outcome) == ["host1", "host2"]


class Raises:
    def mask(self, hosts: Any, ask: Any) -> Any:
        raise StopIteration("out of coffee")


class WrongShape:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.ones(1, np.bool_)


class WrongType:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_memory_mb")


class Writes:
    def mask(self, hosts: Any, ask: Any) -> Any:
        hosts.column("free_memory_mb")[:] = 0
        return np.zeros(hosts.size, np.bool_)


class ReadsMore:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("used_memory_mb") >= 0


class SaysYes:
    def passes(self, host: Any, ask: Any) -> Any:
        return "yes"


@pytest.mark.parametrize("kind", [Raises, WrongShape, WrongType, Writes, ReadsMore, SaysYes])
@pytest.mark.parametrize("if_broken", list(IfBroken))
async def test_a_broken_filter_costs_only_itself(kind: type, if_broken: IfBroken) -> None:
    table = table_of([4096, 4096])
    spec = vendor(lambda _: kind(), reads={"free_memory_mb"}, if_broken=if_broken)
    outcome = await run(table, spec, filters=["compute", "acme", "ram"])
    assert table.column("free_memory_mb").tolist() == [4096, 4096]
    broken = next(stage for stage in outcome.stages if stage.name == "acme").broken
    assert f"acme of {VENDOR} failed" in broken
    if if_broken is IfBroken.SKIP:
        assert alive(table, outcome) == ["host0", "host1"]
    else:
        assert outcome.failed == broken
        assert alive(table, outcome) == []


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_filter_that_blocks_is_given_up_and_not_asked_again_while_it_blocks(gate: threading.Event) -> None:
    class Blocks:
        def passes(self, host: Any, ask: Any) -> bool:
            gate.wait(20)
            return True

    table = table_of([4096, 4096])
    spec = vendor(lambda _: Blocks(), if_broken=IfBroken.SKIP, within=0.05)
    made = composed(table, spec, filters=["acme", "ram"])
    first = await made.pipeline.run(table, ask())
    again = await made.pipeline.run(table, ask())
    assert "took longer than its 0.05 s" in first.stages[-1].broken
    assert "still has not returned" in again.stages[-1].broken
    assert alive(table, first) == alive(table, again) == ["host0", "host1"]


class Slow:
    """Lets every host pass after a moment."""

    def passes(self, host: Any, ask: Any) -> bool:
        time.sleep(0.02)
        return True


async def test_requests_and_dry_runs_that_need_a_slow_filter_at_once_take_turns() -> None:
    table = table_of([4096, 4096])
    made = composed(table, vendor(lambda _: Slow(), within=5.0), filters=["acme", "ram"])
    aside = made.pipeline.over(table.copy())
    outcomes = await asyncio.gather(*(each.run(table, ask()) for each in (made.pipeline, made.pipeline, aside)))
    assert [outcome.failed for outcome in outcomes] == ["", "", ""]
    assert [alive(table, outcome) for outcome in outcomes] == [["host0", "host1"]] * 3


async def test_a_dry_run_that_is_given_up_while_a_filter_looks_spoils_no_request() -> None:
    table = table_of([4096, 4096])
    made = composed(table, vendor(lambda _: Slow(), within=5.0), filters=["acme", "ram"])
    given_up = asyncio.create_task(made.pipeline.run(table, ask()))
    await asyncio.sleep(0.01)
    given_up.cancel()
    outcome = await made.pipeline.run(table, ask())
    assert outcome.failed == "" and alive(table, outcome) == ["host0", "host1"]


class BadScores:
    def score(self, hosts: Any, ask: Any) -> Any:
        return np.ones(99)


async def test_a_broken_weigher_is_left_out_of_the_weight() -> None:
    table = table_of([4096, 8192])
    spec = WeigherSpec(name="acme", api=1, build=lambda _: BadScores(), within=PATIENT)
    outcome = await run(table, spec, weighers=["acme", "ram"])
    assert outcome.skipped_weighers == ["acme"]
    assert outcome.ranking is not None
    assert outcome.ranking.total.tolist() == [0.0, 1.0]
