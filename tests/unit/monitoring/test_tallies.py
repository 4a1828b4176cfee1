"""Counts and durations."""

from novakit.monitoring.tallies import Spread


def test_a_value_counts_below_the_smallest_bound_that_it_does_not_exceed() -> None:
    spread = Spread((1, 2, 4))
    for value in (1, 2, 3, 4, 5):
        spread.note(value)
    assert spread.counts == [1, 1, 2, 1] and spread.total == 15
