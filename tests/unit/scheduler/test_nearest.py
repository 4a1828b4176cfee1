"""The nearest miss: no host lacks less, and with what it is said to lack it takes the server."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline import record
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.pipeline import Outcome, Pipeline
from novakit.scheduler.pipeline.steps import reasons
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import Aggregate, Ask, FilterSpec, Reason
from tests.support.examples import examples
from tests.support.patience import PATIENT

TRAITS = ("CUSTOM_A", "CUSTOM_B", "CUSTOM_C")
FILTERS = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]
ZONES = ("nova", "north", "south")
CLASSES = {
    "memory_mb": "MEMORY_MB",
    "vcpus": "VCPU",
    "disk_gb": "DISK_GB",
    "acme": "CUSTOM_ACME",
    "bolt": "CUSTOM_BOLT",
}
LIMITS = {"io_ops": 2, "num_instances": 3}


@attrs.frozen
class Host:
    """One host as a test may change it."""

    free: Mapping[str, int]
    used: Mapping[str, int]
    max_unit: Mapping[str, int]
    traits: frozenset[str]
    metadata: Mapping[str, str]
    """Of an aggregate that has this host alone."""
    zone: str
    servers: int
    io_ops: int
    enabled: bool
    up: bool


@attrs.define
class Cloud:
    """Hosts, and limits that hold for all of them."""

    hosts: list[Host]
    limits: dict[str, int] = attrs.field(factory=lambda: dict(LIMITS))

    def built(self) -> tuple[Pipeline, HostTable]:
        table = HostTable()
        sets = []
        for number, host in enumerate(self.hosts):
            row = table.add(f"host{number}", f"provider{number}")
            table.put(row, node=f"node{number}", up=host.up, enabled=host.enabled, availability_zone=host.zone)
            stock = {}
            for name, each in CLASSES.items():
                capacity = host.free[name] + host.used[name]
                stock[each] = HostStock(
                    total=capacity, capacity=capacity, used=host.used[name], max_unit=host.max_unit.get(name, 2**31)
                )
            table.set_stock(row, stock)
            table.put(row, servers=host.servers, io_ops=host.io_ops)
            table.set_traits(row, host.traits)
            metadata = dict(host.metadata) | ({"availability_zone": host.zone} if host.zone != "nova" else {})
            sets.append((Aggregate(id=number + 1, name=f"set{number}", metadata=metadata), [f"host{number}"]))
        table.set_aggregates(sets)
        switched: dict[str, dict[str, Any]] = {
            "io_ops": {"enabled": True, "max_io_ops_per_host": self.limits["io_ops"]},
            "num_instances": {"enabled": True, "max_instances_per_host": self.limits["num_instances"]},
            "aggregate_instance_extra_specs": {"enabled": True},
        }
        options = PipelineOptions(filter_options=switched)
        return compose(FILTERS, [], table, options).pipeline, table

    async def outcome(self, ask: Ask) -> tuple[Pipeline, HostTable, Outcome]:
        pipeline, table = self.built()
        return pipeline, table, await pipeline.run(table, ask)

    def mended(self, place: int, remedy: str, *, by: int = 0) -> "Cloud":
        """Do to a host what a remedy says, `by` less where it is a number."""
        host, limits = self.hosts[place], dict(self.limits)
        for part in remedy.split(" and "):
            if match := re.fullmatch(r"(\d+)(?: MiB| GiB)? more (.+) free", part):
                name = {"memory": "memory_mb", "virtual CPUs": "vcpus", "disk": "disk_gb"}.get(match[2])
                name = name or match[2].removeprefix("CUSTOM_").lower()
                host = attrs.evolve(host, free={**host.free, name: host.free[name] + int(match[1]) - by})
            elif match := re.fullmatch(r"a largest unit of (\d+)(?: MiB| GiB)? (.+) instead of \d+", part):
                name = {"memory": "memory_mb", "virtual CPUs": "vcpus", "disk": "disk_gb"}[match[2]]
                host = attrs.evolve(host, max_unit={**host.max_unit, name: int(match[1]) - by})
            elif match := re.fullmatch(r"the trait (\w+)", part):
                host = attrs.evolve(host, traits=host.traits | {match[1]})
            elif match := re.fullmatch(r"no trait (\w+)", part):
                host = attrs.evolve(host, traits=host.traits - {match[1]})
            elif match := re.fullmatch(r"aggregate metadata (\w+) = (\w+)", part):
                host = attrs.evolve(host, metadata={**host.metadata, match[1]: match[2]})
            elif match := re.fullmatch(
                r"a place in an aggregate of the zone (\w+)(?: instead of its own zone's)?", part
            ):
                host = attrs.evolve(host, zone=match[1])
            elif part == "a place in no aggregate of another zone":
                host = attrs.evolve(host, zone="nova")
            elif part == "the host enabled again":
                host = attrs.evolve(host, enabled=True)
            elif part == "its agent reporting again, or forced_down taken back":
                host = attrs.evolve(host, up=True)
            elif match := re.fullmatch(r"a max_(\w+)_per_host of (\d+) instead of \d+, or (\d+) \w+ fewer", part):
                limits["num_instances" if match[1] == "instances" else match[1]] = int(match[2]) - by
            else:
                raise AssertionError(f"nobody knows how to do this: {part}")
        return Cloud([*self.hosts[:place], host, *self.hosts[place + 1 :]], limits)


amounts = st.fixed_dictionaries({name: st.integers(-3, 12) for name in CLASSES})
hosts = st.builds(
    Host,
    free=amounts,
    used=st.fixed_dictionaries({name: st.integers(3, 6) for name in CLASSES}),
    max_unit=st.fixed_dictionaries({name: st.integers(1, 12) for name in ("memory_mb", "vcpus", "disk_gb")}),
    traits=st.frozensets(st.sampled_from(TRAITS)),
    metadata=st.dictionaries(st.sampled_from(("ssd", "rack")), st.sampled_from(("true", "false")), max_size=2),
    zone=st.sampled_from(ZONES),
    servers=st.integers(0, 5),
    io_ops=st.integers(0, 4),
    enabled=st.booleans(),
    up=st.booleans(),
)
requests = st.fixed_dictionaries(
    {
        "resources": st.fixed_dictionaries({each: st.integers(0, 9) for each in CLASSES.values()}),
        "required_traits": st.lists(st.sampled_from(TRAITS[:2]), unique=True),
        "forbidden_traits": st.lists(st.sampled_from(TRAITS[2:]), unique=True),
        "availability_zone": st.none() | st.sampled_from(ZONES),
        "extra_specs": st.dictionaries(st.sampled_from(("ssd", "rack")), st.just("true"), max_size=2),
    }
)
several = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@several
@given(st.lists(hosts, min_size=1, max_size=8), requests)
def test_a_host_that_is_given_what_it_lacks_takes_the_server_and_with_less_it_does_not(
    some: list[Host], body: dict[str, Any]
) -> None:
    asyncio.run(_mend(Cloud(some), from_plain({"server_id": "s", **body})))


async def _mend(cloud: Cloud, ask: Ask) -> None:
    pipeline, table, outcome = await cloud.outcome(ask)
    if outcome.ranking is not None:
        return
    told = await record.nearest(pipeline, table, ask, outcome)
    assert told is not None
    place = cast(int, table.row(told.host))

    async def takes(but: str = "") -> bool:
        """Mend the host, by one less where the filter `but` names a number."""
        mended = cloud
        for miss in told.misses:
            mended = mended.mended(place, miss.remedy, by=int(miss.filter == but))
        _, _, after = await mended.outcome(ask)
        return bool(after.alive[place])

    assert await takes(), told
    for miss in told.misses:
        if re.search(r"\d", miss.remedy):
            assert not await takes(miss.filter), told


@several
@given(st.lists(hosts, min_size=1, max_size=40), requests)
def test_no_host_lacks_less_than_the_nearest(some: list[Host], body: dict[str, Any]) -> None:
    asyncio.run(_compare(Cloud(some), from_plain({"server_id": "s", **body})))


async def _compare(cloud: Cloud, ask: Ask) -> None:
    pipeline, table, outcome = await cloud.outcome(ask)
    if outcome.ranking is not None:
        return
    told = await record.nearest(pipeline, table, ask, outcome)
    assert told is not None
    off = [await distance(pipeline, ask, row, table.size) for row in range(table.size)]
    assert off[cast(int, table.row(told.host))] == pytest.approx(min(off))


async def distance(pipeline: Pipeline, ask: Ask, row: int, size: int) -> tuple[int, float]:
    """Look at one host alone: how many filters refuse it, and how far it is off by what they say together."""
    refused, total = 0, 0.0
    for step in pipeline.filters:
        if not step.skips(ask) and not (await pipeline.mask(step, ask, np.ones(size, np.bool_)))[row]:
            refused += 1
            total += sum(reason.shortfall for reason in await reasons(step, np.array([row], np.intp), ask))
    return refused, total


@attrs.frozen
class Cautious:
    """A filter of the simple form."""

    word: str

    def passes(self, host: Any, ask: Ask) -> bool:
        return not host.node.endswith(self.word)

    def why(self, hosts: Any, ask: Ask) -> Sequence[Reason]:
        return [Reason(code=f"is_{self.word}", count=hosts.size, message="is so", remedy=f"no {self.word}")]


async def misses(names: Sequence[str], ask: Ask, **facts: Any) -> list[str]:
    table = HostTable()
    for number, name in enumerate(names):
        table.put(table.add(name, f"p{number}"), node=name, **{"up": True, "enabled": True, **facts})
    own = [
        Offered(
            FilterSpec(name=word, api=1, build=lambda _, word=word: Cautious(word), reads={"node"}, within=PATIENT),
            "novakit-acme",
        )
        for word in ("red", "blue")
    ]
    filters = list(FILTERS)
    pipeline = compose([*filters, *own], [], table, PipelineOptions(filters=["compute", "red", "blue"])).pipeline
    told = await record.nearest(pipeline, table, ask, await pipeline.run(table, ask))
    assert told is not None
    return [miss.filter for miss in told.misses]


async def test_of_the_simple_filters_those_that_refuse_the_nearest_host_are_told_and_no_other() -> None:
    ask = from_plain({"server_id": "s"})
    assert await misses(["a-red"], ask) == ["red"]
    assert await misses(["a-blue"], ask) == ["blue"]
    assert await misses(["a-blue"], ask, enabled=False) == ["compute", "blue"]


async def test_a_forced_host_that_does_not_exist_is_missed_for_its_name_alone() -> None:
    ask = from_plain({"server_id": "s", "host": "nowhere", "force": True})
    assert await misses(["a-red", "b-blue"], ask, enabled=False) == ["requested_host"]


async def test_the_nearest_of_thousands_is_found_among_them_all() -> None:
    table = HostTable()
    for number in range(5000):
        row = table.add(f"host{number}", f"p{number}")
        table.put(row, node=f"n{number}", up=True, enabled=True, availability_zone="nova")
        free = 1023 if number == 4321 else number % 1000
        table.set_stock(row, {"MEMORY_MB": HostStock(total=free, capacity=free, max_unit=4096)})
    pipeline = compose(FILTERS, [], table, PipelineOptions()).pipeline
    ask = from_plain({"server_id": "s", "resources": {"MEMORY_MB": 1024}})
    told = await record.nearest(pipeline, table, ask, await pipeline.run(table, ask))
    assert told is not None
    assert (told.host, [miss.remedy for miss in told.misses]) == ("host4321", ["1 MiB more memory free"])
