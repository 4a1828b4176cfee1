"""Filtering and weighing over a table in memory: order, containment, weights."""

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import orjson
import pytest

from novakit import errors
from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline import record
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.pipeline import Outcome
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import Aggregate, FilterSpec, GroupAsk, IfBroken, Reason
from novakit_hookspecs.testing.asks import ask
from novakit_hookspecs.weighing import WeigherSpec
from novakit_weighers import novakit_weighers

VENDOR = "novakit-acme-filters"


def table_of(free_mb: list[int]) -> HostTable:
    table = HostTable()
    for index, free in enumerate(free_mb):
        row = table.add(f"host{index}", f"provider{index}")
        table.put(row, up=True, enabled=True, availability_zone="nova", supported_instances=[], node=f"node{index}")
        table.set_stock(
            row,
            {
                "MEMORY_MB": HostStock(total=free, capacity=free, max_unit=free),
                "VCPU": HostStock(total=8, capacity=32, max_unit=8),
                "DISK_GB": HostStock(total=100, capacity=100, max_unit=100),
            },
        )
    return table


def composed(table: HostTable, *vendor: Any, refused: Any = None, **options: Any) -> Composed:
    filters = [Offered(spec) for spec in novakit_filters()]
    filters += [Offered(spec, VENDOR) for spec in vendor if isinstance(spec, FilterSpec)]
    weighers = [Offered(spec, "novakit-weighers") for spec in novakit_weighers()]
    weighers += [Offered(spec, VENDOR) for spec in vendor if isinstance(spec, WeigherSpec)]
    return compose(filters, weighers, table, PipelineOptions(**options), refused)


async def run(table: HostTable, *vendor: Any, request: Any = None, **options: Any) -> Outcome:
    return await composed(table, *vendor, **options).pipeline.run(table, request or ask())


def alive(table: HostTable, outcome: Outcome) -> list[str]:
    return [table.names[row] for row in np.flatnonzero(outcome.alive)]


def chosen(made: Composed) -> list[str]:
    """Name the filters in force, without those that are always."""
    return [step.name for step in made.pipeline.filters if not step.spec.always]


async def test_a_configured_list_keeps_what_users_are_promised() -> None:
    table = table_of([4096, 4096])
    outcome = await run(table, filters=["ram"], request=ask(excluded_hosts={"host0"}))
    assert alive(table, outcome) == ["host1"]
    assert alive(table, await run(table, filters=["ram"], request=ask(required_traits={"CUSTOM_X"}))) == []


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


async def test_unknown_scores_count_as_the_middle() -> None:
    table = table_of([4096] * 3)
    table.put(0, metric_watts=0.0)
    table.put(1, metric_watts=10.0)
    outcome = await run(table, weighers=["metrics"], weigher_options={"metrics": {"weights": {"watts": 1.0}}})
    assert outcome.ranking is not None
    assert outcome.ranking.total.tolist() == [0.0, 1.0, 0.5]


def test_old_names_work_and_the_warning_says_what_to_write() -> None:
    made = composed(
        HostTable(),
        filters=["RamFilter", "AggregateInstanceExtraSpecFilter", "nova.scheduler.filters.CoreFilter", "ram"],
        weighers=["RAMWeigher"],
    )
    assert chosen(made) == ["ram", "aggregate_instance_extra_specs", "core"]
    assert "[scheduler] filters names RamFilter; write ram instead" in made.warnings
    assert "[scheduler] filters names ram twice; once is enough" in made.warnings
    assert "[scheduler] weighers names RAMWeigher; write ram instead" in made.warnings


def test_a_misspelt_name_stops_the_start_and_lists_what_there_is() -> None:
    with pytest.raises(
        errors.ConfigError, match=r"rams, which no installed plugin offers; did it mean ram\? There are .*compute"
    ):
        composed(HostTable(), filters=["rams"])


def test_single_ones_are_switched_on_and_off_beside_the_list() -> None:
    switches = {"tenant_aggregate": {"enabled": True, "required": True}, "disk": {"enabled": False}}
    for listed in (None, ["ram", "disk"]):
        names = chosen(composed(HostTable(), filters=listed, filter_options=switches))
        assert "tenant_aggregate" in names and "ram" in names and "disk" not in names
    with pytest.raises(errors.ConfigError, match=r"\[filters.traits\] enabled is false, and users are promised"):
        composed(HostTable(), filter_options={"traits": {"enabled": False}})
    with pytest.raises(errors.ConfigError, match=r"\[weighers.ram\] multiplier takes a number, not 'high'"):
        composed(HostTable(), weigher_options={"ram": {"multiplier": "high"}})


def test_what_is_switched_on_and_not_there_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[filters.tenent_aggregate\] enabled = true.*mean tenant_aggregate"):
        composed(HostTable(), filter_options={"tenent_aggregate": {"enabled": True}})
    with pytest.raises(errors.ConfigError, match=r"\[weighers.colour\] enabled = true names colour"):
        composed(HostTable(), weigher_options={"colour": {"enabled": True}})
    assert composed(HostTable(), filter_options={"colour": {"enabled": False}}).warnings


