"""What `assign` takes of which provider, against a reading of its rules that tries every combination."""

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novakit_fit.trees import GroupShares, assign
from novakit_hookspecs.trees import ProviderStock, RequestGroup, Units
from tests.support.examples import examples
from tests.support.provider_trees import CLASSES, providers, requests


def stock(traits: str = "", **amounts: int | Units) -> ProviderStock:
    """Make a provider; a number stands for so many free units, each of which can be had."""
    units = {
        name: one if isinstance(one, Units) else Units(free=one, max_unit=max(one, 1)) for name, one in amounts.items()
    }
    return ProviderStock(stock=tuple(sorted(units.items())), traits=frozenset(traits.split()))


def group(suffix: str = "1", required: str = "", forbidden: str = "", **amounts: int) -> RequestGroup:
    return RequestGroup(
        suffix=suffix, resources=amounts, required=frozenset(required.split()), forbidden=frozenset(forbidden.split())
    )


Wants = list[tuple[Mapping[str, int], RequestGroup | None]]


def can(tree: Sequence[ProviderStock], plain: Mapping[str, int], groups: Sequence[RequestGroup], isolate: bool) -> bool:
    """Try every provider for everything that is wanted."""
    wants: Wants = [({name: amount}, None) for name, amount in plain.items() if amount]
    wants += [(one.resources, one) for one in groups]
    places = itertools.product(range(len(tree)), repeat=len(wants))
    return any(holds(tree, wants, chosen, isolate) for chosen in places)


def holds(tree: Sequence[ProviderStock], wants: Wants, chosen: Sequence[int], isolate: bool) -> bool:
    listed = {name for one in tree for name, _ in one.stock}
    taken: dict[tuple[int, str], int] = {}
    for (resources, asked), place in zip(wants, chosen, strict=True):
        provider = tree[place]
        if asked and not (asked.required <= provider.traits and not asked.forbidden & provider.traits):
            return False
        for name, amount in resources.items():
            if name not in listed:
                if place != 0:
                    return False
                continue
            units = dict(provider.stock).get(name)
            if units is None or amount < units.min_unit or amount % units.step_size:
                return False
            taken[place, name] = taken.get((place, name), 0) + amount
            if taken[place, name] > min(units.free, units.max_unit):
                return False
    grouped = [place for (_, asked), place in zip(wants, chosen, strict=True) if asked]
    return not isolate or len(grouped) == len(set(grouped))


@settings(max_examples=examples(400), deadline=None)
@given(
    st.lists(providers, min_size=1, max_size=4),
    st.dictionaries(st.sampled_from((*CLASSES, "VCPU")), st.integers(1, 3)),
    st.lists(requests, max_size=3),
    st.booleans(),
)
def test_it_finds_a_way_where_there_is_one_and_nowhere_else(
    tree: list[ProviderStock], plain: dict[str, int], groups: list[RequestGroup], isolate: bool
) -> None:
    given = assign(tree, plain, groups, isolate=isolate)
    assert (given is not None) == can(tree, plain, groups, isolate)
    if given is not None:
        assert total(given) == sum(plain.values()) + sum(sum(one.resources.values()) for one in groups)
        for provider, some in zip(tree, given, strict=True):
            for name, units in provider.stock:
                assert some.get(name, 0) <= min(units.free, units.max_unit)


def total(given: GroupShares) -> int:
    return sum(sum(some.values()) for some in given)


def test_a_class_that_no_provider_lists_is_the_hosts_own() -> None:
    assert assign([stock(), stock(VGPU=1)], {"VCPU": 4, "VGPU": 1}) == ({"VCPU": 4}, {"VGPU": 1})


def test_the_hosts_own_comes_first_and_then_the_provider_with_the_least_to_spare() -> None:
    assert assign([stock(VGPU=4), stock(VGPU=1)], {"VGPU": 1}) == ({"VGPU": 1}, {})
    assert assign([stock(), stock(VGPU=4), stock(VGPU=2)], {"VGPU": 2}) == ({}, {}, {"VGPU": 2})


def test_a_class_is_not_pieced_together_of_several_providers() -> None:
    assert assign([stock(), stock(VGPU=2), stock(VGPU=2)], {"VGPU": 3}) is None


def test_a_group_has_its_resources_and_its_traits_from_one_provider() -> None:
    tree = [stock(), stock("FAST", VGPU=1), stock("OLD", VGPU=1, FPGA=1)]
    assert assign(tree, {}, [group(VGPU=1, required="FAST")]) == ({}, {"VGPU": 1}, {})
    assert assign(tree, {}, [group(VGPU=1, FPGA=1)]) == ({}, {}, {"VGPU": 1, "FPGA": 1})
    assert assign(tree, {}, [group(FPGA=1, required="FAST")]) is None
    assert assign(tree, {}, [group(FPGA=1, forbidden="OLD")]) is None


def test_groups_that_are_isolated_come_from_a_provider_each() -> None:
    tree, groups = [stock(), stock(VGPU=4), stock(VGPU=1)], [group("1", VGPU=1), group("2", VGPU=1)]
    assert assign(tree, {}, groups, isolate=True) == ({}, {"VGPU": 1}, {"VGPU": 1})
    assert assign([stock(), stock(VGPU=4)], {}, groups, isolate=True) is None
    assert assign([stock(), stock(VGPU=4)], {}, groups) == ({}, {"VGPU": 2})


@pytest.mark.parametrize("isolate", [True, False])
def test_many_groups_over_many_providers_that_cannot_be_had_end_soon(isolate: bool) -> None:
    tree = [stock(), *(stock(f"T{number} ALL", VGPU=1) for number in range(63))]
    groups = [group(str(number), VGPU=1, required="ALL") for number in range(64)]
    assert assign(tree, {}, groups, isolate=isolate) is None
    assert assign([*tree, stock("ALL", VGPU=1)], {}, groups, isolate=isolate) is not None


def test_groups_of_different_sizes_are_packed_as_tightly_as_they_must_be() -> None:
    tree = [stock(), *(stock(FPGA=100) for _ in range(20))]
    groups = [group(str(number), FPGA=45 + number % 6) for number in range(20)]
    groups += [group(f"p{number}", FPGA=55 - number % 6) for number in range(20)]
    assert assign(tree, {}, groups) is not None
