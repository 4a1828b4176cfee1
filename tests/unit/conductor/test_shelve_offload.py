"""Offloading a shelved server while somebody sets its state."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from novakit import world
from novakit.conductor.parts import Parts
from novakit.conductor.verbs import shelve_offload
from novakit.conductor.work import Memory, Work
from novakit.store import Session
from novakit.store.compute import servers
from tests.support.rows import FLAVOR
from tests.support.stores import sqlite_store


@pytest.mark.parametrize(
    ("set_to", "then"),
    [
        (("shelved", "shelving_offloading"), ("shelved_offloaded", None)),
        (("active", None), ("shelved_offloaded", None)),
        (("active", "powering-off"), ("shelved_offloaded", None)),
        (("error", None), ("error", None)),
        (("active", "deleting"), ("active", "deleting")),
    ],
)
async def test_an_offloaded_server_is_on_no_host_whatever_state_somebody_has_set_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, set_to: tuple[str, str | None], then: tuple[str, str | None]
) -> None:
    cleared, released, now, server = [], [], world.now(), world.new_id()
    row: dict[str, object] = {"id": server, "project_id": "p", "user_id": "u", "name": "s", "hostname": "s"}
    row |= {"vm_state": set_to[0], "task_state": set_to[1], "flavor": FLAVOR, "vcpus": 1, "memory_mb": 1, "host": "a"}
    row |= {"reservation_id": "r-1", "created_at": now, "updated_at": now, "node": "a", "availability_zone": "nova"}

    async def clear_host(parts: Parts, server_id: str, host: str) -> None:
        cleared.append((server_id, host))

    async def release(session: Session, consumer: str) -> None:
        released.append(consumer)

    monkeypatch.setattr(shelve_offload, "clear_host", clear_host)
    parts = cast(Parts, SimpleNamespace(placement=SimpleNamespace(release=release)))
    ids: dict[str, Any] = dict.fromkeys(("id", "kind", "project_id", "user_id", "request_id"), "x")
    work = Work(**ids, server_id=server, moves=(), attempt=1, memory=Memory(host="a"), events=[])
    store = await sqlite_store(tmp_path / "offloads.db")
    async with store.write() as session:
        await servers.add(session, [row])
    commit = await shelve_offload.offload(work, parts)
    async with store.write() as session:
        await commit(session)
        shown = await servers.server(session, server)
    await store.close()
    assert shown is not None and (shown["vm_state"], shown["task_state"]) == then
    assert (shown["host"], shown["node"], shown["availability_zone"]) == (None, None, None)
    assert cleared == [(server, "a")] and released == [server]
