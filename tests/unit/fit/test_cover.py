"""What answers must bring together, against trying every way to answer what is open."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from novakit_fit.search.cover import Cover
from novakit_fit.search.masks import bits
from novakit_fit.search.position import Position

PLACES = 5
masks = st.integers(1, 2**PLACES - 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Cover, Position]:
    number = draw(st.integers(1, 4))
    questions = draw(st.frozensets(st.integers(0, number - 1), min_size=1))
    area = draw(st.lists(st.integers(0, 2), min_size=PLACES, max_size=PLACES) | st.just(list(range(PLACES))))
    amounts = draw(st.lists(st.integers(0, 3), min_size=PLACES, max_size=PLACES))
    gains = {place: (one, amounts[one]) for place, one in enumerate(area) if amounts[one]}
    still = draw(st.frozensets(st.integers(0, number - 1)))
    drawn = draw(st.lists(masks, min_size=number, max_size=number))
    answered = tuple(mask if one in still else mask & -mask for one, mask in enumerate(drawn))
    return Cover(questions, draw(st.integers(1, 6)), gains), Position(answered, tuple(sorted(still)), {})


def brought(cover: Cover, answers: tuple[int, ...]) -> int:
    return sum(dict(cover.gains[answers[one]] for one in cover.questions if answers[one] in cover.gains).values())


@given(cases())
def test_what_is_ruled_out_could_not_be_brought_by_any_answers(case: tuple[Cover, Position]) -> None:
    cover, node = case
    ways = [brought(cover, answers) for answers in itertools.product(*map(bits, node.masks))]
    if max(ways) >= cover.least:
        assert cover.is_possible(node)
    if not node.open:
        assert cover.is_possible(node) == (ways[0] >= cover.least) == (cover.lacking(node) <= 0)


@given(cases(), st.integers(0, PLACES - 1))
def test_an_answer_brings_what_its_area_has_once(case: tuple[Cover, Position], place: int) -> None:
    cover, node = case
    for number in cover.questions.intersection(node.open):
        after = Position(
            tuple(1 << place if one == number else mask for one, mask in enumerate(node.masks)),
            tuple(one for one in node.open if one != number),
            {},
        )
        assert cover.lacking(node) - cover.lacking(after) == cover.gain(node, place)


@given(cases(), st.lists(masks, min_size=4, max_size=4))
def test_equal_states_are_completed_alike(case: tuple[Cover, Position], drawn: list[int]) -> None:
    cover, node = case
    other = Position(
        tuple(mask if one in node.open else drawn[one] & -drawn[one] for one, mask in enumerate(node.masks)),
        node.open,
        {},
    )
    if cover.state(node) == cover.state(other):
        for answers in itertools.product(*(bits(node.masks[one]) for one in node.open)):
            found = []
            for each in (node, other):
                full = [mask.bit_length() - 1 for mask in each.masks]
                for one, answer in zip(node.open, answers, strict=True):
                    full[one] = answer
                found.append(brought(cover, tuple(full)) >= cover.least)
            assert found[0] == found[1]
