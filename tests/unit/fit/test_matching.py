"""Whether all who ask can have a place at once, against trying every way."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from novakit_fit.matching import matching, one_each
from novakit_fit.search.masks import bits, mask_of
from tests.support.examples import examples

PLACES = 4


def can(wanted: list[set[int]], room: list[int]) -> bool:
    """Try every place for everybody."""
    return any(
        all(chosen.count(place) <= room[place] for place in range(PLACES))
        for chosen in itertools.product(*(sorted(one) for one in wanted))
    )


@settings(max_examples=examples(300))
@given(
    st.lists(st.sets(st.integers(0, PLACES - 1)), max_size=5),
    st.lists(st.integers(1, 3), min_size=PLACES, max_size=PLACES),
)
def test_everybody_has_a_place_where_there_is_some_way_and_nobody_where_there_is_none(
    wanted: list[set[int]], room: list[int]
) -> None:
    given_places = matching([mask_of(one) for one in wanted], room.__getitem__)
    assert (given_places is not None) == can(wanted, room)
    if given_places is not None:
        assert sorted(given_places) == list(range(len(wanted)))
        assert all(place in wanted[asker] for asker, place in given_places.items())
        assert all(list(given_places.values()).count(place) <= room[place] for place in range(PLACES))


def test_a_place_is_for_one_and_the_lowest_free_one_is_taken() -> None:
    assert one_each(7) == 1
    assert matching([0b110, 0b110]) == {0: 1, 1: 2}
    assert matching([0b1, 0b1]) is None
    assert matching([]) == {}


def test_who_has_a_place_keeps_one_and_may_be_moved() -> None:
    assert matching([0b11, 0b01]) == {0: 1, 1: 0}
    assert matching([0b11, 0b10]) == {0: 0, 1: 1}
    assert matching([0b11, 0b01, 0b10]) is None
    assert matching([0b01, 0b01, 0b01], lambda _: 2) is None
    assert matching([0b01, 0b11, 0b01], lambda place: 2 - place) == {0: 0, 1: 1, 2: 0}


def test_a_long_row_moves_up_by_one() -> None:
    count = 20
    row = [mask_of([number, number + 1]) for number in range(count)]
    found = matching([*row, 1])
    assert found == {**{number: number + 1 for number in range(count)}, count: 0}
    assert matching([*row, 1, 1]) is None
    assert list(bits(row[3])) == [3, 4]
