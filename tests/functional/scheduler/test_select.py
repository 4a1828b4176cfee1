"""Choosing and claiming against a real ledger."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import errors, world
from novakit.calls.scheduler import Earlier, Refusal, Selection
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.service import build
from novakit.store.compute import aggregates, hosts, servers
from novakit.store.scheduler import decisions
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import FilterSpec


def placed(results: list[Any]) -> list[Selection]:
    return [one for one in results if isinstance(one, Selection)]


def refused(results: list[Any]) -> list[Refusal]:
    return [one for one in results if isinstance(one, Refusal)]


async def test_fifty_concurrent_requests_never_overfill_a_host(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(10, memory_mb=4096)
    scheduler = cloud.scheduler()
    results = [one for (one,) in await asyncio.gather(*(scheduler.select([make()]) for _ in range(50)))]
    assert len(placed(results)) == 40
    assert all("lack memory (wanted 1024 MiB, at most 0 free)" in one.message for one in refused(results))
    assert set((await cloud.usage()).values()) == {4096}


async def test_several_schedulers_at_once_place_everything_and_overfill_nothing(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(10, memory_mb=4096)
    schedulers = [cloud.scheduler(name=f"s{number}") for number in range(4)]
    for scheduler in schedulers:
        await scheduler.open()
    asked = (schedulers[number % 4].select([make()]) for number in range(60))
    results = [one for (one,) in await asyncio.gather(*asked)]
    assert len(placed(results)) == 40
    assert set((await cloud.usage()).values()) == {4096}
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []


async def test_asking_again_for_the_same_server_gives_the_same_host(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5)
    one = make()
    (first,) = await cloud.scheduler().select([one])
    (again,) = await cloud.scheduler().select([one])
    assert again.host == first.host
    assert sum((await cloud.usage()).values()) == 1024


async def test_several_schedulers_asked_for_the_same_servers_at_once_give_each_one_host(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(10, memory_mb=8192)
    schedulers = [cloud.scheduler(name=f"s{number}") for number in range(4)]
    for scheduler in schedulers:
        await scheduler.open()
    asks = [make(flavor_name=str(number)) for number in range(40)]
    answers = await asyncio.gather(*(scheduler.select([one]) for one in asks for scheduler in schedulers))
    hosts_of: dict[str, set[str]] = {}
    for (one,) in answers:
        hosts_of.setdefault(one.server_id, set()).add(one.host)
    assert [found for found in hosts_of.values() if len(found) != 1] == []
    assert sum((await cloud.usage()).values()) == 40 * 1024


async def test_several_schedulers_fill_many_hosts_to_the_last_place_with_few_tries(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(24, memory_mb=16384, vcpus=64)
    schedulers = [cloud.scheduler(name=f"s{number}") for number in range(3)]
    for scheduler in schedulers:
        await scheduler.open()
    turn = asyncio.Semaphore(60)

    async def place(number: int) -> Any:
        async with turn:
            (answer,) = await schedulers[number % 3].select([make(flavor_name=str(number))])
        return answer

    results = await asyncio.gather(*(place(number) for number in range(24 * 16)))
    assert [one.message for one in refused(results)] == []
    assert set((await cloud.usage()).values()) == {16384}
    assert sum(scheduler.counts.conflicts for scheduler in schedulers) <= 24 * 16 / 4


async def test_nothing_is_claimed_for_a_call_that_was_given_up(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    await scheduler.open()
    async with cloud.store.write():
        kept, given_up = (asyncio.ensure_future(scheduler.select([make()])) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
    ((placed_one,),) = [await kept]
    assert isinstance(placed_one, Selection)
    assert sum((await cloud.usage()).values()) == 1024


async def test_a_server_that_fills_its_host_is_still_found_there(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=1024)
    one = make()
    scheduler = cloud.scheduler()
    (first,) = await scheduler.select([one])
    (again,) = await scheduler.select([one])
    assert first.host == again.host == "host0"


async def test_an_excluded_host_is_left_and_its_claim_moves_with_the_server(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    one = make()
    scheduler = cloud.scheduler()
    (first,) = await scheduler.select([one])
    (second,) = await scheduler.select([make(server_id=one.server_id, excluded_hosts=[first.host])])
    assert second.host != first.host
    assert (await cloud.usage())[first.host] == 0


async def test_a_batch_spreads_and_gives_alternates(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(8)
    results = await cloud.scheduler().select([make() for _ in range(16)])
    assert set(Counter(one.host for one in results).values()) == {2}
    assert all(len(one.alternates) == 3 and one.host not in {a["host"] for a in one.alternates} for one in results)


def after(first: Selection) -> dict[str, Earlier]:
    hosts = tuple(each["host"] for each in first.alternates)
    return {first.server_id: Earlier(decision_id=first.decision_id, hosts=hosts)}


async def test_when_a_host_failed_the_next_best_of_the_same_decision_is_taken(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(6)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    await scheduler.select([make(memory_mb=512, host=each["host"]) for each in first.alternates])
    again = make(server_id=one.server_id, excluded_hosts=[first.host])
    (second,) = await scheduler.select([again], earlier=after(first))
    assert second.host == first.alternates[0]["host"]
    assert [each["host"] for each in second.alternates] == [each["host"] for each in first.alternates[1:]]
    latest = (await scheduler.decisions(server_id=one.server_id))[0]
    assert latest["next_best_of"] == first.decision_id and latest["host"] == second.host
    assert (await cloud.usage())[first.host] == 0


async def test_an_alternate_that_fits_no_more_is_passed_over(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5, memory_mb=4096)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    full, next_one, last = (each["host"] for each in first.alternates)
    await scheduler.select([make(memory_mb=4096, host=full)])
    (second,) = await scheduler.select(
        [make(server_id=one.server_id, excluded_hosts=[first.host])], earlier=after(first)
    )
    assert (second.host, [each["host"] for each in second.alternates]) == (next_one, [last])


async def test_without_an_alternate_that_fits_the_best_of_all_hosts_is_taken(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5, memory_mb=4096)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    await scheduler.select([make(memory_mb=4096, host=each["host"]) for each in first.alternates])
    (second,) = await scheduler.select(
        [make(server_id=one.server_id, excluded_hosts=[first.host])], earlier=after(first)
    )
    assert second.host not in {first.host, *(each["host"] for each in first.alternates)}
    assert "next_best_of" not in (await scheduler.decisions(server_id=one.server_id))[0]


async def test_a_batch_stacks_when_told_to(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(8)
    results = await cloud.scheduler(weighers=["ram"], placement_strategy="stack").select([make() for _ in range(8)])
    assert sorted(Counter(one.host for one in results).values()) == [4, 4]


@pytest.mark.parametrize("together", [True, False])
async def test_anti_affinity_never_puts_two_on_a_host(cloud: Any, make: Any, together: bool) -> None:
    await cloud.add_hosts(5)
    ids = [world.new_id() for _ in range(8)]
    group = await cloud.group("anti-affinity", ids)
    asks = [make(server_id=server, group=group) for server in ids]
    schedulers = [cloud.scheduler() for _ in range(1 if together else 4)]
    if together:
        results = await schedulers[0].select(asks)
    else:
        work = (schedulers[number % 4].select([one]) for number, one in enumerate(asks))
        results = [one for (one,) in await asyncio.gather(*work)]
    assert sorted(one.host for one in placed(results)) == [f"host{number}" for number in range(5)]
    assert len(refused(results)) == 3
    assert "hold servers of the same group already" in refused(results)[0].message


async def test_affinity_keeps_a_group_together_and_soft_policies_bend(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(4, memory_mb=3072)
    for policy, expected in (("affinity", [3]), ("soft-affinity", [1, 3]), ("soft-anti-affinity", [1, 1, 1, 1])):
        ids = [world.new_id() for _ in range(4)]
        group = await cloud.group(policy, ids)
        scheduler = cloud.scheduler()
        results = await scheduler.select([make(server_id=server, group=group) for server in ids])
        assert sorted(Counter(one.host for one in placed(results)).values()) == expected, policy
        async with cloud.store.write() as session:
            await cloud.placement.release_many(session, ids)


async def test_the_most_per_host_holds_for_each_policy_under_concurrency(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3, memory_mb=16384)
    for policy, most in (("anti-affinity", 6), ("affinity", 2), ("soft-anti-affinity", 6), ("soft-affinity", 6)):
        ids = [world.new_id() for _ in range(9)]
        group = await cloud.group(policy, ids, max_server_per_host=2)
        schedulers = [cloud.scheduler() for _ in range(3)]
        work = (schedulers[n % 3].select([make(server_id=server, group=group)]) for n, server in enumerate(ids))
        results = [one for (one,) in await asyncio.gather(*work)]
        counts = Counter(one.host for one in placed(results))
        assert max(counts.values()) <= 2, policy
        assert sum(counts.values()) == most, policy


async def test_a_host_that_appears_is_disabled_or_falls_silent_is_noticed(cloud: Any, make: Any) -> None:
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    (none,) = await scheduler.select([make()])
    assert none.message == "No valid host was found. There are no compute hosts yet."
    await cloud.add_hosts(2)
    (first,) = await scheduler.select([make(host="host0")])
    assert first.host == "host0"
    async with cloud.store.write() as session:
        await hosts.decide(session, "host0", enabled=False, disabled_reason="new fan")
    (second,) = await scheduler.select([make(host="host0")])
    assert "1 disabled" in second.message
    assert "new fan" in second.detail and "new fan" not in second.message
    async with cloud.store.write() as session:
        await hosts.seen(session, ["host1"], world.now() - timedelta(seconds=120))
    scheduler.state._liveness_at = -1e9
    (third,) = await scheduler.select([make()])
    assert "1 down" in third.message


@attrs.define
class Clock(world.SystemWorld):
    """A clock that stands still until it is set."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at


