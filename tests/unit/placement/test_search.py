"""The candidate search against a reading of its rules that tries every combination."""

import itertools
import tracemalloc
from random import Random

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novakit.placement.candidates import CandidateRequest, Forest, Group, Provider, Stock, search
from novakit.placement.candidates.forest import SHARES
from novakit_fit.matching import matching
from tests.support.examples import examples

CLASSES = ("VCPU", "DISK_GB")
TRAITS = ("T1", "T2")
AGGREGATES = ("a1", "a2")


def provider(id, parent=None, root=None, stock=None, traits=(), aggregates=()):
    stocks = {name: one if isinstance(one, Stock) else Stock(one, 0, 1, one, 1) for name, one in (stock or {}).items()}
    return Provider(id, root or id, parent, stocks, frozenset(traits), frozenset(aggregates))


def candidates(forest, ask, chance=None):
    return [one for some in search(forest, ask, chance) if some is not None for one in some]


def found_by_search(forest, ask):
    return {key(ask, one) for one in candidates(forest, ask)}


def key(ask, candidate):
    amounts = ask.allocations(candidate).items()
    return (
        frozenset((id, name, amount) for id, some in amounts for name, amount in some.items()),
        frozenset((suffix, tuple(sorted(ids))) for suffix, ids in ask.mappings(candidate).items()),
    )


def parents(forest, id):
    above = []
    while id is not None:
        above.append(id)
        id = forest.providers[id].parent_id
    return above


def found_by_trying_everything(forest, ask):
    everyone = list(forest.providers.values())
    keys = set()
    for root in (one for one in everyone if one.parent_id is None):
        if not ask.root_required <= root.traits or ask.root_forbidden & root.traits:
            continue
        tree = [one for one in everyone if one.root_id == root.id]
        near = {aggregate for one in tree for aggregate in one.aggregates}
        scope = tree + [
            one for one in everyone if one.root_id != root.id and SHARES in one.traits and one.aggregates & near
        ]
        parts = []
        for group in ask.groups:
            if group.suffix:
                parts.append((group, dict(group.resources)))
            else:
                parts += [(group, {name: amount}) for name, amount in group.resources.items()]
        for choice in itertools.product(scope, repeat=len(parts)):
            pairs = list(zip(parts, choice, strict=True))
            if all_rules_hold(forest, ask, root, pairs):
                keys.add(key_of(pairs))
    return keys


def key_of(pairs):
    amounts, mappings = {}, {}
    for (group, resources), one in pairs:
        mappings.setdefault(group.suffix, set()).add(one.id)
        for name, amount in resources.items():
            amounts[one.id, name] = amounts.get((one.id, name), 0) + amount
    return (
        frozenset((id, name, amount) for (id, name), amount in amounts.items()),
        frozenset((suffix, tuple(sorted(ids))) for suffix, ids in mappings.items()),
    )


def all_rules_hold(forest, ask, root, pairs):
    total = {}
    for (group, resources), one in pairs:
        if not group_holds(forest, group, root, one):
            return False
        for name, amount in resources.items():
            stock = one.stock.get(name)
            if stock is None or not stock.fits(amount):
                return False
            total[one.id, name] = total.get((one.id, name), 0) + amount
            if total[one.id, name] > min(stock.capacity - stock.used, stock.max_unit):
                return False
    return (
        wide_traits_hold(ask, pairs)
        and isolation_holds(ask, pairs)
        and all(subtree_holds(forest, suffixes, pairs) for suffixes in ask.same_subtrees)
        and (ask.nested or one_of_each_tree(pairs))
    )


def group_holds(forest, group, root, one):
    if group.in_tree is not None:
        wanted = forest.providers.get(group.in_tree)
        if wanted is None or one.root_id != wanted.root_id or (not group.suffix and root.id != wanted.root_id):
            return False
    if group.forbidden & one.traits or group.not_member_of & one.aggregates:
        return False
    own = all(some & one.aggregates for some in group.member_of)
    if group.suffix:
        return own and all(some & one.traits for some in group.required)
    if group.not_member_of & root.aggregates:
        return False
    by_root = all(some & root.aggregates for some in group.member_of)
    return own or (by_root and one.root_id == root.id)


