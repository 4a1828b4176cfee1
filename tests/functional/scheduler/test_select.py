"""Choosing and claiming against a real ledger."""

import asyncio
from collections import Counter
from typing import Any

import sqlalchemy as sa

from novakit import errors, world
from novakit.calls.scheduler import Earlier, Refusal, Selection
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.service import build
from novakit.store.compute import hosts
from novakit.store.scheduler import decisions
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import FilterSpec
from tests.support.patience import PATIENT


def placed(results: list[Any]) -> list[Selection]:
    return [one for one in results if isinstance(one, Selection)]


def refused(results: list[Any]) -> list[Refusal]:
    return [one for one in results if isinstance(one, Refusal)]


async def test_a_batch_spreads_and_gives_alternates(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(8)
    results = await cloud.scheduler().select([make() for _ in range(16)])
    assert set(Counter(one.host for one in results).values()) == {2}
    assert all(len(one.alternates) == 3 and one.host not in {a.host for a in one.alternates} for one in results)


def after(first: Selection) -> dict[str, Earlier]:
    hosts = tuple(each.host for each in first.alternates)
    return {first.server_id: Earlier(decision_id=first.decision_id, hosts=hosts)}


async def test_a_batch_stacks_when_told_to(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(8)
    results = await cloud.scheduler(weighers=["ram"], placement_strategy="stack").select([make() for _ in range(8)])
    assert sorted(Counter(one.host for one in results).values()) == [4, 4]


async def test_a_forced_host_is_taken_without_asking_and_claimed_all_the_same(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    async with cloud.store.write() as session:
        await hosts.decide(session, "host1", enabled=False)
    (forced,) = await cloud.scheduler().select([make(host="host1", force=True)])
    (asked,) = await cloud.scheduler().select([make(host="host1")])
    assert forced.host == "host1" and isinstance(asked, Refusal)
    assert (await cloud.usage())["host1"] == 1024


async def test_the_record_says_how_and_why(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(4)
    async with cloud.store.write() as session:
        await hosts.decide(session, "host3", enabled=False)
    scheduler = cloud.scheduler()
    (chosen,) = await scheduler.select([make(required_traits=["CUSTOM_EVEN"])])
    (record,) = await scheduler.decisions(server_id=chosen.server_id)
    assert record.id == chosen.decision_id
    assert (record.outcome, record.host, record.hosts) == ("placed", chosen.host, 4)
    stages = {stage.name: stage for stage in record.filters}
    assert (stages["compute"].before, stages["compute"].after) == (4, 3)
    assert stages["traits"].reasons[0].message == "lack the trait CUSTOM_EVEN"
    assert {one.host for one in record.weights} == {"host0", "host2"}


async def test_a_refusal_names_the_nearest_miss_to_the_operator_alone(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, memory_mb=2048)
    await cloud.add_hosts(1, memory_mb=3072, start=2)
    scheduler = cloud.scheduler()
    (none,) = await scheduler.select([make(memory_mb=4096)])
    assert none.message == (
        "No valid host was found. 3 hosts looked at: 3 lack memory (wanted 4096 MiB, at most 3072 free)."
    )
    larger = "a largest unit of 4096 MiB memory instead of 3072"
    assert none.detail.endswith(f"Nearest: host2; it would fit if: 1024 MiB more memory free and {larger}.")
    (record,) = await scheduler.decisions(server_id=none.server_id)
    assert record.nearest.host == "host2"


async def test_a_dry_run_answers_as_the_hosts_are_at_that_moment(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    assert len((await scheduler.dry_run(make())).weights) == 2
    async with cloud.store.write() as session:
        for number in range(2):
            await hosts.decide(session, f"host{number}", enabled=False)
    scheduler.state.mark_stale()
    assert "2 disabled" in (await scheduler.dry_run(make())).message


async def test_a_filter_that_was_repaired_is_believed_in_the_next_dry_run(cloud: Any, make: Any) -> None:
    class Rack:
        broken = False

        def passes(self, host: Any, ask: Any) -> bool:
            if self.broken:
                raise OSError("no rack list")
            return True

    rack = Rack()
    await cloud.add_hosts(2)
    spec = FilterSpec(name="rack", api=1, build=lambda _: rack, within=PATIENT)
    offered = [Offered(spec, "novakit-acme") for spec in (*novakit_filters(), spec)]
    scheduler, _ = build(cloud.store, cloud.placement, offered, [], options=PipelineOptions(filters=["rack"]))
    for broken in (False, True, False):
        rack.broken = broken
        record = await scheduler.dry_run(make())
        assert bool(record.failed) == broken
        assert bool(record.message) == broken


async def test_a_dry_run_claims_and_stores_nothing(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    record = await scheduler.dry_run(make())
    assert {one.host for one in record.weights} == {"host0", "host1"}
    assert sum((await cloud.usage()).values()) == 0
    async with cloud.store.read() as session:
        assert await decisions.some(session) == []


async def test_hints_reach_only_servers_of_the_same_project(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    (mine,) = await scheduler.select([make()])
    (near,) = await scheduler.select([make(hints={"same_host": [mine.server_id]})])
    (foreign,) = await scheduler.select([make(project_id="other", hints={"same_host": [mine.server_id]})])
    assert near.host == mine.host
    assert isinstance(foreign, Refusal)


async def test_one_bad_request_does_not_spoil_its_batch(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    bad = scheduler.select([make(hints={"same_host": [world.new_id() for _ in range(300)]})])
    good = scheduler.select([make()])
    outcomes = await asyncio.gather(bad, good, return_exceptions=True)
    assert isinstance(outcomes[0], errors.BadRequest)
    assert isinstance(outcomes[1], list) and isinstance(outcomes[1][0], Selection)


async def test_what_a_filter_removes_counts_once_for_each_decision(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    for number in (1, 2):
        (refused,) = await scheduler.select([make(memory_mb=99999)])
        assert isinstance(refused, Refusal)
        assert scheduler.measures().filters["ram"].removed == 3 * number
    await scheduler.dry_run(make(memory_mb=99999))
    assert scheduler.measures().filters["ram"].removed == 6


async def test_a_hosts_flavors_count_from_the_claim_on(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler(filters=["type_affinity"])
    results = await scheduler.select([make(flavor_name=name, memory_mb=64) for name in ("m1", "m1", "big")])
    assert [isinstance(one, Selection) for one in results] == [True, True, False]
    assert "hold servers of other flavors" in results[2].message


async def test_a_host_that_goes_away_while_others_are_refused_mixes_nothing_up(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    await scheduler.open()
    scheduler.state.refresh_every = 3600
    async with cloud.store.write() as session:
        await session.execute(sa.delete(hosts.hosts).where(hosts.hosts.c.name == "host0"))
    results = await scheduler.select([make(host="host2"), make(memory_mb=99999), make(host="host1")])
    assert [one.host for one in placed(results)] == ["host2", "host1"]
    assert "2 hosts looked at" in refused(results)[0].message
    assert await cloud.usage() == {"host1": 1024, "host2": 1024}