def test_options_for_what_is_not_installed_stop_the_start() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[weighers.colour\] names colour, which no installed plugin offers"):
        composed(HostTable(), weigher_options={"colour": {"multiplier": 2.0}, "RAMWeigher": {"multiplier": 2.0}})


def test_options_that_may_be_of_a_plugin_out_of_service_are_warned_of() -> None:
    out = {"weigher": ["weighers:acme of acme 1 is disabled: Listed in [plugins] disabled."]}
    made = composed(HostTable(), weigher_options={"colour": {"multiplier": 2.0}}, refused=out)
    assert made.warnings == ["[weighers.colour] is for no weigher that is installed"]
    with pytest.raises(errors.ConfigError, match="did it mean ram"):
        composed(HostTable(), weigher_options={"rm": {"multiplier": 2.0}}, refused=out)


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(errors.ConfigError, match=r"\[filters.io_ops\] has no key .most.; it takes max_io_ops_per_host"):
        composed(HostTable(), filters=["io_ops"], filter_options={"io_ops": {"most": 3}})
    with pytest.raises(errors.ConfigError, match="placement_strategy is pile; it takes spread or stack"):
        composed(HostTable(), placement_strategy="pile")


def vendor(build: Callable[[Any], Any], **fields: Any) -> FilterSpec:
    return FilterSpec(name="acme", api=fields.pop("api", 1), build=build, **fields)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (vendor(lambda _: Even(), reads={"inlet_celsius"}), "reads inlet_celsius, which is not a host fact"),
        (vendor(lambda _: Even(), api=2), "speaks API 2; this novakit speaks 1"),
        (vendor(lambda _: 1 / 0), "could not be built: ZeroDivisionError"),
        (vendor(lambda _: object()), "has no method mask\\(\\) or passes\\(\\)"),
    ],
)
def test_a_named_filter_that_cannot_be_used_stops_the_start_with_the_reason(spec: FilterSpec, why: str) -> None:
    with pytest.raises(errors.ConfigError, match=f"{VENDOR}.* {why}.*novakit plugin list"):
        composed(HostTable(), spec, filters=["ram", "acme"])


def test_a_filter_that_is_switched_on_and_cannot_be_built_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match="filter acme is required and cannot be used"):
        composed(HostTable(), vendor(lambda _: object()), filter_options={"acme": {"enabled": True}})


def test_a_promised_filter_that_cannot_be_built_stops_the_start() -> None:
    with pytest.raises(errors.ConfigError, match="could not be built: ZeroDivisionError"):
        composed(HostTable(), vendor(lambda _: 1 / 0, always=True, default=True))


def test_a_filter_that_nobody_named_and_cannot_be_built_costs_only_itself() -> None:
    made = composed(HostTable(), vendor(lambda _: 1 / 0, default=True))
    assert "ram" in chosen(made) and "acme" not in chosen(made)
    assert made.faults.keys() == {"filter acme"}
    assert re.search(f"acme of {VENDOR} could not be built: ZeroDivisionError", made.faults["filter acme"])


def test_a_name_that_a_broken_plugin_may_offer_is_not_called_uninstalled() -> None:
    refused = {"filter": ["filters:acme of novakit-acme 1.0 is broken: it cannot be imported."]}
    with pytest.raises(errors.ConfigError) as told:
        compose(
            [Offered(spec) for spec in novakit_filters()],
            [],
            HostTable(),
            PipelineOptions(filters=["rams"]),
            refused,
        )
    assert "did it mean ram? Installed and not in service: filters:acme of novakit-acme 1.0" in told.value.message


@attrs.frozen
class Odd:
    """Refuses everybody, with a reason that says something strange."""

    said: Any

    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.zeros(hosts.size, np.bool_)

    def why(self, hosts: Any, ask: Any) -> Any:
        if isinstance(self.said, BaseException):
            raise self.said
        return [Reason(code="odd", count=hosts.size, **self.said)]


class CannotBeWritten:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"message": "are odd", "wanted": np.arange(3), "available": 10**30}, "are odd"),
        ({"message": "are odd", "available": {1: {2: {3: {4: {5: "deep"}}}}}, "wanted": object()}, "are odd"),
        ({"message": "a lone \ud800 surrogate", "remedy": "\0"}, "a lone ? surrogate"),
        ({"message": "m" * 100_000}, "m" * 500),
        ({"message": "are odd", "wanted": float("nan"), "available": set(range(1000))}, "are odd"),
        ({"message": "are odd", "wanted": CannotBeWritten()}, "did not pass the acme check"),
        ({"message": 7}, "did not pass the acme check"),
        (RuntimeError("no idea"), "did not pass the acme check"),
    ],
)
async def test_whatever_a_reason_says_can_be_stored_and_read(said: Any, message: str) -> None:
    spec = vendor(lambda _: Odd(said))
    table = table_of([4096])
    made = composed(table, spec, filters=["acme"])
    outcome = await made.pipeline.run(table, ask())
    decision = await record.compose(made.pipeline, table, ask(), outcome, "scheduler")
    assert message in decision.message
    assert orjson.loads(orjson.dumps(decision.record))["filters"][-1]["reasons"][0]["message"] == message
    assert len(orjson.dumps(decision.record)) < 20_000


