"""Placements at once, and again."""

import asyncio
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import errors
from novakit.calls.scheduler import Earlier, Refusal, Selection
from novakit.scheduler import claims
from novakit.scheduler.choose import Chooser
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.picture.state import CloudState
from novakit.store.compute import hosts
from novakit.store.placement import allocations

OTHER = "0b0b0b0b-0000-4000-8000-000000000000"


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


async def test_a_server_that_takes_nothing_gets_a_host_and_leaves_no_claim(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    (found,) = await cloud.scheduler().select([make(resources={"VCPU": 0, "MEMORY_MB": 0, "DISK_GB": 0})])
    assert found.host == "host0", found
    assert await cloud.usage() == {"host0": 0}
    async with cloud.store.read() as session:
        assert await session.all(sa.select(allocations.consumers), of=sa.RowMapping) == []


async def test_asking_again_for_the_same_server_gives_the_same_host(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5)
    one = make()
    (first,) = await cloud.scheduler().select([one])
    (again,) = await cloud.scheduler().select([one])
    assert again.host == first.host
    assert sum((await cloud.usage()).values()) == 1024


async def test_a_new_server_is_placed_in_six_statements_and_one_that_has_a_claim_keeps_it(
    cloud: Any, make: Any
) -> None:
    await cloud.add_hosts(5)
    scheduler, asked = cloud.scheduler(), []
    await scheduler.select([make()])
    ask = make()
    scheduler.state.mark_stale()
    for _ in range(2):
        before = cloud.store.tally.statements
        (found,) = await scheduler.select([ask])
        asked.append((found.host, cloud.store.tally.statements - before))
    (first, statements), (again, _) = asked
    assert first == again and statements == 6
    assert sum((await cloud.usage()).values()) == 2048


@pytest.mark.parametrize("claimed", [1, 2, 4])
async def test_nobody_is_refused_for_the_room_that_one_with_a_claim_was_given_a_second_time(
    cloud: Any, make: Any, claimed: int
) -> None:
    # As after a crash between a claim and the note of it: all are asked about again, by a scheduler that was not there.
    await cloud.add_hosts(1, memory_mb=4096)
    asks = [make() for _ in range(6)]
    await cloud.scheduler().select(asks[:claimed])
    results = await cloud.scheduler().select(asks)
    assert len(placed(results)) == 4 and set((await cloud.usage()).values()) == {4096}
    assert {one.server_id for one in placed(results)} >= {one.server_id for one in asks[:claimed]}
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []


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


def after(first: Selection) -> dict[str, Earlier]:
    hosts = tuple(each.host for each in first.alternates)
    return {first.server_id: Earlier(decision_id=first.decision_id, hosts=hosts)}


async def test_when_a_host_failed_the_next_best_of_the_same_decision_is_taken(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(6)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    await scheduler.select([make(memory_mb=512, host=each.host) for each in first.alternates])
    again = make(server_id=one.server_id, excluded_hosts=[first.host])
    (second,) = await scheduler.select([again], earlier=after(first))
    assert second.host == first.alternates[0].host
    assert [each.host for each in second.alternates] == [each.host for each in first.alternates[1:]]
    latest = (await scheduler.decisions(server_id=one.server_id))[0]
    assert latest.next_best_of == first.decision_id and latest.host == second.host
    assert (await cloud.usage())[first.host] == 0


async def test_an_alternate_that_fits_no_more_is_passed_over(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5, memory_mb=4096)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    full, next_one, last = (each.host for each in first.alternates)
    await scheduler.select([make(memory_mb=4096, host=full)])
    (second,) = await scheduler.select(
        [make(server_id=one.server_id, excluded_hosts=[first.host])], earlier=after(first)
    )
    assert (second.host, [each.host for each in second.alternates]) == (next_one, [last])


async def test_without_an_alternate_that_fits_the_best_of_all_hosts_is_taken(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(5, memory_mb=4096)
    one, scheduler = make(), cloud.scheduler()
    (first,) = await scheduler.select([one])
    await scheduler.select([make(memory_mb=4096, host=each.host) for each in first.alternates])
    (second,) = await scheduler.select(
        [make(server_id=one.server_id, excluded_hosts=[first.host])], earlier=after(first)
    )
    assert second.host not in {first.host, *(each.host for each in first.alternates)}
    assert not (await scheduler.decisions(server_id=one.server_id))[0].next_best_of


def meanwhile(monkeypatch: Any, owner: Any, name: str, *work: Any, after: bool = False) -> None:
    """Let other things happen just before a method is called, or after: the first with its first call, and so on."""
    original, left = getattr(owner, name), list(work)

    async def called(*said: Any, **named: Any) -> Any:
        done = await original(*said, **named) if after else None
        if left:
            await left.pop(0)()
        return done if after else await original(*said, **named)

    monkeypatch.setattr(owner, name, called)


def other(cloud: Any, memory_mb: int, consumer: str = "") -> Any:
    """Give what lets another consumer hold so much of host0, as `PUT /allocations` does."""

    async def claim() -> None:
        async with cloud.store.write() as session:
            (row,) = await hosts.every(session)
            key = {"consumer_id": consumer or OTHER, "project_id": "p", "user_id": "u"}
            some = {row["provider_id"]: {"MEMORY_MB": memory_mb}} if memory_mb else {}
            assert await cloud.placement.claim(session, **key, allocations=some)

    return claim


async def test_the_only_host_is_tried_again_once_what_another_one_took_of_it_is_free(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    await scheduler.open()
    meanwhile(monkeypatch, Chooser, "choose", other(cloud, 4096), after=True)
    meanwhile(monkeypatch, CloudState, "reread", other(cloud, 1024))
    (found,) = await scheduler.select([make(memory_mb=3072)])
    assert isinstance(found, Selection) and found.host == "host0", found
    assert (await cloud.usage()) == {"host0": 4096} and scheduler.counts.conflicts == 1


async def test_a_host_that_another_one_took_for_good_is_refused_for_what_it_lacks(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    await scheduler.open()
    meanwhile(monkeypatch, Chooser, "choose", other(cloud, 4096), after=True)
    (found,) = await scheduler.select([make()])
    assert isinstance(found, Refusal) and "lack memory (wanted 1024 MiB, at most 0 free)" in found.message
    (told,) = await scheduler.decisions(server_id=found.server_id)
    assert [tried.host for tried in told.conflicts] == ["host0"]


async def test_a_host_that_is_taken_again_and_again_is_tried_so_many_times_and_no_more(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler(limits=SchedulerLimits(tries=4))
    await scheduler.open()
    meanwhile(monkeypatch, Chooser, "choose", *[other(cloud, 4096)] * 9, after=True)
    meanwhile(monkeypatch, CloudState, "reread", *[other(cloud, 0)] * 9)
    (found,) = await scheduler.select([make()])
    assert isinstance(found, Refusal) and "Other requests took the chosen host 4 times" in found.message
    assert scheduler.counts.conflicts == 4


async def test_what_another_one_changed_of_the_host_since_it_was_chosen_costs_no_try_where_there_is_room(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    await scheduler.open()
    meanwhile(monkeypatch, Chooser, "choose", other(cloud, 1024), after=True)
    (found,) = await scheduler.select([make()])
    assert isinstance(found, Selection) and scheduler.counts.conflicts == 0
    assert await cloud.usage() == {"host0": 2048}
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    assert scheduler.state.table.column("used_memory_mb").tolist() == [2048], "what is not as pictured is read"


async def test_a_server_that_another_scheduler_placed_since_a_host_was_chosen_keeps_that_ones_host(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(2)
    scheduler, ask = cloud.scheduler(), make(host="host0")
    await scheduler.open()

    async def place() -> None:
        await cloud.scheduler(name="other").select([attrs.evolve(ask, host="host1")])

    meanwhile(monkeypatch, Chooser, "choose", place, after=True)
    (found,) = await scheduler.select([ask])
    assert isinstance(found, Selection) and found.host == "host1"
    assert await cloud.usage() == {"host0": 0, "host1": 1024}
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []


@pytest.mark.parametrize("together", [1, 3])
async def test_a_server_whose_consumer_somebody_makes_at_the_same_moment_is_tried_again(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    if cloud.store.dialect != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    await cloud.add_hosts(1)
    scheduler, asks = cloud.scheduler(), [make() for _ in range(together)]
    monkeypatch.setattr(claims, "may_be_unread", lambda *_: False)
    meanwhile(monkeypatch, allocations, "lock_stock", other(cloud, 512, asks[0].server_id))
    found = await scheduler.select(asks)
    assert [one.host for one in placed(found)] == ["host0"] * together, found
    assert scheduler.counts.failed == 0 and scheduler.counts.conflicts == (1 if together == 1 else 0)
    async with cloud.store.read() as session:
        assert await cloud.placement.drift(session) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("way", "numbers"), [("claim", (2, 3, 1)), ("claim_unread", (2,))])
async def test_a_server_gets_no_host_of_the_rows_that_begin_anew_while_it_is_claimed(
    cloud: Any, make: Any, monkeypatch: Any, after: bool, way: str, numbers: tuple[int, ...]
) -> None:
    await cloud.add_hosts(4)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 3600
    await scheduler.open()
    async with cloud.store.write() as session:
        await session.execute(sa.delete(hosts.hosts).where(hosts.hosts.c.name == "host0"))

    async def look() -> None:
        scheduler.state.mark_stale()
        await scheduler.state.refresh()

    meanwhile(monkeypatch, claims, way, look, after=after)
    wanted = [f"host{number}" for number in numbers]
    found = await scheduler.select([make(host=host) for host in wanted])
    assert [one.host for one in placed(found)] == wanted, found
    others = dict.fromkeys(("host1", "host2", "host3"), 0)
    assert await cloud.usage() == others | dict.fromkeys(wanted, 1024)
    await look()
    table = scheduler.state.table
    counted = dict(zip(table.names, table.column("servers").tolist(), strict=True))
    assert counted == others | dict.fromkeys(wanted, 1)


async def test_what_collides_every_time_fails_after_so_many_tries(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "may_be_unread", lambda *_: False)
    await cloud.add_hosts(1)
    scheduler, tried = cloud.scheduler(limits=SchedulerLimits(tries=3)), []

    async def collide() -> None:
        tried.append(1)
        raise errors.Conflict("It was changed meanwhile.", kind="placement.concurrent_update")

    async def refuse() -> None:
        tried.append(1)
        raise errors.Conflict("It is another kind of conflict.")

    for works, times in (([collide] * 9, 3), ([refuse], 1)):
        tried.clear()
        with monkeypatch.context() as patched:
            meanwhile(patched, claims, "claim", *works)
            with pytest.raises(errors.Conflict):
                await scheduler.select([make()])
        assert len(tried) == times
    assert await cloud.usage() == {"host0": 0}
    (after,) = await scheduler.select([make()])
    assert isinstance(after, Selection)


async def test_a_host_that_a_server_of_the_same_batch_has_filled_is_no_next_best(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3, memory_mb=1024)
    found = await cloud.scheduler().select([make() for _ in range(3)])
    names = [one.host for one in found]
    assert sorted(names) == ["host0", "host1", "host2"]
    assert [{each.host for each in one.alternates} for one in found] == [{*names[1:]}, {names[2]}, set()]
