"""A plugin that decides in place of the filters and weighers: what it is given, and what its faults cost."""

import threading
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import pytest

from novakit import errors
from novakit.calls.decisions import DecisionReason
from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.record import compose as recorded
from novakit_filters import novakit_filters
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import GroupAsk, IfBroken, Reason
from novakit_hookspecs.testing.asks import ask
from novakit_weighers import novakit_weighers
from tests.support.patience import PATIENT


@pytest.fixture
def table() -> HostTable:
    """Five hosts: the third is disabled, the fourth full, and the first two have less room than the last."""
    made = HostTable()
    for index, free in enumerate((8192, 8192, 65536, 1024, 32768)):
        row = made.add(f"host{index}", f"provider{index}")
        facts = {"up": True, "enabled": index != 2, "availability_zone": "nova", "node": f"node{index}"}
        made.put(row, **facts, supported_instances=[])
        stocks = {"MEMORY_MB": free, "VCPU": 32, "DISK_GB": 100}
        made.set_stock(row, {name: HostStock(total=n, capacity=n, max_unit=n) for name, n in stocks.items()})
    return made


@attrs.define
class Says:
    """Gives numbers by host name, and remembers whom it was asked about."""

    numbers: Any
    seen: list[str] = attrs.field(factory=list)

    def rank(self, hosts: Any, ask: Any) -> Any:
        self.seen = list(hosts.names)
        return np.array([self.numbers.get(name, np.nan) for name in hosts.names], np.float64)

    def why(self, hosts: Any, ask: Any) -> Any:
        return [Reason(code="unloved", count=hosts.size, message="are not loved")]


def composed(table: HostTable, driver: Any, own: Any = None, **fields: Any) -> Composed:
    spec = SchedulerSpec(**{"name": "acme", "api": 1, "build": lambda _: driver, "within": PATIENT, **fields})
    return compose(
        [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
        [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()],
        table,
        PipelineOptions(driver_options={"acme": own or {}}),
        driver=Offered(spec, "novakit-acme"),
    )


async def decide(table: HostTable, driver: Any, request: Any = None, **fields: Any) -> Any:
    """Give the record of a decision, and the host that is best."""
    made, one = composed(table, driver, **fields), request or ask()
    outcome = await made.pipeline.run(table, one)
    decision = await recorded(made.pipeline, table, one, outcome, "test")
    best = outcome.ranking.best(1) if outcome.ranking else []
    return decision.record, table.names[int(outcome.ranking.rows[best[0]])] if outcome.ranking and best else None


async def test_it_decides_among_the_hosts_that_keep_what_users_are_promised(table: HostTable) -> None:
    says = Says({"host0": 1.0, "host1": 7.0, "host2": 99.0, "host3": 99.0})
    record, host = await decide(table, says)
    assert (host, says.seen) == ("host1", ["host0", "host1", "host4"])
    assert record.driver == "acme"
    assert [(one.host, one.total, one.by) for one in record.weights] == [
        ("host1", 7.0, {"acme": 7.0}),
        ("host0", 1.0, {"acme": 1.0}),
    ]
    stage = record.filters[-1]
    assert (stage.name, stage.before, stage.after) == ("acme", 3, 2)
    assert stage.reasons == (DecisionReason(code="unloved", count=1, message="are not loved"),)


async def test_the_rules_of_groups_hold_whatever_it_says(table: HostTable) -> None:
    group = GroupAsk(id="g", policy="anti-affinity", hosts={"host1": 1})
    _, host = await decide(table, Says({"host0": 1.0, "host1": 7.0}), ask(group=group))
    assert host == "host0"


async def test_when_it_refuses_every_host_the_record_says_why(table: HostTable) -> None:
    record, host = await decide(table, Says({}))
    assert host is None
    assert "3 are not loved" in record.message
    assert record.nearest.misses[0].filter == "acme"


async def test_a_forced_host_is_taken_without_asking_it(table: HostTable) -> None:
    says = Says({})
    _, host = await decide(table, says, ask(host="host4", force=True))
    assert (host, says.seen) == ("host4", [])


class Raises:
    def rank(self, hosts: Any, ask: Any) -> Any:
        raise OSError("the allocator is away")


class AnswersShort:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return np.zeros(1)


class WantsItAll:
    def rank(self, hosts: Any, ask: Any) -> Any:
        return np.full(hosts.size, np.inf)


FAULTS = [(Raises, "the allocator is away"), (AnswersShort, "one number for each of the 3"), (WantsItAll, "infinite")]


@pytest.mark.parametrize(("kind", "why"), FAULTS)
async def test_a_fault_fails_the_request_and_names_it(table: HostTable, kind: Any, why: str) -> None:
    record, host = await decide(table, kind())
    assert host is None
    assert "acme of novakit-acme failed" in record.failed and why in record.failed
    assert record.filters[-1].broken == record.failed
    assert not record.weights


@pytest.mark.parametrize(("kind", "why"), FAULTS)
async def test_one_that_may_be_skipped_leaves_the_decision_to_filters_and_weighers(
    table: HostTable, kind: Any, why: str
) -> None:
    record, host = await decide(table, kind(), if_broken=IfBroken.SKIP)
    assert host == "host4"
    names = [stage.name for stage in record.filters]
    assert {"image_properties", "different_host"} <= set(names[names.index("acme") :])
    assert why in record.filters[names.index("acme")].broken


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


async def test_one_that_blocks_is_given_up(table: HostTable, gate: threading.Event) -> None:
    class Blocks:
        def rank(self, hosts: Any, ask: Any) -> Any:
            gate.wait()
            return np.zeros(hosts.size)

    record, host = await decide(table, Blocks(), within=0.01)
    assert host is None and "took longer than its 0.01 s" in record.failed


async def test_what_it_writes_into_columns_is_seen_by_nobody(table: HostTable) -> None:
    class Scribbles:
        def rank(self, hosts: Any, ask: Any) -> Any:
            column = hosts.column("free_memory_mb")
            column.flags.writeable = True
            column[:] = 0
            return np.zeros(hosts.size)

    before = table.column("free_memory_mb").copy()
    _, host = await decide(table, Scribbles(), reads={"free_memory_mb"})
    assert host is not None
    assert np.array_equal(table.column("free_memory_mb"), before)


@pytest.mark.parametrize(
    ("fields", "own", "why"),
    [
        ({"build": lambda _: object()}, {}, r"has no method rank\(\)"),
        ({"build": lambda _: 1 / 0}, {}, "could not be built"),
        ({}, {"speed": 3}, r"\[schedulers.acme\] has 'speed', and it takes no options"),
    ],
)
def test_one_that_cannot_be_used_stops_the_start(table: HostTable, fields: Any, own: Any, why: str) -> None:
    with pytest.raises(errors.ConfigError, match=why):
        composed(table, Says({}), own, **fields)
