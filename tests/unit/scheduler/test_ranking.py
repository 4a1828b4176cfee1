"""The best of the hosts that fit: in order, and by chance among equals alone."""

import numpy as np
import pytest

from novakit.scheduler.pipeline.ranking import FEW, Ranking


def ranking(*weights: float) -> Ranking:
    return Ranking(rows=np.arange(len(weights)), total=np.array(weights), parts=[], bounds=[])


@pytest.mark.parametrize("wanted", [3, FEW, FEW + 1, 40])
def test_the_best_come_first_and_equals_in_the_order_of_their_rows(wanted: int) -> None:
    weights = [float(number % 7) for number in range(30)]
    expected = sorted(range(30), key=lambda place: (-weights[place], place))[:wanted]
    assert ranking(*weights).top(wanted) == expected


def test_the_best_is_never_given_up_without_a_subset() -> None:
    found = ranking(1.0, 3.0, 2.0)
    assert found.best(1) == [1] and found.best(2) == [1, 2] and found.best(9) == [1, 2, 0]
    assert ranking().best(3) == []


def test_among_equals_each_is_drawn_at_some_time() -> None:
    assert {ranking(1.0, 1.0, 0.0).best(1)[0] for _ in range(100)} == {0, 1}


def test_a_subset_is_drawn_from_with_all_that_equal_its_last() -> None:
    drawn = {ranking(4.0, 3.0, 3.0, 1.0).best(1, subset=2)[0] for _ in range(300)}
    assert drawn == {0, 1, 2}
    assert {ranking(2.0, 1.0).best(1, subset=5)[0] for _ in range(100)} == {0, 1}


def test_nobody_is_named_twice_when_the_first_is_drawn() -> None:
    for _ in range(50):
        assert sorted(ranking(4.0, 3.0, 2.0).best(3, subset=3)) == [0, 1, 2]
