"""The picture follows what becomes of hosts."""

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import pytest
import sqlalchemy as sa

from novakit import world
from novakit.calls.scheduler import Refusal, Selection
from novakit.scheduler import claims
from novakit.scheduler.tries import Waiting
from novakit.store import Session
from novakit.store.compute import aggregates, hosts, servers
from novakit.store.scheduler import picture
from novakit.store.scheduler.activity import COUNTED
from novakit_hookspecs.columns import of_class


def placed(results: list[Any]) -> list[Selection]:
    return [one for one in results if isinstance(one, Selection)]


def refused(results: list[Any]) -> list[Refusal]:
    return [one for one in results if isinstance(one, Refusal)]


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


async def test_all_that_it_is_time_to_look_at_is_one_statement(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    clock = Clock()
    with world.using(clock):
        (one,) = await scheduler.select([make()])
        row = scheduler.state.table.row(one.host)
        assert scheduler.state.table.column("io_ops")[row] == 1
        # What was claimed since the first look is one's own.
        await scheduler.state.refresh()
        clock.at += 59
        async with cloud.store.write() as session:
            await hosts.seen(session, ["host0"], world.now() + timedelta(seconds=59))
        await scheduler.state.refresh()
        clock.at += 10
        before = cloud.store.tally.statements
        await scheduler.state.refresh()
        assert cloud.store.tally.statements == before + 1
        assert scheduler.state.table.column("up").tolist() == [True, False]
        assert scheduler.state.table.column("io_ops")[row] == 0  # nothing says for a minute that it is there


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


def counted(scheduler: Any) -> dict[str, int]:
    """Give the memory (MiB) that the picture counts as used, by host."""
    return dict(
        zip(scheduler.state.table.names, scheduler.state.table.column(of_class("used", "MEMORY_MB")), strict=True)
    )


async def test_what_was_claimed_here_is_counted_and_not_read_again(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    await scheduler.open()
    reads = scheduler.state.stock_reads
    for _ in range(3):
        placed(await scheduler.select([make(), make()]))
    await scheduler.state.refresh()
    assert scheduler.state.stock_reads == reads
    assert counted(scheduler) == await cloud.usage() and sum(counted(scheduler).values()) == 6 * 1024
    assert sum(scheduler.state.table.column("servers")) == 6


async def test_what_others_do_to_a_host_is_read_before_and_after_ones_own_claim(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1, memory_mb=8192)
    scheduler, other = cloud.scheduler(), cloud.scheduler(name="other")
    for one in (scheduler, other):
        one.state.refresh_every = 3600
        await one.open()
    await other.select([make()])
    await scheduler.select([make()])  # which does not look, so its picture lacks what the other one claimed
    assert counted(scheduler) == {"host0": 1024}
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    assert counted(scheduler) == {"host0": 2048}
    (mine,) = await scheduler.select([make()])
    async with cloud.store.write() as session:
        await cloud.placement.release(session, mine.server_id)
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    assert counted(scheduler) == await cloud.usage() == {"host0": 2048}


async def test_what_a_server_gives_back_that_is_placed_elsewhere_is_read(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2)
    scheduler, ask = cloud.scheduler(), make()
    (left,) = await scheduler.select([ask])
    (found,) = await scheduler.select([attrs.evolve(ask, excluded_hosts=frozenset({left.host}))])
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    assert counted(scheduler) == await cloud.usage() == {left.host: 0, found.host: 1024}


async def test_whatever_a_look_asks_for_it_is_one_statement_and_nothing_else_is_read(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(2)
    now, id = world.now(), world.new_id()
    one = {"id": id, "project_id": "p", "user_id": "u", "name": "s", "hostname": "s", "vm_state": "active"}
    one |= {"vcpus": 1, "memory_mb": 1, "reservation_id": "r-1", "created_at": now, "updated_at": now}
    one |= {"host": "host0", "task_state": "spawning", "flavor": {"name": "m1"}, "image_properties": {"os": "x"}}
    async with cloud.store.write() as session:
        await servers.add(session, [one])
    asked, told, rows = set(), set(), Session.rows

    async def noted(self: Session, statement: Any, values: Any = None) -> Any:
        asked.add(statement)
        found = await rows(self, statement, values)
        told.update(row[0] for row in found)
        return found

    monkeypatch.setattr(Session, "rows", noted)
    always, of_servers = {"hosts", "host_change", "aggregate_change", "ledger"}, {*COUNTED, "written"}
    async with cloud.store.read() as session:
        for signs in (False, True):
            for counts in (False, True):
                told.clear()
                ways = {"signs": signs, "facts": frozenset(COUNTED), "counts": counts, "placed": [id]}
                found = await picture.news(session, 0, **ways)
                assert told == always | ({"sign"} if signs else set()) | (of_servers if counts else set())
                assert (found.signs is not None, found.activity is not None) == (signs, counts)
    assert len(asked) == 1


async def test_a_claim_that_a_look_has_dropped_from_the_picture_is_read(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(1)
    scheduler = cloud.scheduler()
    state = scheduler.state
    state.refresh_every = 3600
    await scheduler.open()
    ask, reads = make(), state.stock_reads
    waiting = Waiting(ask, asyncio.get_running_loop().create_future(), ask)
    tries, _ = await scheduler.chooser.choose([waiting])
    await state.reread([0])  # as a look does that comes between the decision and the claim
    async with cloud.store.write() as session:
        assert await claims.claim(session, state, [waiting], tries, reads) == (tries, {})
    assert counted(scheduler) == {"host0": 0}
    state.mark_stale()
    await state.refresh()
    assert counted(scheduler) == {"host0": 1024}


async def test_a_claim_that_was_counted_while_a_look_read_what_was_there_before_it_is_read(
    cloud: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add_hosts(1)
    scheduler, ask = cloud.scheduler(), make()
    state = scheduler.state
    state.refresh_every = 3600
    await scheduler.open()
    await cloud.scheduler(name="other").select([make()])
    has_read, goes_on, servers_on = asyncio.Event(), asyncio.Event(), picture.servers_on

    async def slow(*given: Any) -> Any:
        found = await servers_on(*given)
        has_read.set()
        await goes_on.wait()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(picture, "servers_on", slow)
        state.mark_stale()
        looking = asyncio.create_task(state.refresh())
        await has_read.wait()
        reads, waiting = state.stock_reads, Waiting(ask, asyncio.get_running_loop().create_future(), ask)
        tries, _ = await scheduler.chooser.choose([waiting])
        goes_on.set()
        await looking
    async with cloud.store.write() as session:
        assert await claims.claim(session, state, [waiting], tries, reads) == (tries, {})
    state.mark_stale()
    await state.refresh()
    assert counted(scheduler) == await cloud.usage() == {"host0": 2048}


async def test_a_claim_that_a_look_has_dropped_from_the_picture_is_not_taken_back_from_it_for_good(
    cloud: Any, make: Any
) -> None:
    await cloud.add_hosts(1)
    scheduler, ask = cloud.scheduler(), make()
    await scheduler.open()
    tries, _ = await scheduler.chooser.choose([Waiting(ask, asyncio.get_running_loop().create_future(), ask)])
    await cloud.scheduler(name="other").select([make()])
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    scheduler.chooser.take_back(tries)
    await scheduler.state.refresh()
    assert counted(scheduler) == await cloud.usage() == {"host0": 1024}
    before = cloud.store.tally.statements
    scheduler.state.mark_stale()
    await scheduler.state.refresh()
    assert cloud.store.tally.statements == before + 1, "what was read once in doubt is doubted no more"


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
    assert scheduler.measures().filters["type_affinity"].removed == 2
