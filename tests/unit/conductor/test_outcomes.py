"""What operations come to, written on a real store: many in one transaction, each costing only itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import attrs
import pytest
import sqlalchemy as sa
import structlog

from novakit import world
from novakit.conductor import outcomes
from novakit.conductor.outcomes import Cancelled, Lost, Outcomes
from novakit.conductor.work import Commit, Memory, Work
from novakit.store import Session, Store, operations
from novakit.store.operations import OperationRow
from tests.support.stores import sqlite_store

OWNER, OTHER = "this engine", "another engine"
LOCKED = sa.exc.OperationalError("UPDATE", {}, sqlite3.OperationalError("database is locked"))


@attrs.define
class Joined:
    """A commit that is written together with others of its kind."""

    batches: ClassVar[list[list[str]]] = []
    name: str

    async def __call__(self, session: Session) -> None:
        await self.write(session, [self])

    @staticmethod
    async def write(session: Session, commits: "Sequence[Joined]") -> None:
        Joined.batches.append([each.name for each in commits])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    Joined.batches.clear()
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await sqlite_store(tmp_path / "operations.db")
    yield made
    await made.close()


@pytest.fixture
def written(store: Store) -> Outcomes:
    return Outcomes(store, OWNER)


async def _leased(store: Store, count: int = 1, owner: str = OWNER) -> list[Work[Memory]]:
    """Return new operations, each of its own server, that an engine has leased."""
    rows = [
        {"id": world.new_id(), "kind": "stop", "server_id": f"server-{number}", "project_id": "p", "user_id": "u"}
        for number in range(count)
    ]
    async with store.write() as session:
        await operations.add(session, [{**row, "request_id": "req-1"} for row in rows])
        taken = await operations.lease(session, owner, world.now() + timedelta(seconds=60), count)
    assert len(taken) == count
    return [Work.of(row, (), Memory) for row in taken]


async def _row(store: Store, work: Work[Memory]) -> OperationRow:
    async with store.read() as session:
        row = await session.first(
            sa.select(operations.operations).where(operations.operations.c.id == work.id), of=OperationRow
        )
    assert row is not None
    return row


def _saying(lines: list[str], line: str) -> Commit:
    """Return a commit that leaves a line once it is committed."""

    async def commit(session: Session) -> None:
        session.after_commit(lambda: lines.append(line))

    return commit


async def _refused(session: Session) -> None:
    raise LookupError("it cannot be written")


async def test_outcomes_that_come_together_are_one_transaction(store: Store, written: Outcomes) -> None:
    works, lines = await _leased(store, 5), []
    before = store.tally.transactions
    await asyncio.gather(*(written.write(each, [_saying(lines, each.server_id)], step="off") for each in works))
    assert store.tally.transactions == before + 1
    assert sorted(lines) == [each.server_id for each in works]
    assert {(await _row(store, each))["step"] for each in works} == {"off"}


async def test_outcomes_that_are_alike_are_one_statement(store: Store, written: Outcomes) -> None:
    works = await _leased(store, 5)
    before = store.tally.statements
    await asyncio.gather(*(written.write(each, [], step="off") for each in works))
    assert store.tally.statements == before + 1
    assert {(await _row(store, each))["step"] for each in works} == {"off"}


async def test_beside_one_that_is_lost_all_others_are_written_once(store: Store, written: Outcomes) -> None:
    *ours, lost = await _leased(store, 4)
    lines: list[str] = []
    async with store.write() as session:
        c = operations.operations.c
        await session.execute(sa.update(operations.operations).where(c.id == lost.id).values(owner=OTHER))
    before = store.tally.transactions
    told = await asyncio.gather(
        *(
            written.write(each, [_saying(lines, each.id)], step="off", state="done", finished_at=world.now())
            for each in (*ours, lost)
        ),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [type(None)] * 3 + [Lost]
    assert sorted(lines) == sorted(each.id for each in ours) and store.tally.transactions == before + 2
    assert [(await _row(store, each))["step"] for each in (*ours, lost)] == ["off"] * 3 + [None]


async def test_what_a_step_remembers_is_written_with_its_outcome(store: Store, written: Outcomes) -> None:
    (work,) = await _leased(store)
    work.memory = attrs.evolve(work.memory, host="a")
    work.begin("off")
    await written.write(work, [], step="off")
    row = await _row(store, work)
    assert row["data"] == {"host": "a"} and [each["name"] for each in row["events"]] == ["off"]


async def test_one_that_cannot_be_written_costs_only_itself(store: Store, written: Outcomes) -> None:
    works, lines = await _leased(store, 3), []
    commits: list[Commit] = [_saying(lines, "first"), _refused, _saying(lines, "third")]
    told = await asyncio.gather(
        *(written.write(each, [commit], step="off") for each, commit in zip(works, commits, strict=True)),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [type(None), LookupError, type(None)]
    assert lines == ["first", "third"]
    assert [(await _row(store, each))["step"] for each in works] == ["off", None, "off"]


async def test_commits_of_one_kind_are_written_together(store: Store, written: Outcomes) -> None:
    works = await _leased(store, 3)
    await asyncio.gather(*(written.write(each, [Joined(each.server_id)], step="off") for each in works))
    assert [sorted(batch) for batch in Joined.batches] == [["server-0", "server-1", "server-2"]]


async def test_the_commits_of_one_operation_keep_their_order(store: Store, written: Outcomes) -> None:
    """With one beside it that is written alone, a commit that could be joined is written at its place."""
    (work,) = await _leased(store)
    at: list[int] = []

    async def alone(session: Session) -> None:
        at.append(len(Joined.batches))

    await written.write(work, [Joined("before"), alone, Joined("after")], step="off")
    assert at == [1] and Joined.batches == [["before"], ["after"]]


async def test_nothing_is_committed_under_a_lease_of_another_engine(store: Store, written: Outcomes) -> None:
    (lost,) = await _leased(store, owner=OTHER)
    lines: list[str] = []
    with pytest.raises(Lost):
        await written.write(lost, [_saying(lines, "written")], step="off")
    assert not lines and (await _row(store, lost))["step"] is None


async def test_of_a_cancelled_operation_only_its_end_is_written(store: Store, written: Outcomes) -> None:
    cancelled, other = await _leased(store, 2)
    lines: list[str] = []
    async with store.write() as session:
        c = operations.operations.c
        await session.execute(sa.update(operations.operations).where(c.id == cancelled.id).values(cancelled=True))
    told = await asyncio.gather(
        written.write(cancelled, [_saying(lines, "cancelled")], step="off"),
        written.write(other, [_saying(lines, "other")], step="off"),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [Cancelled, type(None)] and lines == ["other"]
    await written.write(cancelled, [], state="cancelled", finished_at=world.now())
    row = await _row(store, cancelled)
    assert row["state"] == "cancelled" and row["step"] is None


async def test_what_may_be_written_later_is_written_with_what_comes_next(
    store: Store, written: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATER", 60.0)
    (work,) = await _leased(store)
    lines: list[str] = []
    before = store.tally.transactions
    await written.write_later(work, "ports", [_saying(lines, "ports")])
    await written.write_later(work, "image", [_saying(lines, "image")])
    assert not lines and store.tally.transactions == before
    await written.write(work, [_saying(lines, "built")], step="build")
    assert lines == ["ports", "image", "built"] and store.tally.transactions == before + 1
    assert (await _row(store, work))["step"] == "build" and work.unwritten is None


async def test_what_may_be_written_later_is_written_alone_where_nothing_comes(store: Store, written: Outcomes) -> None:
    (work,) = await _leased(store)
    lines: list[str] = []
    await written.write_later(work, "ports", [_saying(lines, "ports")])
    async with asyncio.timeout(30):
        while work.unwritten is not None:
            await asyncio.sleep(0.01)
    assert lines == ["ports"] and (await _row(store, work))["step"] == "ports"


async def test_what_is_just_being_written_is_not_written_again_with_what_comes_next(
    store: Store, written: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATER", 0.0)
    (work,) = await _leased(store)
    lines: list[str] = []
    under_way, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(session: Session) -> None:
        under_way.set()
        await goes_on.wait()
        session.after_commit(lambda: lines.append("ports"))

    await written.write_later(work, "ports", [slow])
    await under_way.wait()
    built = asyncio.create_task(written.write(work, [_saying(lines, "built")], step="build"))
    await asyncio.sleep(0.05)
    goes_on.set()
    await built
    assert lines == ["ports", "built"] and (await _row(store, work))["step"] == "build"


async def test_the_end_that_a_cancelled_operation_comes_to_takes_nothing_unwritten_along(
    store: Store, written: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATER", 60.0)
    (work,) = await _leased(store)
    lines: list[str] = []
    await written.write_later(work, "ports", [_saying(lines, "ports")])
    await written.write(work, [], state="cancelled", finished_at=world.now())
    assert not lines and (await _row(store, work))["step"] is None


@attrs.define
class Locked:
    """A commit that finds the database locked, so many times."""

    times: int

    async def __call__(self, session: Session) -> None:
        self.times -= 1
        if self.times >= 0:
            raise LOCKED


async def test_an_outcome_waits_for_a_store_that_is_locked(
    store: Store, written: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "RETRY", 0.01)
    (work,) = await _leased(store)
    await written.write(work, [Locked(3)], step="off")
    assert (await _row(store, work))["step"] == "off"


async def test_while_the_engine_stops_nobody_waits_for_the_store(store: Store, written: Outcomes) -> None:
    written.stopping = True
    (work,) = await _leased(store)
    with pytest.raises(sa.exc.OperationalError):
        await written.write(work, [Locked(1)], step="off")
    assert (await _row(store, work))["step"] is None
