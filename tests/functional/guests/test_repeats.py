"""Every call of a host that changes something may come twice: one after the other, or both at once.

The cases are made of the contract: a call that is new fails here until it is said how it is asked for. What an agent
keeps in its memory, and what its methods guarantee when that is gone, are asked for separately.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web

from novakit import world
from novakit.bus import READS, RemoteRefused
from novakit.bus.contract import methods_of
from novakit.bus.repeats import named
from novakit.bus.topologies import NextTopology
from novakit.calls.host import BuildPlan, GuestNote, HostCalls, ImageTarget, NetworksNote
from novakit_hookspecs.networks import Topology
from novakit_hookspecs.servers import GuestPlan, Power
from tests.functional.guests.cloud import Cloud
from tests.functional.guests.test_abandoned import OLD, Shared, left
from tests.support.stores import sqlite_store

SERVER, OPERATION = world.new_id(), world.new_id()
PLAN = BuildPlan(guest=GuestPlan(id=SERVER, name="s", hostname="s", vcpus=1, memory_mb=64, root_gb=1))
AROUND = NetworksNote(version="1", text="{}", seal="0" * 64)
NOTE = GuestNote(server=SERVER, version="1", text="{}", seal="0" * 64)


class Uploads:
    """An image service that takes the first upload, and says of the second one that it has it."""

    def __init__(self) -> None:
        self.taken = 0

    async def put(self, request: web.Request) -> web.Response:
        await request.read()
        self.taken += 1
        return web.Response(status=204 if self.taken == 1 else 409)


@attrs.frozen
class Host:
    """What calls a host, and where its uploads go."""

    cloud: Cloud
    calls: HostCalls
    url: str
    uploads: Uploads

    async def restart(self) -> None:
        """Let the agent lose what it has in memory."""
        await self.cloud.stop_host("a")
        await self.cloud.start_host("a")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    store = await sqlite_store(tmp_path / "cloud.db")
    uploads, app = Uploads(), web.Application()
    app.router.add_put("/file", uploads.put)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Cloud.on(store, tmp_path, ["a"]) as cloud:
        wired = cloud.agents["a"].network
        cloud.agents["a"].network = Shared(wired, {OLD: left(OLD, ("bridge", "br-old"))})
        yield Host(cloud, cloud.parts.hosts.at("a"), f"http://127.0.0.1:{runner.addresses[0][1]}/file", uploads)
    await runner.cleanup()
    await store.close()


async def _next(host: HostCalls) -> Any:
    now = Topology(revision=1000)
    return await host.change_network(NextTopology((await host.apply_network(now)).mark, now, now))


Ask = Callable[[HostCalls, str], Awaitable[Any]]
ORDER: Mapping[str, Ask] = {
    "apply_network": lambda host, url: host.apply_network(Topology(revision=1000)),
    "change_network": lambda host, url: _next(host),
    "keep_note": lambda host, url: host.keep_note(NOTE),
    "keep_networks": lambda host, url: host.keep_networks(AROUND),
    "build": lambda host, url: host.build(OPERATION, PLAN),
    "set_power": lambda host, url: host.set_power(OPERATION, SERVER, Power.SHUTDOWN, 0.0),
    "snapshot": lambda host, url: host.snapshot(OPERATION, SERVER),
    "upload_snapshot": lambda host, url: host.upload_snapshot(OPERATION, SERVER, ImageTarget(url=url, ticket="a.b")),
    "discard_snapshot": lambda host, url: host.discard_snapshot(SERVER),
    "remove_remains": lambda host, url: host.remove_remains(OPERATION),
    "destroy": lambda host, url: host.destroy(SERVER),
    "remove_abandoned": lambda host, url: host.remove_abandoned(OLD),
}
"""How each call is asked for, in the order of a guest's life."""


def test_every_call_that_changes_something_is_tried() -> None:
    changing = {name for name, method in methods_of(HostCalls).items() if method.declared.repeat_by != READS}
    assert ORDER.keys() == changing