def wide_traits_hold(ask, pairs):
    for group in ask.groups:
        if not group.suffix:
            had = {trait for (other, _), one in pairs if other is group for trait in one.traits}
            if not all(some & had for some in group.required):
                return False
    return True


def isolation_holds(ask, pairs):
    apart = [one.id for (group, _), one in pairs if group.suffix]
    return not ask.isolate or len(apart) == len(set(apart))


def subtree_holds(forest, suffixes, pairs):
    ids = {one.id for (group, _), one in pairs if group.suffix in suffixes}
    return any(all(top in parents(forest, id) for id in ids) for top in ids)


def one_of_each_tree(pairs):
    holders = {one.id: one.root_id for (_, resources), one in pairs if resources}
    return len(holders) == len(set(holders.values()))


def subsets(values):
    return st.frozensets(st.sampled_from(values), max_size=len(values))


def some_of(values):
    return st.lists(st.frozensets(st.sampled_from(values), min_size=1), max_size=2)


@st.composite
def stocks(draw):
    capacity = draw(st.integers(0, 5))
    return Stock(
        capacity,
        draw(st.integers(0, 2)),
        draw(st.integers(1, 2)),
        draw(st.integers(1, 5)),
        draw(st.sampled_from((1, 1, 2))),
    )


@st.composite
def forests(draw):
    made = []
    for number in range(draw(st.integers(1, 6))):
        above = draw(st.none() | st.sampled_from(made)) if made else None
        traits = draw(subsets((*TRAITS, SHARES)))
        made.append(
            provider(
                f"p{number}",
                parent=above.id if above else None,
                root=above.root_id if above else None,
                stock=draw(st.dictionaries(st.sampled_from(CLASSES), stocks())),
                traits=traits,
                aggregates=draw(subsets(AGGREGATES)),
            )
        )
    return Forest.grow(made)


@st.composite
def groups(draw, suffix, may_be_empty):
    return Group(
        suffix=suffix,
        resources=draw(st.dictionaries(st.sampled_from(CLASSES), st.integers(1, 3), min_size=0 if may_be_empty else 1)),
        required=draw(some_of(TRAITS) if draw(st.booleans()) else st.just(())),
        forbidden=draw(subsets(TRAITS) if draw(st.booleans()) else st.just(())),
        member_of=draw(some_of(AGGREGATES) if draw(st.booleans()) else st.just(())),
        not_member_of=draw(subsets(AGGREGATES) if draw(st.integers(0, 3)) == 0 else st.just(())),
        in_tree=draw(st.sampled_from((None, None, None, "p0", "p1", "p9"))),
    )


@st.composite
def asks(draw):
    made = [draw(groups("", may_be_empty=False))] if draw(st.booleans()) else []
    suffixes = ("1", "_2", "_x")[: draw(st.integers(0 if made else 1, 3))]
    made += [draw(groups(suffix, may_be_empty=True)) for suffix in suffixes]
    subtrees = [draw(st.frozensets(st.sampled_from(suffixes), min_size=1))] if suffixes and draw(st.booleans()) else []
    return CandidateRequest(
        groups=made,
        isolate=draw(st.booleans()),
        root_required=draw(st.sampled_from((set(), set(), {"T1"}))),
        root_forbidden=draw(st.sampled_from((set(), set(), {"T2"}))),
        same_subtrees=subtrees,
        nested=draw(st.sampled_from((True, True, True, False))),
    )


