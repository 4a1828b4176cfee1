"""Filtering and weighing over a table in memory: order, containment, weights."""

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

from novakit.scheduler.picture.table import HostStock
from novakit_hookspecs.scheduling import Aggregate, FilterSpec, GroupAsk
from novakit_hookspecs.testing.asks import ask
from tests.support.patience import PATIENT
from tests.unit.scheduler.pipelines import alive, composed, run, table_of


async def test_filters_run_in_the_configured_order_and_count_what_they_remove() -> None:
    table = table_of([512, 4096, 4096])
    table.put(1, enabled=False)
    outcome = await run(table, filters=["ram", "compute"])
    named = {"ram", "compute"}
    asked = [(stage.name, stage.before, stage.after) for stage in outcome.stages if stage.name in named]
    assert asked == [("ram", 3, 2), ("compute", 2, 1)]
    assert alive(table, outcome) == ["host2"]


async def test_spread_and_stack_choose_opposite_hosts() -> None:
    table = table_of([4096, 8192, 16384])
    for strategy, expected in (("spread", "host2"), ("stack", "host0")):
        outcome = await run(table, weighers=["ram"], placement_strategy=strategy)
        assert outcome.ranking is not None
        assert table.names[outcome.ranking.rows[outcome.ranking.best(1)[0]]] == expected


async def test_a_negative_multiplier_stacks_and_an_aggregate_can_override_it() -> None:
    table = table_of([4096, 8192, 16384])
    stacked = await run(table, weighers=["ram"], weigher_options={"ram": {"multiplier": -1.0}})
    assert stacked.ranking is not None
    assert stacked.ranking.best(1) == [0]
    table.set_aggregates([(Aggregate(id=1, name="a", metadata={"ram_weight_multiplier": "-5"}), ["host2"])])
    spread = await run(table, weighers=["ram"])
    assert spread.ranking is not None
    assert table.names[spread.ranking.rows[spread.ranking.best(1)[0]]] == "host1"
    assert spread.ranking.total.tolist() == pytest.approx([0.0, 1 / 3, -5.0])


async def test_a_groups_strategy_goes_before_the_operators() -> None:
    table = table_of([4096, 8192, 16384])
    for strategy, expected in (("distribute", 2), ("consolidate", 0), ("balanced", 0), ("", 0)):
        group = GroupAsk(id="g", policy="soft-anti-affinity", strategy=strategy)
        outcome = await run(table, weighers=["ram"], placement_strategy="stack", request=ask(group=group))
        assert outcome.ranking is not None
        assert outcome.ranking.best(1) == [expected], strategy


@pytest.mark.filterwarnings("error")
async def test_unknown_scores_count_as_the_middle_and_endless_ones_as_the_ends() -> None:
    table = table_of([4096] * 5)
    for row, watts in enumerate([0.0, 10.0, float("-inf"), float("inf"), float("nan")]):
        table.put(row, metric_watts=watts)
    outcome = await run(table, weighers=["metrics"], weigher_options={"metrics": {"weights": {"watts": 1.0}}})
    assert outcome.ranking is not None
    assert outcome.ranking.total.tolist() == [0.0, 1.0, 0.0, 1.0, 0.5]


def vendor(build: Callable[[Any], Any], **fields: Any) -> FilterSpec:
    return FilterSpec(**{"name": "acme", "api": 1, "build": build, "within": PATIENT, **fields})


async def test_ties_are_broken_by_chance_and_alternates_are_the_next_best() -> None:
    table = table_of([4096, 8192, 8192, 8192, 2048])
    outcome = await run(table, weighers=["ram"])
    assert outcome.ranking is not None
    firsts = {outcome.ranking.best(3)[0] for _ in range(60)}
    assert firsts == {1, 2, 3}
    assert set(outcome.ranking.best(3)) == {1, 2, 3}
    assert outcome.ranking.best(10)[3:] == [0, 4]


def test_the_table_grows_and_keeps_what_it_knows() -> None:
    table = table_of([100] * 200)
    table.set_traits(150, ["CUSTOM_X"])
    before = table.column("free_memory_mb")
    for index in range(200, 1000):
        table.add(f"host{index}", f"provider{index}")
    assert table.column("free_memory_mb")[:200].tolist() == before.tolist()
    assert np.flatnonzero(table.has_trait("CUSTOM_X")).tolist() == [150]
    assert table.size == 1000
    with pytest.raises(ValueError, match="read-only"):
        table.column("free_memory_mb")[0] = 1


def test_stock_that_is_gone_counts_nothing() -> None:
    table = table_of([100])
    table.set_stock(0, {"VGPU": HostStock(total=4, capacity=4, max_unit=4, used=1)})
    assert table.column("free_memory_mb").tolist() == [0]
    assert table.column("free_resource_vgpu").tolist() == [3]


@pytest.mark.parametrize("group", [None, GroupAsk(id="g", policy="anti-affinity")])
async def test_filters_say_once_for_all_servers_of_a_request_whether_they_apply_and_of_members_each_time(
    group: GroupAsk | None,
) -> None:
    table, first = table_of([4096, 8192]), ask(memory_mb=1024, group=group)
    applied = []

    class Choosy:
        def applies(self, ask: Any) -> bool:
            applied.append(ask)
            return True

        def mask(self, hosts: Any, ask: Any) -> Any:
            return hosts.column("free_memory_mb") > 0

    built = vendor(lambda options: Choosy(), reads=frozenset({"free_memory_mb"}))
    pipeline = composed(table, built, filters=["acme"]).pipeline
    outcome = await pipeline.run(table, first)
    assert outcome.ranking is not None and len(applied) == 1
    for _ in range(3):
        await pipeline.reconsider(table, first, outcome.ranking, 1)
    assert len(applied) == (1 + 1 if group is None else 1 + 3)


@pytest.mark.parametrize("group", [None, GroupAsk(id="g", policy="anti-affinity", hosts={"host1": 1})])
async def test_after_a_claim_a_host_is_asked_only_for_what_the_claim_changed(group: GroupAsk | None) -> None:
    table, first = table_of([4096, 8192, 16384]), ask(memory_mb=4096, resources={"MEMORY_MB": 4096, "VCPU": 1})
    pipeline = composed(table).pipeline
    outcome = await pipeline.run(table, first)
    assert outcome.ranking is not None and outcome.ranking.rows.tolist() == [0, 1, 2]
    table.add_claim(1, first.resources)
    steps = [*pipeline.filters, *pipeline.weighers]
    before, next_one = {step.name: step.calls for step in steps}, attrs.evolve(first, group=group)
    await pipeline.reconsider(table, next_one, outcome.ranking, 1)
    asked = {step.name for step in steps if step.calls > before[step.name]}
    assert ("compute" in asked) == (group is not None)
    if group is None:
        assert asked >= {"ram", "core"}
        told = outcome.ranking.total.copy()
        for step in steps:
            step.stands = False
        outcome.ranking.doubtful = None
        await pipeline.reconsider(table, next_one, outcome.ranking, 1)
        assert outcome.ranking.total.tolist() == told.tolist() and told[1] < told[2]
    else:
        assert outcome.ranking.total[1] == -np.inf
