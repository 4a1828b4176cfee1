"""Faults that a simulated host is ordered to have."""

import pytest

from novakit_hookspecs.errors import Busy, Refused
from novakit_simulated.faults import HOW, Dice, SimulatedFault, chance_of


def test_named_hosts_and_first_attempts_fail_and_nothing_else_does() -> None:
    dice = Dice(hosts=("a",), first=2)
    assert dice.fails("a", 9) and dice.fails("b", 1) and not dice.fails("b", 2)


def test_chance_is_the_same_in_every_run_with_a_seed_and_another_on_each_host() -> None:
    def rolled(host: str) -> list[bool]:
        dice = Dice(probability=0.5, random=chance_of(0.5, 7, host))
        return [dice.fails(host, 0) for _ in range(64)]

    assert rolled("a") == rolled("a") != rolled("b") and {True, False} == set(rolled("a"))
    assert chance_of(0.0, 7, "a") is None


@pytest.mark.parametrize(("how", "kind"), list(zip(HOW, (Refused, Busy, SimulatedFault), strict=True)))
def test_a_fault_is_of_the_ordered_kind_and_says_what_failed(how: str, kind: type[Exception]) -> None:
    error = Dice(how=how).error("build")
    assert type(error) is kind and str(error).startswith("build: ")