@pytest.mark.slow
@settings(max_examples=examples(600), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(forests(), asks())
def test_the_search_finds_exactly_what_trying_everything_finds(forest, ask):
    assert found_by_search(forest, ask) == found_by_trying_everything(forest, ask)


@pytest.mark.slow
@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(forests(), asks(), st.integers())
def test_chance_changes_the_order_and_nothing_else(forest, ask, seed):
    by_chance = candidates(forest, ask, Random(seed))
    assert sorted(by_chance) == sorted(candidates(forest, ask))
    assert len(set(by_chance)) == len(found_by_search(forest, ask)), "equal candidates name the same providers"


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.booleans(), st.data())
def test_many_groups_on_many_devices_are_complete(devices, wanted, capacity, isolate, data):
    tree = [provider("host")]
    tree += [provider(f"d{n}", "host", "host", {"VCPU": data.draw(st.integers(1, capacity))}) for n in range(devices)]
    forest = Forest.grow(tree)
    ask = CandidateRequest(
        groups=[
            Group(suffix=str(n + 1), resources={"VCPU": data.draw(st.integers(1, capacity))}) for n in range(wanted)
        ],
        isolate=isolate,
    )
    assert found_by_search(forest, ask) == found_by_trying_everything(forest, ask)


@pytest.mark.slow
@settings(max_examples=examples(150))
@given(forests(), forests(), asks())
def test_a_renewed_forest_answers_like_one_grown_anew(before, after, ask):
    seeds = {id: attrs.evolve(one, said={}) for id, one in after.providers.items()}
    changed = before.providers.keys() | after.providers.keys()
    renewed = before.renewed(seeds, changed, 7)
    assert found_by_search(renewed, ask) == found_by_search(after, ask)
    assert {id: one.ancestors for id, one in renewed.providers.items()} == {
        id: one.ancestors for id, one in after.providers.items()
    }


def devices(number, capacity=1):
    return Forest.grow(
        [provider("host"), *(provider(f"d{n}", "host", "host", {"VF": capacity}) for n in range(number))]
    )


def eight_groups(**more):
    return CandidateRequest(groups=[Group(suffix=str(n), resources={"VF": 1}) for n in range(1, 9)], **more)


def test_eight_groups_on_eight_devices_are_all_40320_and_no_more():
    for isolate in (True, False):
        found = candidates(devices(8), eight_groups(isolate=isolate))
        assert len(found) == len(set(found)) == 40320
        assert all(len(set(one)) == 8 for one in found)


@pytest.mark.parametrize("isolate", [True, False])
def test_a_limited_answer_for_eight_groups_on_eight_devices_takes_few_steps(isolate):
    found = pulses = 0
    for some in search(devices(8), eight_groups(isolate=isolate)):
        found, pulses = found + len(some or ()), pulses + (some is None)
        if found >= 1000:
            break
    assert (found >= 1000, pulses < 3) == (True, True), "each pulse is some thousand looks"


@pytest.mark.parametrize("isolate", [True, False])
def test_a_complete_answer_for_eight_groups_on_eight_devices_gives_way_and_takes_few_steps(isolate):
    pulses = sum(some is None for some in search(devices(8), eight_groups(isolate=isolate)))
    assert 5 < pulses < 20


def test_a_request_that_cannot_fit_is_known_without_trying_all_orders():
    nine = CandidateRequest(groups=[Group(suffix=str(n), resources={"VF": 2}) for n in range(9)])
    assert list(search(devices(8, capacity=3), nine)) == []


@pytest.mark.parametrize("isolate", [True, False])
def test_more_groups_than_devices_with_their_trait_are_refused_at_once(isolate):
    forest = Forest.grow(
        [provider("host"), *(provider(f"d{n}", "host", "host", {"VF": 1}, ["T1"] * (n < 18)) for n in range(20))]
    )
    groups = [Group(suffix=str(n), resources={"VF": 1}, required=[{"T1"}] * (n < 19)) for n in range(20)]
    assert list(search(forest, CandidateRequest(groups=groups, isolate=isolate))) == []


