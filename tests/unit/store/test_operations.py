"""What is kept of what was done to a server."""

from pathlib import Path

import sqlalchemy as sa

from novakit import world
from novakit.store import operations
from tests.support.stores import sqlite_store


async def test_whoever_locks_and_unlocks_a_server_all_day_fills_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(operations, "MOST_OF_SERVER", 20)
    store = await sqlite_store(tmp_path / "x.db")
    busy, other, now = world.new_id(), world.new_id(), world.now()

    def row(server: str, kind: str, *, ended: bool = True) -> dict[str, object]:
        ids = {"project_id": "p", "user_id": "u", "request_id": "r"}
        finished = now if ended else None
        return {"id": world.new_id(), "kind": kind, "server_id": server, "finished_at": finished, **ids}

    async with store.write() as session:
        await operations.add(session, [row(busy, "create"), row(busy, "stop", ended=False), row(other, "create")])
        for number in range(50):
            await operations.add(session, [row(busy, f"lock{number}")])
            await operations.add(session, [row(other, "lock")] if number < 10 else [row(busy, "unlock")])
            await operations.trim(session, busy)
        kinds = list(
            await session.scalars(
                sa.select(operations.operations.c.kind).where(operations.operations.c.server_id == busy)
            )
        )
        others = await session.scalar(sa.select(sa.func.count()).where(operations.operations.c.server_id == other))
    assert {"create", "stop", "lock49"} <= set(kinds) and "lock0" not in kinds
    assert len(kinds) == 20 + 2 and others == 11
    await store.close()