@pytest.mark.parametrize("name", ORDER)
@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "after a restart"])
async def test_the_same_call_again_has_the_same_end(host: Host, name: str, is_restarted: bool) -> None:
    for before, ask in ORDER.items():
        if before == name:
            break
        await ask(host.calls, host.url)
    first = await ORDER[name](host.calls, host.url)
    held = await host.calls.holdings()
    if is_restarted:
        await host.restart()
    again = await ORDER[name](host.calls, host.url)
    both = await asyncio.gather(*(ORDER[name](host.calls, host.url) for _ in range(2)))
    assert [again, *both] == [first] * 3
    assert await host.calls.holdings() == held


async def test_a_copy_that_is_asked_for_twice_at_once_is_sent_once(host: Host) -> None:
    """The first of two removes the file when it has sent it, which the other one must not be about to open."""
    await host.calls.build(OPERATION, PLAN)
    await host.calls.set_power(OPERATION, SERVER, Power.SHUTDOWN, 0.0)
    await host.calls.snapshot(OPERATION, SERVER)
    assert await asyncio.gather(*(ORDER["upload_snapshot"](host.calls, host.url) for _ in range(5))) == [None] * 5
    assert host.uploads.taken == 1


async def test_a_guest_that_was_destroyed_is_built_again_by_the_same_call(host: Host) -> None:
    await host.calls.build(OPERATION, PLAN)
    await host.calls.destroy(SERVER)
    assert not await host.cloud.guests("a")
    await host.calls.build(OPERATION, PLAN)
    assert await host.cloud.guests("a") == {SERVER}


async def test_a_power_state_that_was_left_since_is_brought_back_by_the_same_call(host: Host) -> None:
    await host.calls.build(OPERATION, PLAN)
    await host.calls.set_power(OPERATION, SERVER, Power.SHUTDOWN, 0.0)
    await host.calls.set_power("another", SERVER, Power.RUNNING, 0.0)
    assert (await host.calls.set_power(OPERATION, SERVER, Power.SHUTDOWN, 0.0)).power is Power.SHUTDOWN
    (guest,) = (await host.calls.holdings()).guests
    assert guest.power is Power.SHUTDOWN


async def test_a_guest_that_became_a_server_is_not_taken_for_the_one_that_was_built(host: Host) -> None:
    """An older store may ask for the build again; the answer of the first one is not that of now."""
    await host.calls.build(OPERATION, PLAN)
    await host.calls.keep_note(NOTE)
    with pytest.raises(RemoteRefused, match="already has a finished guest"):
        await host.calls.build(OPERATION, PLAN)


def test_two_calls_with_one_key_are_one_call() -> None:
    """The key that each call declares is in what it is asked with."""
    given: dict[str, dict[str, Any]] = {
        "apply_network": {"topology": Topology(revision=1000)},
        "change_network": {"change": NextTopology("mark", Topology(revision=999), Topology(revision=1000))},
        "keep_note": {"note": NOTE},
        "keep_networks": {"note": AROUND},
        "build": {"operation": OPERATION, "plan": PLAN},
        "set_power": {"operation": OPERATION, "server": SERVER, "to": Power.SHUTDOWN},
        "snapshot": {"operation": OPERATION, "server": SERVER},
        "upload_snapshot": {"operation": OPERATION, "server": SERVER},
        "discard_snapshot": {"server": SERVER},
        "remove_remains": {"server": SERVER},
        "destroy": {"server": SERVER},
        "remove_abandoned": {"owner": OLD},
    }
    assert given.keys() == ORDER.keys()
    around = {"apply_network", "change_network", "keep_networks", "remove_abandoned"}
    for name, arguments in given.items():
        repeat = methods_of(HostCalls)[name].declared.repeat_by
        assert repeat.by and all(named(path, arguments) is not None for path in repeat.by), name
        subject = named(repeat.about, arguments) if repeat.about else None
        assert subject == (None if name in around else SERVER), name
