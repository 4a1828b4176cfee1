"""Sets of small numbers as bits."""

from hypothesis import given
from hypothesis import strategies as st

from novakit_fit.search.masks import bits, mask_of, union

NUMBERS = st.sets(st.integers(0, 200))


@given(NUMBERS)
def test_a_set_comes_back_in_order(numbers: set[int]) -> None:
    assert list(bits(mask_of(numbers))) == sorted(numbers)


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.data())
def test_a_union_holds_what_is_in_some(sets: list[set[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(sets) - 1)))
    wanted = set().union(*(sets[number] for number in chosen)) if chosen else set()
    assert union([mask_of(one) for one in sets], chosen) == mask_of(wanted)


def test_the_mask_of_numbers_has_their_bits() -> None:
    assert (mask_of([]), mask_of([0]), mask_of([0, 3, 3])) == (0, 1, 0b1001)
