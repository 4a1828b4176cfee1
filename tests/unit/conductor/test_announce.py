import asyncio

import pytest

from novakit import world
from novakit.conductor.announce import Announcer
from novakit.conductor.verbs import VERBS
from novakit.conductor.work import Memory, Work
from novakit.plughost.offers import GROUPS, Listening, Plugin
from novakit.store import Store, tables  # noqa: F401
from novakit.store.compute import servers
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store

ID = "0b3cf1a2-1111-4222-8333-444455556666"


@pytest.fixture
async def store(tmp_path):
    store = await sqlite_store(tmp_path / "x.db")
    now = world.now()
    row = {
        "id": ID, "project_id": "p", "user_id": "u", "name": "s", "hostname": "s", "vm_state": "active", "host": "h1",
        "flavor": FLAVOR, "vcpus": 1, "memory_mb": 1, "reservation_id": "r", "created_at": now, "updated_at": now,
    }  # fmt: skip
    async with store.write() as session:
        await servers.add(session, [row])
    yield store
    await store.close()


def listening(function):
    return Listening(Plugin(group=GROUPS["observers"], name="watcher"), function, ("event",))


def work(kind):
    return Work(
        id=world.new_id(), kind=kind, moves=VERBS[kind].moves, server_id=ID, project_id="p", user_id="u",
        request_id="req-1", attempt=1, memory=Memory(), events=[],
    )  # fmt: skip


async def test_observers_hear_everything_in_order_and_a_broken_one_costs_only_itself(store):
    heard = asyncio.Queue()

    async def listens(event):
        await heard.put((event.event, event.status, event.host, event.request_id))

    def breaks(event):
        raise RuntimeError("broken observer")

    announcer = Announcer(store, [listening(breaks), listening(listens)])
    announcer.start()
    for kind, state in (("create", "begun"), ("create", "done"), ("stop", "failed"), ("delete", "cancelled")):
        announcer.note(work(kind), state)
    async with asyncio.timeout(10):
        told = [await heard.get() for _ in range(3)]
    await announcer.stop()
    assert told == [(event, "ACTIVE", "h1", "req-1") for event in ("create.start", "create.end", "stop.error")]
    assert heard.empty()