def test_more_groups_than_a_subtree_holds_are_refused_in_few_steps():
    cells = [provider(f"c{n}", "host", "host", {"VCPU": 1}) for n in range(10)]
    cards = [provider(f"{one.id}d{n}", one.id, "host", {"VF": 1}) for one in cells for n in range(6)]
    groups = [Group(suffix="c", resources={"VCPU": 1})]
    groups += [Group(suffix=str(n), resources={"VF": 1}) for n in range(7)]
    ask = CandidateRequest(groups=groups, isolate=True, same_subtrees=[{group.suffix for group in groups}])
    steps = list(search(Forest.grow([provider("host"), *cells, *cards]), ask))
    assert len(steps) < 10 and not any(steps)


def test_amounts_that_must_be_packed_without_a_gap_are_packed():
    groups = [Group(suffix=str(n), resources={"VF": (3, 4, 6, 7)[n % 4]}) for n in range(24)]
    steps = list(itertools.islice(search(devices(12, capacity=10), CandidateRequest(groups=groups)), 20))
    assert any(steps)


def test_spreading_six_classes_over_a_hundred_children_is_nothing_to_search():
    classes = [f"C{n}" for n in range(6)]
    forest = Forest.grow(
        [provider("host"), *(provider(f"d{n}", "host", "host", dict.fromkeys(classes, 1)) for n in range(100))]
    )
    steps = itertools.islice(
        search(forest, CandidateRequest(groups=[Group(resources=dict.fromkeys(classes, 1))])), 1000
    )
    found, pulses = [], 0
    for some in steps:
        found, pulses = found + (some or []), pulses + (some is None)
    assert len(found) == len(set(found)) > 100_000
    assert pulses < 20


def test_looking_at_many_classes_of_many_hosts_gives_way():
    classes = {f"C{n}": 1 for n in range(400)}
    forest = Forest.grow(provider(f"h{n}", stock=classes) for n in range(100))
    steps = list(search(forest, CandidateRequest(groups=[Group(resources=classes)])))
    assert steps.count(None) > 10
    assert len(steps) - steps.count(None) == 100


def hopeless():
    """Give a forest and a request of which every way to cover twelve traits must be tried."""
    classes = {f"C{n}": 1 for n in range(12)}
    forest = Forest.grow(
        [provider("host"), *(provider(f"d{n}", "host", "host", classes, [f"T{n}"]) for n in range(40))]
    )
    return forest, CandidateRequest(groups=[Group(resources=classes, required=[{f"T{n}"} for n in range(13)])])


@pytest.mark.parametrize(
    ("forest", "ask"),
    [
        (devices(64), eight_groups(isolate=True)),
        (devices(64, capacity=8), eight_groups()),
        hopeless(),
    ],
    ids=["endless", "endless without isolation", "hopeless"],
)
def test_a_search_without_end_gives_way_and_keeps_little(forest, ask):
    found = pulses = 0
    tracemalloc.start()
    try:
        for some in search(forest, ask):
            found, pulses = found + len(some or ()), pulses + (some is None)
            if found >= 100_000 or pulses == 300:
                break
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pulses > 10
    assert most < 16 * 2**20


@given(st.lists(st.integers(0, 31), max_size=5), st.lists(st.integers(1, 2), min_size=5, max_size=5))
def test_seating_agrees_with_trying_every_way(wishes, seats):
    tables = [[table for table in range(5) if wish >> table & 1] for wish in wishes]
    ways = itertools.product(*tables)
    assert (matching(wishes, seats.__getitem__) is not None) == any(
        all(way.count(table) <= seats[table] for table in way) for way in ways
    )


def test_candidates_come_from_every_tree_before_a_second_one_of_any():
    forest = Forest.grow(
        one
        for host in ("h1", "h2", "h3")
        for one in (provider(host), *(provider(f"{host}d{n}", host, host, {"VF": 1}) for n in range(3)))
    )
    ask = CandidateRequest(groups=[Group(suffix="1", resources={"VF": 1})])
    first = [id[:2] for [id] in candidates(forest, ask)][:3]
    assert sorted(first) == ["h1", "h2", "h3"]