async def test_a_change_without_an_event_is_noticed_when_it_is_time_to_look(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 30.0
    clock = Clock()
    with world.using(clock):
        assert (await scheduler.select([make()]))[0].host == "host0"
        looked = scheduler.state.refreshes
        async with cloud.store.write() as session:
            await hosts.decide(session, "host0", enabled=False, disabled_reason="new fan")
        clock.at += 29.9
        assert (await scheduler.select([make()]))[0].host == "host0"
        assert scheduler.state.refreshes == looked
        clock.at += 0.2
        (refused,) = await scheduler.select([make()])
        assert "1 disabled" in refused.message
        assert scheduler.state.refreshes == looked + 1


async def test_nobody_is_refused_on_an_old_picture(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=1024)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 3600
    (first,) = await scheduler.select([make()])
    async with cloud.store.write() as session:
        await cloud.placement.release(session, first.server_id)
    (second,) = await scheduler.select([make()])
    assert second.host == "host0"
    await cloud.add_hosts(1, memory_mb=1024, start=1)
    assert (await scheduler.select([make()]))[0].host == "host1"


async def test_hosts_that_report_again_after_a_pause_are_used_at_once(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    clock = Clock()
    with world.using(clock):
        await scheduler.open()
        clock.at += 600
        (none,) = await scheduler.select([make()])
        assert "2 down" in none.message
        async with cloud.store.write() as session:
            await hosts.seen(session, ["host1"], world.now())
        (back,) = await scheduler.select([make()])
        assert back.host == "host1"


async def test_a_host_that_goes_away_is_forgotten(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    await scheduler.select([make()])
    async with cloud.store.write() as session:
        await session.execute(sa.delete(hosts.hosts).where(hosts.hosts.c.name == "host1"))
    results = await scheduler.select([make() for _ in range(8)])
    assert {one.host for one in placed(results)} == {"host0", "host2"}


async def test_zones_come_from_aggregates_and_follow_their_changes(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    async with cloud.store.write() as session:
        made = await aggregates.add(session, "rack", {"availability_zone": "zone-a"})
        await aggregates.add_host(session, made["id"], "host1")
    (inside,) = await scheduler.select([make(availability_zone="zone-a")])
    (other,) = await scheduler.select([make(availability_zone="nova")])
    assert inside.host == "host1" and other.host != "host1"
    async with cloud.store.write() as session:
        await aggregates.remove(session, made["id"])
    (gone,) = await scheduler.select([make(availability_zone="zone-a")])
    assert "3 not in the availability zone zone-a" in gone.message


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
    assert record["id"] == chosen.decision_id
    assert (record["outcome"], record["host"], record["hosts"]) == ("placed", chosen.host, 4)
    stages = {stage["name"]: stage for stage in record["filters"]}
    assert (stages["compute"]["before"], stages["compute"]["after"]) == (4, 3)
    assert stages["traits"]["reasons"][0]["message"] == "lack the trait CUSTOM_EVEN"
    assert {one["host"] for one in record["weights"]} == {"host0", "host2"}


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
    assert record["nearest"]["host"] == "host2"


async def test_a_dry_run_answers_as_the_hosts_are_at_that_moment(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    assert len((await scheduler.dry_run(make()))["weights"]) == 2
    async with cloud.store.write() as session:
        for number in range(2):
            await hosts.decide(session, f"host{number}", enabled=False)
    scheduler.state.mark_stale()
    assert "2 disabled" in (await scheduler.dry_run(make()))["message"]


async def test_a_filter_that_was_repaired_is_believed_in_the_next_dry_run(cloud: Any, make: Any) -> None:
    class Rack:
        broken = False

        def passes(self, host: Any, ask: Any) -> bool:
            if self.broken:
                raise OSError("no rack list")
            return True

    rack = Rack()
    await cloud.add_hosts(2)
    spec = FilterSpec(name="rack", api=1, build=lambda _: rack)
    offered = [Offered(spec, "novakit-acme") for spec in (*novakit_filters(), spec)]
    scheduler, _ = build(cloud.store, cloud.placement, offered, [], options=PipelineOptions(filters=["rack"]))
    for broken in (False, True, False):
        rack.broken = broken
        record = await scheduler.dry_run(make())
        assert ("failed" in record) == broken
        assert bool(record["message"]) == broken


async def test_a_dry_run_claims_and_stores_nothing(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    record = await scheduler.dry_run(make())
    assert {one["host"] for one in record["weights"]} == {"host0", "host1"}
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


async def test_decisions_are_kept_in_bounds(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler(limits=SchedulerLimits(keep_decisions=5))
    for _ in range(3):
        await scheduler.select([make(memory_mb=99999) for _ in range(10)])
    await scheduler._prune(1000)
    async with cloud.store.read() as session:
        assert len(await decisions.some(session)) == 5


async def test_what_goes_on_on_the_hosts_is_followed(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    now = world.now()
    async with cloud.store.write() as session:
        common = {"project_id": "p", "user_id": "u", "name": "s", "hostname": "s", "vm_state": "active"}
        common |= {"vcpus": 1, "memory_mb": 1, "reservation_id": "r-1", "created_at": now, "updated_at": now}
        rows = [
            {"host": "host0", "task_state": "spawning", "flavor": {"name": "big"}, "image_properties": {"os": "x"}},
            {"host": "host0", "task_state": None, "flavor": {"name": "m1"}, "image_properties": {"os": "x"}},
            {"host": "host1", "task_state": None, "flavor": {"name": "m1"}, "image_properties": {}},
        ]
        await servers.add(session, [{"id": world.new_id(), **common, **row} for row in rows])
    scheduler = cloud.scheduler(filters=["type_affinity"], weighers=["image_properties", "io_ops", "build_failure"])
    await scheduler.open()
    table = scheduler.state.table
    assert table.column("io_ops").tolist() == [1, 0, 0]
    assert table.column("flavors").tolist() == [{"big": 1, "m1": 1}, {"m1": 1}, None]
    assert table.column("image_properties").tolist() == [{"os=x": 2}, {}, None]
    (one,) = await scheduler.select([make(image={"id": "", "properties": {"os": "x"}})])
    assert one.host in ("host1", "host2")
    row = table.row(one.host)
    assert table.column("io_ops")[row] == 1
    scheduler.state.build_ended(one.host, worked=False)
    assert table.column("io_ops")[row] == 0, "what ended is not under way until the next look at the servers"
    assert (await scheduler.select([make()]))[0].host != one.host
    scheduler.state.build_ended(one.host, worked=True)
    assert scheduler.measures()["filters"]["type_affinity"]["removed"] == 2


async def test_what_a_filter_removes_counts_once_for_each_decision(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    scheduler = cloud.scheduler()
    for number in (1, 2):
        (refused,) = await scheduler.select([make(memory_mb=99999)])
        assert isinstance(refused, Refusal)
        assert scheduler.measures()["filters"]["ram"]["removed"] == 3 * number
    await scheduler.dry_run(make(memory_mb=99999))
    assert scheduler.measures()["filters"]["ram"]["removed"] == 6


async def test_a_hosts_flavors_count_from_the_claim_on(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler(filters=["type_affinity"])
    results = await scheduler.select([make(flavor_name=name, memory_mb=64) for name in ("m1", "m1", "big")])
    assert [isinstance(one, Selection) for one in results] == [True, True, False]
    assert "hold servers of other flavors" in results[2].message


async def test_a_request_that_cannot_be_recorded_fails_alone(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    poison = make(hints={"query": object()})
    outcomes = await asyncio.gather(
        scheduler.select([make()]), scheduler.select([poison]), scheduler.select([make()]), return_exceptions=True
    )
    assert [isinstance(one, list) for one in outcomes] == [True, False, True]
    assert sum((await cloud.usage()).values()) == 2048


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
