"""Hosts live as long as their marks change, whatever the wall clocks say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.store.compute.liveness import Liveness

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@attrs.define
class Clock(world.SystemWorld):
    """Only the monotonic clock counts; to read the other one is a fault."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        raise AssertionError("liveness reads no wall clock")


def sign(name: str, mark: datetime, forced_down: bool = False) -> Any:
    return {"name": name, "last_seen": mark, "forced_down": forced_down}


@pytest.mark.parametrize("step", [timedelta(seconds=2), timedelta(hours=1), -timedelta(hours=1), -timedelta(days=9)])
def test_a_host_whose_mark_changes_lives_and_one_whose_mark_stays_is_down_after_a_while(step: timedelta) -> None:
    clock, liveness = Clock(), Liveness(down_after=60)
    with world.using(clock):
        liveness.take({"a": NOON, "b": NOON})
        for beat in range(1, 40):
            clock.at += 2
            liveness.take({"a": NOON + beat * step, "b": NOON})
            assert liveness.is_up(sign("a", NOON + beat * step))
            assert liveness.is_up(sign("b", NOON)) == (clock.at - 1000 < 60), clock.at
        liveness.take({"b": NOON + step})
        assert liveness.is_up(sign("b", NOON + step))


def test_what_is_seen_first_is_as_old_as_it_lies_behind_the_newest() -> None:
    clock, liveness = Clock(), Liveness(down_after=60)
    with world.using(clock):
        late, old = NOON - timedelta(seconds=50), NOON - timedelta(minutes=5)
        seen = [sign("new", NOON), sign("old", old), sign("late", late)]
        liveness.take({each["name"]: each["last_seen"] for each in seen})
        assert [liveness.is_up(each) for each in seen] == [True, False, True]
        clock.at += 11
        assert not liveness.is_up(sign("late", late))


def test_a_host_that_was_declared_down_is_down_however_it_beats() -> None:
    with world.using(Clock()):
        assert not Liveness().is_up(sign("a", NOON, forced_down=True))
