"""Wrong passwords cost growing time, cost it to whoever guesses alone, and cost it in every process."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from novakit.errors import TooMany
from novakit.identity import attempts
from novakit.identity.attempts import FORGOTTEN_AFTER, FREE, FREE_OF_ADDRESS, KNOWN_FOR, LONGEST, Attempts
from novakit.store import Store, login_attempts
from tests.support.stores import store_on


class Clock:
    """The time that the database tells."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def go(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()

    async def told(_session: object) -> datetime:
        return made.now

    monkeypatch.setattr(login_attempts, "clock", told)
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened = await store_on(request.param, request, tmp_path / "x.db")
    yield opened
    await opened.close()


async def guess(counted: Attempts, user: str = "u", address: str = "a", *, right: bool = False) -> int:
    """Try a password; return 0, or the seconds to wait where it was not looked at."""
    try:
        async with counted.turn(user, address) as turn:
            await asyncio.sleep(0.01)  # as a comparison does, so that others come in between
            await (turn.right() if right else turn.wrong())
    except TooMany as told:
        return int(told.headers["Retry-After"])
    return 0


async def guesses(counted: Attempts, times: int, user: str = "u", address: str = "a") -> None:
    for _ in range(times):
        assert await guess(counted, user, address) == 0


async def test_the_first_ones_are_free_and_each_after_them_costs_twice_as_much(store: Store, clock: Clock) -> None:
    counted, pauses = Attempts(store), []
    await guesses(counted, FREE)
    for _ in range(11):
        pauses.append(await guess(counted))
        clock.go(pauses[-1])
        assert await guess(counted) == 0
    assert pauses[:4] == [2, 3, 5, 9] and pauses[-1] == int(LONGEST) + 1


async def test_whoever_guesses_waits_and_the_user_elsewhere_does_not(store: Store, clock: Clock) -> None:
    counted = Attempts(store)
    await guesses(counted, FREE)
    assert await guess(counted) > 1
    assert await guess(counted, address="b") == 0 and await guess(counted, user="v") == 0


async def test_a_list_of_users_is_counted_against_its_address_but_not_against_who_is_known_there(
    store: Store, clock: Clock
) -> None:
    counted = Attempts(store)
    await guess(counted, "known", right=True)
    for number in range(FREE_OF_ADDRESS):
        assert await guess(counted, f"u{number}") == 0
    assert await guess(counted, "somebody else") > 0 and await guess(counted, "u1", "b") == 0
    assert await guess(counted, "known", right=True) == 0
    clock.go(KNOWN_FOR.total_seconds() + 1)
    for number in range(FREE_OF_ADDRESS):
        assert await guess(counted, f"u{number}") == 0
    assert await guess(counted, "known", right=True) > 0


async def test_the_right_password_frees_the_user_and_not_the_address(store: Store, clock: Clock) -> None:
    counted = Attempts(store)
    await guesses(counted, FREE - 1)
    assert await guess(counted, right=True) == 0
    await guesses(counted, FREE)
    assert await guess(counted) > 0
    for number in range(FREE_OF_ADDRESS):
        await guess(counted, f"u{number}")
        await guess(counted, "mine", right=True)
    assert await guess(counted, "nobody") > 0


async def test_a_restart_and_another_process_count_on(store: Store, clock: Clock) -> None:
    for _ in range(FREE):
        await guesses(Attempts(store), 1)
    assert await guess(Attempts(store)) > 0


async def test_eighty_at_once_in_several_processes_try_no_more_than_the_free_ones_and_those_under_way(
    store: Store, clock: Clock
) -> None:
    processes = [Attempts(store) for _ in range(4)]
    told = await asyncio.gather(*(guess(processes[number % 4]) for number in range(80)))
    # Each process lets another one in while fewer than the free ones are counted: all slots, and one for each of those.
    assert FREE <= told.count(0) <= FREE * 4 + FREE - 1
    clock.go(LONGEST)
    told = await asyncio.gather(*(guess(processes[number % 4]) for number in range(80)))
    assert told.count(0) == 1, "one password is looked at in a pause"


async def test_what_is_long_ago_is_forgotten(store: Store, clock: Clock) -> None:
    counted = Attempts(store)
    await guesses(counted, FREE)
    clock.go(FORGOTTEN_AFTER.total_seconds() + 1)
    await guesses(counted, FREE)
    assert await guess(counted) == 2


async def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_pause(store: Store, clock: Clock) -> None:
    counted = Attempts(store)
    await guesses(counted, FREE)
    clock.go(-7200)
    assert await guess(counted) == 2
    clock.go(2)
    assert await guess(counted) == 0


async def test_a_flood_of_names_takes_no_room(store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST", 20)
    monkeypatch.setattr(attempts, "TRIMMED_EVERY", 10)
    counted = Attempts(store)
    await guess(counted, "known", right=True)
    for number in range(60):
        clock.go(1)
        await guess(counted, f"u{number}", f"a{number}")
    async with store.read() as session:
        kept = await session.scalar(sa.select(sa.func.count()).select_from(login_attempts.login_attempts))
        known = await session.scalars(sa.select(login_attempts.login_attempts.c.wrong).where(sa.text("wrong = 0")))
    assert kept <= 20 + 2 * 10 and known == [0]


async def test_a_login_works_where_nothing_can_be_written(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise sa.exc.OperationalError("UPDATE", {}, Exception("disk is full"))

    monkeypatch.setattr(login_attempts, "clear", fails)
    with capture_logs() as logs:
        assert await guess(Attempts(store), right=True) == 0
    (line,) = logs
    assert "could not be recorded" in line["event"] and "disk is full" in line["why"]