@attrs.frozen
class Even:
    """Keep hosts with an even number."""

    def passes(self, host: Any, ask: Any) -> bool:
        return int(host.name.removeprefix("host")) % 2 == 0


async def test_a_host_filter_sees_only_what_the_others_left_over() -> None:
    seen: list[str] = []

    class Notes:
        def passes(self, host: Any, ask: Any) -> bool:
            seen.append((host.name, host.free_memory_mb, host.availability_zone))
            return True

    table = table_of([512, 4096, 8192])
    spec = vendor(lambda _: Notes(), reads={"free_memory_mb", "availability_zone"})
    outcome = await run(table, spec, filters=["acme", "ram"])
    assert seen == [("host1", 4096.0, "nova"), ("host2", 8192.0, "nova")]
    assert alive(table, outcome) == ["host1", "host2"]


class Raises:
    def mask(self, hosts: Any, ask: Any) -> Any:
        raise StopIteration("out of coffee")


class WrongShape:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return np.ones(1, np.bool_)


class WrongType:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("free_memory_mb")


class Writes:
    def mask(self, hosts: Any, ask: Any) -> Any:
        hosts.column("free_memory_mb")[:] = 0
        return np.zeros(hosts.size, np.bool_)


class ReadsMore:
    def mask(self, hosts: Any, ask: Any) -> Any:
        return hosts.column("used_memory_mb") >= 0


class SaysYes:
    def passes(self, host: Any, ask: Any) -> Any:
        return "yes"


@pytest.mark.parametrize("kind", [Raises, WrongShape, WrongType, Writes, ReadsMore, SaysYes])
@pytest.mark.parametrize("if_broken", list(IfBroken))
async def test_a_broken_filter_costs_only_itself(kind: type, if_broken: IfBroken) -> None:
    table = table_of([4096, 4096])
    spec = vendor(lambda _: kind(), reads={"free_memory_mb"}, if_broken=if_broken)
    outcome = await run(table, spec, filters=["compute", "acme", "ram"])
    assert table.column("free_memory_mb").tolist() == [4096, 4096]
    broken = next(stage for stage in outcome.stages if stage.name == "acme").broken
    assert f"acme of {VENDOR} failed" in broken
    if if_broken is IfBroken.SKIP:
        assert alive(table, outcome) == ["host0", "host1"]
    else:
        assert outcome.failed == broken
        assert alive(table, outcome) == []


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_a_filter_that_blocks_is_given_up_and_not_asked_again_while_it_blocks(gate: threading.Event) -> None:
    class Blocks:
        def passes(self, host: Any, ask: Any) -> bool:
            gate.wait(20)
            return True

    table = table_of([4096, 4096])
    spec = vendor(lambda _: Blocks(), if_broken=IfBroken.SKIP, within=0.05)
    made = composed(table, spec, filters=["acme", "ram"])
    first = await made.pipeline.run(table, ask())
    again = await made.pipeline.run(table, ask())
    assert "took longer than its 0.05 s" in first.stages[-1].broken
    assert "still has not returned" in again.stages[-1].broken
    assert alive(table, first) == alive(table, again) == ["host0", "host1"]


class Slow:
    """Lets every host pass after a moment."""

    def passes(self, host: Any, ask: Any) -> bool:
        time.sleep(0.02)
        return True


async def test_requests_and_dry_runs_that_need_a_slow_filter_at_once_take_turns() -> None:
    table = table_of([4096, 4096])
    made = composed(table, vendor(lambda _: Slow(), within=5.0), filters=["acme", "ram"])
    aside = made.pipeline.over(table.copy())
    outcomes = await asyncio.gather(*(each.run(table, ask()) for each in (made.pipeline, made.pipeline, aside)))
    assert [outcome.failed for outcome in outcomes] == ["", "", ""]
    assert [alive(table, outcome) for outcome in outcomes] == [["host0", "host1"]] * 3


async def test_a_dry_run_that_is_given_up_while_a_filter_looks_spoils_no_request() -> None:
    table = table_of([4096, 4096])
    made = composed(table, vendor(lambda _: Slow(), within=5.0), filters=["acme", "ram"])
    given_up = asyncio.create_task(made.pipeline.run(table, ask()))
    await asyncio.sleep(0.01)
    given_up.cancel()
    outcome = await made.pipeline.run(table, ask())
    assert outcome.failed == "" and alive(table, outcome) == ["host0", "host1"]


class BadScores:
    def score(self, hosts: Any, ask: Any) -> Any:
        return np.ones(99)


async def test_a_broken_weigher_is_left_out_of_the_weight() -> None:
    table = table_of([4096, 8192])
    spec = WeigherSpec(name="acme", api=1, build=lambda _: BadScores())
    outcome = await run(table, spec, weighers=["acme", "ram"])
    assert outcome.skipped_weighers == ["acme"]
    assert outcome.ranking is not None
    assert outcome.ranking.total.tolist() == [0.0, 1.0]


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
