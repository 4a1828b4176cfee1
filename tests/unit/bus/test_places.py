"""However many compute hosts ask however much, an honest one waits for few others, and few calls are at work."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from novakit.bus import BusError, MemoryBus
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.bus.places import BURST, FRAME, HOST_AT_WORK, HOSTS_AT_WORK, PACE, HostPace, HostPlaces
from tests.functional.roles.intruder import Intruder

ROGUES, CALLS = 12, 60


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[LocalHub]:
    made = LocalHub(MemoryBus(), tmp_path / "bus.sock", Enrolments(tmp_path))
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def joined(directory: Path, *names: str) -> AsyncIterator[Sequence[Intruder]]:
    async with AsyncExitStack() as stack:
        made = [
            await stack.enter_async_context(Intruder.joined(directory, f"agent:{name}", f"agent:{name}"))
            for name in names
        ]
        for each in made:
            assert (await each.read())["t"] == "welcome"
        yield made


def _flood(rogues: Sequence[Intruder], *methods: str) -> None:
    for number in range(CALLS):
        for rogue in rogues:
            method = methods[number % len(methods)]
            rogue.send(t="call", id=1000 + number, target="conductor", method=method, body={}, within=3600)


async def test_an_honest_host_waits_for_a_turn_among_hosts_and_not_among_calls(tmp_path: Path, hub: LocalHub) -> None:
    order: list[str] = []
    at_work, most = {"all": 0}, {"all": 0}

    async def metadata(message: Any) -> str:
        order.append(message.sender)
        for name in ("all", message.sender):
            at_work[name] = at_work.get(name, 0) + 1
            most[name] = max(most.get(name, 0), at_work[name])
        await asyncio.sleep(0.001)
        for name in ("all", message.sender):
            at_work[name] -= 1
        return "told"

    hub.bus.join("conductor").serve("conductor", {"metadata": metadata})
    async with joined(tmp_path, "honest", *(f"h{number}" for number in range(ROGUES))) as (honest, *rogues):
        _flood(rogues, "metadata")
        while len(order) < HOSTS_AT_WORK * 2:
            await asyncio.sleep(0)
        for _ in range(3):
            before = len(order)
            assert (await honest.call("conductor", "metadata", {}))["ok"] == "told"
            mine = order.index("agent:honest", before)
            assert mine - before <= ROGUES + 3 * HOSTS_AT_WORK, "of hundreds that wait a few came first"
        for rogue in rogues:
            assert {(await rogue.read())["ok"] for _ in range(CALLS)} == {"told"}
    assert len(order) == ROGUES * CALLS + 3
    assert most.pop("all") == HOSTS_AT_WORK and max(most.values()) <= HOST_AT_WORK


async def test_whoever_is_asked_in_return_and_answers_late_keeps_no_place(tmp_path: Path, hub: LocalHub) -> None:
    conductor, asked = hub.bus.join("conductor"), 0

    async def report(message: Any) -> str:
        nonlocal asked
        if message.sender == "agent:honest":
            return "taken"
        asked += 1
        try:
            await conductor.call(f"agent.{message.sender.partition(':')[2]}", "notes", {}, within=3600)
        except BusError:
            return "gone"
        return "answered"

    conductor.serve("conductor", {"report_host": report})
    async with joined(tmp_path, "honest", *(f"h{number}" for number in range(ROGUES))) as (honest, *rogues):
        for number, rogue in enumerate(rogues):
            rogue.send(t="serve", target=f"agent.h{number}", methods=["notes"])
        _flood(rogues, "report_host")
        async with asyncio.timeout(20):
            while asked < ROGUES * HOST_AT_WORK:  # more than there are places: each has given its own up
                await asyncio.sleep(0)
        for _ in range(20):
            assert (await honest.call("conductor", "report_host", {}))["ok"] == "taken"


async def test_methods_that_nobody_serves_have_one_count_and_keep_no_other_waiting(
    tmp_path: Path, hub: LocalHub
) -> None:
    async def heartbeat(message: Any) -> str:
        return "heard"

    hub.bus.join("conductor").serve("conductor", {"heartbeat": heartbeat})
    async with joined(tmp_path, "honest", "h0") as (honest, rogue):
        _flood([rogue], *(f"made up {number}" for number in range(CALLS)))
        assert (await honest.call("conductor", "heartbeat", {}))["ok"] == "heard"
        assert {(await rogue.read())["kind"] for _ in range(CALLS)} == {"NotFound"}
    assert set(hub._places._shares) == {"", "heartbeat"}


def test_a_host_sends_a_burst_at_once_and_then_at_its_pace() -> None:
    pace, message = HostPace(), (16 << 20) - FRAME
    assert all(pace.add(message, 100.0) <= 0 for _ in range(BURST // (16 << 20)))
    assert pace.add(message, 100.0) == pytest.approx((16 << 20) / PACE)
    assert pace.add(0, 100.0 + 2 * (16 << 20) / PACE) <= 0, "who has waited may go on"
    slow = HostPace()
    assert slow.add(BURST - FRAME, 100.0) <= 0
    assert slow.add(message, 100.0, PACE / 4) == pytest.approx(4 * (16 << 20) / PACE), "less where many are ahead"


def test_the_shortest_messages_are_counted_for_the_time_that_they_cost() -> None:
    pace = HostPace()
    assert all(pace.add(20, 100.0) <= 0 for _ in range(4000))
    assert sum(pace.add(20, 100.0) > 0 for _ in range(200)) > 100


async def test_others_go_on_between_two_messages_of_a_host() -> None:
    """What is in the buffer is read without waiting, and there may be hundreds in it."""
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    waiting = asyncio.create_task(other())
    await HostPlaces(4).sent(HostPace(), 20)
    assert ran == ["other"]
    await waiting
