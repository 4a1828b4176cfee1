"""Wrong passwords cost growing time, and cost it to whoever guesses alone."""

import pytest

from novakit.errors import TooMany
from novakit.identity import attempts
from novakit.identity.attempts import FREE, FREE_OF_ADDRESS, LONGEST, Attempts


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("novakit.world.monotonic", lambda: now[0])
    return now


def pause(counted: Attempts, user: str = "u", address: str = "a") -> int:
    try:
        counted.require_turn(user, address)
    except TooMany as told:
        return int(told.headers["Retry-After"])
    return 0


def guess(counted: Attempts, times: int, user: str = "u", address: str = "a") -> None:
    for _ in range(times):
        counted.wrong(user, address)


def test_the_first_ones_are_free_and_each_after_them_costs_twice_as_much(clock: list[float]) -> None:
    counted, pauses = Attempts(), []
    for _ in range(FREE + 10):
        pauses.append(pause(counted))
        clock[0] += pauses[-1] + 1
        counted.wrong("u", "a")
    assert pauses[:FREE] == [0] * FREE
    assert pauses[FREE:] == sorted(pauses[FREE:]) and pauses[FREE] > 0 and pauses[-1] == int(LONGEST) + 1
    assert pauses[FREE + 3] >= 2 * pauses[FREE + 1]


def test_whoever_guesses_waits_and_the_user_elsewhere_does_not(clock: list[float]) -> None:
    counted = Attempts()
    guess(counted, FREE + 3)
    assert pause(counted) > 1
    assert pause(counted, address="b") == 0 and pause(counted, user="v") == 0


def test_a_list_of_users_is_counted_against_its_address(clock: list[float]) -> None:
    counted = Attempts()
    for number in range(FREE_OF_ADDRESS):
        counted.wrong(f"u{number}", "a")
    assert pause(counted, user="somebody else") > 0 and pause(counted, user="u1", address="b") == 0


def test_the_right_password_frees_the_user_and_not_the_address(clock: list[float]) -> None:
    counted = Attempts()
    guess(counted, FREE - 1)
    counted.right("u", "a")
    guess(counted, FREE - 1)
    assert pause(counted) == 0
    for number in range(FREE_OF_ADDRESS):
        counted.wrong(f"u{number}", "a")
        counted.right("mine", "a")
    assert pause(counted, user="mine") > 0


def test_what_is_long_ago_is_forgotten(clock: list[float]) -> None:
    counted = Attempts()
    guess(counted, 30)
    clock[0] += attempts.FORGOTTEN_AFTER + 1
    guess(counted, 1)
    assert pause(counted) == 0


def test_a_flood_of_names_takes_no_memory(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MOST", 100)
    counted = Attempts()
    for number in range(1000):
        counted.wrong(f"u{number}", f"a{number}")
    assert len(counted._counts) <= 101
