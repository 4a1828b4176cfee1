"""How long an engine bears with a host that is silent."""

from datetime import timedelta
from typing import Any

import pytest

from novakit import world
from novakit.bus import Unreachable
from novakit.conductor.engine import Engine
from novakit.conductor.work import Postponed, Work
from novakit.store import Store
from tests.unit.conductor.test_engine import Diary, Notes, Tools, _ask, _engine, _row, _until, diary, quiet, store
from tests.unit.conductor.test_leases import Clock

assert diary and quiet and store


async def test_a_host_that_has_answered_meanwhile_is_silent_for_the_first_time_again(
    store: Store, diary: Diary
) -> None:
    said = [Postponed("busy", 0.01), Unreachable("nobody serves agent.a")]
    told: list[Any] = []

    async def ask(work: Work[Notes]) -> None:
        told.append((await _row(store, work.id))["silent_since"] is not None)
        if said:
            raise said.pop()

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("ask", do=ask)), patience=600.0):
        await _until(lambda: _is_done(store, operation))
    assert told == [False, True, False], "what was written before each of the three tries"


async def _is_done(store: Store, operation: str) -> bool:
    return (await _row(store, operation))["finished_at"] is not None


@pytest.mark.parametrize(("written", "counted"), [(30, 30), (9 * 3600, 300), (-3600, 0)])
def test_a_clock_that_was_set_uses_half_of_the_patience_at_most(written: int, counted: int) -> None:
    clock = Clock()
    engine = Engine(Tools(None), {}, patience=600.0)  # type: ignore[arg-type]
    row: Any = {"id": "one", "silent_since": world.now() - timedelta(seconds=written)}
    with world.using(clock):
        since = engine._silence(row)
    assert since == pytest.approx(clock.at - counted, abs=5)


async def test_an_operation_ends_when_its_host_has_noted_that_it_did(store: Store, diary: Diary) -> None:
    noted = world.now() - timedelta(minutes=1)

    async def build(work: Work[Notes]) -> None:
        work.note_end(noted)

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("build", do=build))):
        await _until(lambda: _is_done(store, operation))
    assert (await _row(store, operation))["finished_at"] == noted
