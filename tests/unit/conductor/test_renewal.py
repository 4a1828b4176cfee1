"""When notes that are behind are written again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from novakit.calls.host import GuestNote
from novakit.conductor.guests import renewal
from tests.functional.guests.cloud import Cloud
from tests.support.stores import sqlite_store

WITHIN = 20
"""Seconds that a test waits at most."""


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await sqlite_store(tmp_path / "cloud.db")
    async with Cloud.on(store, tmp_path, ["a"]) as cloud:
        await cloud.begin()
        yield cloud
    await store.close()


async def test_a_host_is_known_before_its_notes_that_are_behind_are_written(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, written = await cloud.create("a"), asyncio.Event()
    kept = cloud.agents["a"].notes_kept
    keep = type(kept).keep

    async def slow(self: object, note: GuestNote) -> None:
        await written.wait()
        await keep(kept, note)

    monkeypatch.setattr(type(kept), "keep", slow)
    async with asyncio.timeout(WITHIN):
        await cloud.agents["a"]._report(started=True)
    assert kept.version(server) == "", "the note is that of the build, and behind"
    written.set()
    await cloud.noted(server)


async def test_what_changes_is_noted_before_what_was_behind_in_a_report(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "TOGETHER", 1)
    monkeypatch.setattr(renewal.Paced, "poke", lambda self: None)  # rounds begin when the test says so
    servers = [await cloud.create("a", f"s{number}") for number in range(4)]
    kept, order = cloud.agents["a"].notes_kept, []
    keep = type(kept).keep

    async def told(self: object, note: GuestNote) -> None:
        order.append(note.server)
        await keep(kept, note)

    monkeypatch.setattr(type(kept), "keep", told)
    await cloud.agents["a"]._report(started=False)
    notes = cloud.conductor.reports.renewal
    notes.changed([servers[2]])
    for _ in servers:
        await notes.write()
    assert order[0] == servers[2] and sorted(order) == sorted(servers), "each is written once"
