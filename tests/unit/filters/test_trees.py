"""Why no provider of a host's tree will do, and what would."""

import pytest

from novakit_filters.trees import ProviderTree
from novakit_fit.trees import Wanted
from novakit_hookspecs.scheduling import Reason
from novakit_hookspecs.testing.filters import ask, host_table
from novakit_hookspecs.trees import ProviderStock, RequestGroup, Tree, Units


def provider(traits: str = "", **stock: Units) -> ProviderStock:
    return ProviderStock(stock=tuple(sorted(stock.items())), traits=frozenset(traits.split()))


def units(free: int, *, least: int = 1, most: int = 8, step: int = 1) -> Units:
    return Units(free=free, min_unit=least, max_unit=most, step_size=step)


def told(*trees: Tree | None, isolate: bool = False, groups: tuple[RequestGroup, ...] = (), **amounts: int) -> Reason:
    request = ask(resources=amounts, groups=groups, isolate_groups=isolate)
    (reason,) = ProviderTree().why(host_table(tree=list(trees)), request)
    return reason


def group(suffix: str = "1", required: str = "", **amounts: int) -> RequestGroup:
    return RequestGroup(suffix=suffix, resources=amounts, required=frozenset(required.split()))


def test_what_no_single_provider_has_enough_of() -> None:
    less = Tree(providers=(provider(), provider(VGPU=units(1)), provider(VGPU=units(1))))
    more = Tree(providers=(provider(), provider(VGPU=units(2)), provider(VGPU=units(1))))
    reason = told(less, more, VGPU=3)
    assert (reason.code, reason.count, reason.wanted, reason.available) == ("not_on_one_provider", 2, 3, 2)
    assert (reason.remedy, reason.shortfall) == ("1 more VGPU on one provider", 1 / 3)


def test_what_is_there_and_not_given_to_one_server() -> None:
    reason = told(Tree(providers=(provider(), provider(VGPU=units(8, most=2)))), VGPU=4)
    assert (reason.code, reason.wanted, reason.available) == ("above_the_largest_unit", 4, 2)
    assert reason.remedy == "a max_unit of 4 VGPU instead of 2" and reason.shortfall == 0.5


def test_what_is_given_in_other_amounts() -> None:
    reason = told(Tree(providers=(provider(), provider(VGPU=units(8, step=2, most=3)))), VGPU=3)
    assert (reason.code, reason.available, reason.shortfall) == ("not_a_unit", 3, 0.3)
    assert reason.remedy == "a min_unit and a step_size of VGPU that allow 3"


@pytest.mark.parametrize(
    ("stock", "code", "available"),
    [
        (units(1), "group_unsatisfied", 1),
        (units(8, most=1), "group_above_the_largest_unit", 1),
        (units(8, step=3), "group_not_a_unit", 2),
    ],
)
def test_a_group_that_no_provider_has_all_of(stock: Units, code: str, available: int) -> None:
    reason = told(Tree(providers=(provider(), provider(VGPU=stock))), groups=(group(VGPU=2),))
    assert (reason.code, reason.wanted, reason.available) == (code, 2, available)


def test_a_provider_without_the_groups_trait_has_nothing_for_it() -> None:
    tree = Tree(providers=(provider(), provider("OLD", VGPU=units(8))))
    reason = told(tree, groups=(group(required="FAST", VGPU=2),))
    assert (reason.code, reason.available) == ("group_unsatisfied", 0)


def test_groups_that_are_there_and_not_together_or_not_apart() -> None:
    tree = Tree(providers=(provider(), provider(VGPU=units(2))))
    both = (group("1", VGPU=1), group("2", VGPU=1))
    apart = told(tree, groups=both, isolate=True)
    assert (apart.code, apart.wanted) == ("groups_not_apart", 2)
    together = told(tree, groups=(group("1", VGPU=2), group("2", VGPU=1)))
    assert (together.code, together.remedy) == ("groups_not_together", "more of these free")


def test_a_search_that_takes_too_long_is_told_from_groups_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(providers=(provider(), *(provider(VGPU=units(4)) for _ in range(4))))
    both = tuple(group(str(number), VGPU=3) for number in range(4))
    tables = host_table(tree=[tree], nested=[True])
    request = ask(groups=both, isolate_groups=True, resources={"VGPU": 12})
    assert ProviderTree().mask(tables, request).tolist() == [True]
    # Enough for what each group asks alone, and not for all of them.
    monkeypatch.setattr("novakit_fit.search.first.LOOKS", 20)
    assert ProviderTree().mask(tables, request).tolist() == [False]
    (reason,) = ProviderTree().why(tables, request)
    assert (reason.code, reason.wanted, reason.count) == ("search_given_up", 0, 1)


def test_a_tree_that_many_hosts_have_is_searched_once_to_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    monkeypatch.setattr(Wanted, "is_given_up", lambda _, tree: bool(searched.append(tree)))
    tree = Tree(providers=(provider(), provider(VGPU=units(2))))
    reason = told(*[tree] * 5, groups=(group("1", VGPU=2), group("2", VGPU=1)))
    assert (reason.code, reason.count, len(searched)) == ("groups_not_together", 5, 1)
