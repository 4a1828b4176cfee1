"""Scheduler and Placement answer the same question of one tree alike."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from novakit.placement.candidates import CandidateRequest, Forest, Group, Provider, Stock, search
from novakit_fit.trees import GroupShares, assign
from novakit_hookspecs.trees import ProviderStock, RequestGroup
from tests.support.examples import examples
from tests.support.provider_trees import CLASSES, providers, requests


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(providers, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 3)),
    st.lists(requests, max_size=3),
    st.booleans(),
)
def test_the_scheduler_takes_what_placement_would_answer_first_or_agrees_that_there_is_nothing(
    tree: list[ProviderStock], plain: dict[str, int], groups: list[RequestGroup], isolate: bool
) -> None:
    listed = {name for one in tree for name, _ in one.stock}
    groups = [one for one in groups if listed >= one.resources.keys()]
    plain = {name: amount for name, amount in plain.items() if name in listed}
    answers = list(placements(tree, plain, groups, isolate))
    given = assign(tree, plain, groups, isolate=isolate)
    if not plain and not groups:
        assert given == tuple({} for _ in tree)
    elif given is None:
        assert not answers
    else:
        assert given in answers


def placements(
    tree: Sequence[ProviderStock], plain: Mapping[str, int], groups: Sequence[RequestGroup], isolate: bool
) -> Iterator[GroupShares]:
    """Give every answer that Placement has for the same request of the same tree."""
    forest = Forest.grow(
        Provider(
            f"{place}",
            "0",
            "0" if place else None,
            {name: Stock(one.free, 0, one.min_unit, one.max_unit, one.step_size) for name, one in provider.stock},
            provider.traits,
            frozenset(),
        )
        for place, provider in enumerate(tree)
    )
    request = CandidateRequest(
        groups=(
            *([Group(resources=plain)] if plain else []),
            *(
                Group(
                    suffix=f"_{number}",
                    resources=one.resources,
                    required=[{trait} for trait in one.required],
                    forbidden=one.forbidden,
                )
                for number, one in enumerate(groups)
            ),
        ),
        isolate=isolate,
    )
    for candidate in itertools.chain.from_iterable(filter(None, search(forest, request))):
        given = request.allocations(candidate)
        yield tuple(given.get(f"{place}", {}) for place in range(len(tree)))
