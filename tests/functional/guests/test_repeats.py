"""Every call of a host that changes something may come twice: one after the other, or both at once.

The cases are made of the contract: a call that is new fails here until it is said how it is asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from novakit import world
from novakit.bus import READS
from novakit.bus.contract import key_of, methods_of
from novakit.calls.host import BuildPlan, GuestNote, HostCalls, ImageTarget, NetworksNote
from novakit.store import Store
from novakit_hookspecs.networks import Topology
from novakit_hookspecs.servers import GuestPlan, Power
from tests.functional.guests.cloud import Cloud

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


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[HostCalls, str]]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/cloud.db")
    await store.create_all()
    uploads, app = Uploads(), web.Application()
    app.router.add_put("/file", uploads.put)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Cloud.on(store, tmp_path, ["a"]) as cloud:
        yield cloud.parts.hosts.at("a"), f"http://127.0.0.1:{runner.addresses[0][1]}/file"
    await runner.cleanup()
    await store.close()


Ask = Callable[[HostCalls, str], Awaitable[Any]]
ORDER: Mapping[str, Ask] = {
    "apply_network": lambda host, url: host.apply_network(Topology(revision=1000)),
    "keep_note": lambda host, url: host.keep_note(NOTE),
    "keep_networks": lambda host, url: host.keep_networks(AROUND),
    "build": lambda host, url: host.build(OPERATION, PLAN),
    "set_power": lambda host, url: host.set_power(OPERATION, SERVER, Power.SHUTDOWN, 0.0),
    "snapshot": lambda host, url: host.snapshot(OPERATION, SERVER),
    "upload_snapshot": lambda host, url: host.upload_snapshot(OPERATION, SERVER, ImageTarget(url=url, ticket="a.b")),
    "discard_snapshot": lambda host, url: host.discard_snapshot(SERVER),
    "destroy": lambda host, url: host.destroy(SERVER),
}
"""How each call is asked for, in the order of a guest's life."""


def test_every_call_that_changes_something_is_tried() -> None:
    changing = {name for name, method in methods_of(HostCalls).items() if method.declared.repeat_by != READS}
    assert ORDER.keys() == changing


@pytest.mark.parametrize("name", ORDER)
async def test_the_same_call_again_has_the_same_end(host: tuple[HostCalls, str], name: str) -> None:
    calls, url = host
    for before, ask in ORDER.items():
        if before == name:
            break
        await ask(calls, url)
    first = await ORDER[name](calls, url)
    held = await calls.holdings()
    again = await ORDER[name](calls, url)
    both = await asyncio.gather(ORDER[name](calls, url), ORDER[name](calls, url))
    assert [again, *both] == [first] * 3
    assert await calls.holdings() == held


def test_two_calls_with_one_key_are_one_call() -> None:
    """The key that each call declares is in what it is asked with."""
    given: dict[str, dict[str, Any]] = {
        "apply_network": {"topology": Topology(revision=1000)},
        "keep_note": {"note": NOTE},
        "keep_networks": {"note": AROUND},
        "build": {"operation": OPERATION},
        "set_power": {"operation": OPERATION},
        "snapshot": {"operation": OPERATION},
        "upload_snapshot": {"operation": OPERATION},
        "discard_snapshot": {"server": SERVER},
        "destroy": {"server": SERVER},
    }
    found = {name: key_of(methods_of(HostCalls)[name], arguments) for name, arguments in given.items()}
    assert found.keys() == ORDER.keys() and all(found.values())
