"""The engine of durable operations, on a real store."""

import asyncio
import contextvars
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import sqlalchemy as sa
import structlog

from novakit import world
from novakit.bus import MemoryBus, RemoteError, RemoteRefused, Unreachable
from novakit.calls.host import GuestNote
from novakit.compute.states import UndefinedMove
from novakit.conductor import engine as conducting
from novakit.conductor import outcomes
from novakit.conductor.engine import Engine
from novakit.conductor.requests import Handover
from novakit.conductor.verb import Step, Verb
from novakit.conductor.work import Commit, Failed, HandedOver, Memory, Postponed, Rewind, Seen, Work
from novakit.store import Session, Store, operations
from novakit.store.operations import OperationRow
from tests.support.stores import sqlite_store

WITHIN = 30.0
ADVICE = "Try again, or give the operator the request id req-1."
Do = Callable[["Work[Notes]"], Awaitable[Commit | None]]


@attrs.frozen(kw_only=True)
class Notes(Memory):
    """What the steps of these tests remember."""

    tries: int = 0
    admin_pass: str | None = None


class Unnoted:
    """Hosts that keep no notes."""

    def at(self, host: str) -> "Unnoted":
        return self

    async def notes(self, guests: Sequence[str]) -> Sequence[GuestNote]:
        return ()


@attrs.frozen
class Tools:
    """What an engine needs of the conductor's parts."""

    store: Store
    hosts: Unnoted = attrs.field(factory=Unnoted)


@attrs.define
class AheadWorld(world.SystemWorld):
    """The real world, some time later."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@attrs.define
class HastyWorld(world.SystemWorld):
    """A world whose monotonic clock runs faster."""

    times: float = 60.0

    def monotonic(self) -> float:
        return super().monotonic() * self.times


@attrs.define
class Diary:
    """What happened, in order; steps and commits write in it."""

    lines: list[str] = attrs.field(factory=list)

    def step(self, name: str, *, do: Do | None = None, undo: Any = None, **options: Any) -> Step[Notes]:
        async def work_on(work: Work[Notes], parts: Any) -> Commit | None:
            self.lines.append(name)
            return self.commit(name) if do is None else await do(work)

        async def undone(work: Work[Notes], parts: Any) -> Commit | None:
            why = work.beside.failure and work.beside.failure.message
            self.lines.append(f"undo {name}: {why}")
            return self.commit(f"undo {name}") if undo is None else await undo(work)

        return Step(name=name, do=work_on, undo=undone, **options)

    def commit(self, name: str) -> Commit:
        async def commit(session: Session) -> None:
            session.after_commit(lambda: self.lines.append(f"{name} written"))

        return commit

    def verb(self, kind: str, *steps: Step[Notes], **options: Any) -> Verb[Notes]:
        return Verb(kind=kind, steps=steps, remembers=Notes, moves=(), **options)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep what the engine logs off the screen: printing a traceback in colours takes seconds."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await sqlite_store(tmp_path / "operations.db")
    yield made
    await made.close()


@pytest.fixture
def diary() -> Diary:
    return Diary()


async def _ask(store: Store, *kinds: str, server: str = "a-server") -> list[str]:
    ids = [world.new_id() for _ in kinds]
    rows = [
        {"id": id, "kind": kind, "server_id": server, "project_id": "p", "user_id": "u", "request_id": "req-1"}
        for id, kind in zip(ids, kinds, strict=True)
    ]
    async with store.write() as session:
        await operations.add(session, rows)
    return ids


async def _row(store: Store, operation_id: str) -> OperationRow:
    async with store.read() as session:
        row = await session.first(
            sa.select(operations.operations).where(operations.operations.c.id == operation_id), of=OperationRow
        )
    assert row is not None
    return row


async def _until(true: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(WITHIN):
        while not (answer := await true()):
            await asyncio.sleep(0.01)
    return answer


async def _ended(store: Store, *ids: str) -> list[OperationRow]:
    async def all_ended() -> list[OperationRow] | None:
        rows = [await _row(store, each) for each in ids]
        return rows if all(row["finished_at"] for row in rows) else None

    rows: list[OperationRow] = await _until(all_ended)
    return rows


@asynccontextmanager
async def _engine(store: Store, *verbs: Verb[Notes], **options: Any) -> AsyncIterator[Engine]:
    engine = Engine(Tools(store), {verb.kind: verb for verb in verbs}, **options)
    task = asyncio.create_task(engine.run(alone=False))
    try:
        yield engine
    finally:
        await engine.stop(5)
        await task


async def test_steps_run_in_order_and_each_is_written_before_the_next(store: Store, diary: Diary) -> None:
    verb = diary.verb("make", diary.step("first", shown_as="a_first_step"), diary.step("second"))
    (operation,) = await _ask(store, "make")
    async with _engine(store, verb):
        (row,) = await _ended(store, operation)
    assert diary.lines == ["first", "first written", "second", "second written"]
    assert (row["state"], row["step"], row["reason"]) == ("done", "second", None)
    shown = [(each["name"], each["result"]) for each in row["events"]]
    assert shown == [("a_first_step", "Success"), ("make_second", "Success")]


async def test_a_step_that_is_written_later_is_written_with_the_next_one(
    store: Store, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "LATER", 60)  # a slow machine would write the first step before the second one ends
    verb = diary.verb("make", diary.step("first", is_written_later=True), diary.step("second"))
    (operation,) = await _ask(store, "make")
    async with _engine(store, verb):
        before = store.tally.flushes
        (row,) = await _ended(store, operation)
    assert diary.lines == ["first", "second", "first written", "second written"]
    assert store.tally.flushes - before == 1, "one write for both steps, and with it the lease"
    assert (row["state"], row["step"]) == ("done", "second")
    assert [each["result"] for each in row["events"]] == ["Success", "Success"]


async def test_a_step_that_is_written_later_waits_for_no_slow_one(store: Store, diary: Diary) -> None:
    go_on = asyncio.Event()

    async def slow(work: Work[Notes]) -> Commit | None:
        await go_on.wait()
        return diary.commit("second")

    verb = diary.verb("make", diary.step("first", is_written_later=True), diary.step("second", do=slow))
    (operation,) = await _ask(store, "make")

    async def first_is_written() -> bool:
        return "first written" in diary.lines and (await _row(store, operation))["step"] == "first"

    async with _engine(store, verb):
        await _until(first_is_written)
        assert diary.lines == ["first", "second", "first written"]
        go_on.set()
        (row,) = await _ended(store, operation)
    assert diary.lines == ["first", "second", "first written", "second written"]
    assert (row["state"], row["step"]) == ("done", "second")


async def test_what_is_not_written_yet_is_written_with_the_failure_of_the_next_step(store: Store, diary: Diary) -> None:
    async def fail(work: Work[Notes]) -> Commit | None:
        raise Failed("no")

    verb = diary.verb("make", diary.step("first", is_written_later=True), diary.step("second", do=fail))
    (operation,) = await _ask(store, "make")
    async with _engine(store, verb):
        (row,) = await _ended(store, operation)
    assert diary.lines[:5] == ["first", "second", "first written", "undo second: no", "undo first: no"]
    assert (row["state"], row["step"]) == ("failed", "first")


async def test_what_an_operation_wants_written_is_written_in_its_order(store: Store, diary: Diary) -> None:
    @attrs.frozen
    class Together:
        name: str

        async def __call__(self, session: Session) -> None:
            diary.lines.append(f"{self.name} written")

        @staticmethod
        async def write(session: Session, commits: "Sequence[Together]") -> None:
            for each in commits:
                await each(session)

    async def first(work: Work[Notes]) -> Commit | None:
        return Together("first")

    async def second(work: Work[Notes]) -> Commit | None:
        async def commit(session: Session) -> None:
            diary.lines.append("second written")

        return commit

    steps = diary.step("first", do=first, is_written_later=True), diary.step("second", do=second)
    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", *steps)):
        await _ended(store, operation)
    assert diary.lines == ["first", "second", "first written", "second written"]


@pytest.mark.parametrize("later", [False, True])
async def test_a_step_that_is_flushed_later_does_not_wait_for_the_disk(
    store: Store, diary: Diary, *, later: bool
) -> None:
    flushes: list[int] = []

    async def count(work: Work[Notes]) -> Commit:
        flushes.append(store.tally.flushes)
        return diary.commit("count")

    steps = diary.step("first", do=count, is_flushed_later=later), diary.step("second", do=count)
    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", *steps)):
        await _ended(store, operation)
    assert flushes[1] - flushes[0] == (0 if later else 1)


async def test_operations_of_one_server_run_one_after_another_and_those_of_two_side_by_side(
    store: Store, diary: Diary
) -> None:
    both = asyncio.Barrier(2)

    async def together(work: Work[Notes]) -> None:
        await both.wait()
        diary.lines.append(work.server_id)

    verbs = [diary.verb("meet", diary.step("meet", do=together)), diary.verb("after", diary.step("after"))]
    first = await _ask(store, "meet", "after", server="one")
    second = await _ask(store, "meet", server="two")
    async with _engine(store, *verbs):
        await _ended(store, *first, *second)
    assert sorted(diary.lines[2:4]) == ["one", "two"]
    assert diary.lines[-2:] == ["after", "after written"]


async def test_what_waits_for_the_end_of_others_is_looked_for_and_nothing_is_where_none_may_wait(
    store: Store, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conducting, "REST", 600.0)
    verbs = [diary.verb("go", diary.step("go"))]
    async with _engine(store, *verbs) as engine:
        await _ended(store, *await _told(store, engine, "go", server="first"))
        await _at_rest(store, engine)
        before = store.tally.transactions
        await _ended(store, *await _told(store, engine, "go", server="alone"))
        await _at_rest(store, engine)
        assert store.tally.transactions - before == 4, "asked for, leased, ended, and that of this test"
        await _ended(store, *await _told(store, engine, "go", "go", "go", server="behind-one-another"))
        assert diary.lines.count("go") == 5


async def test_more_than_the_engine_runs_at_once_is_taken_when_something_ends(
    store: Store, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conducting, "REST", 600.0)
    async with _engine(store, diary.verb("go", diary.step("go")), limit=1) as engine:
        many = [(await _ask(store, "go", server=str(number)))[0] for number in range(3)]
        engine.wake()
        await _ended(store, *many)


async def test_what_is_written_with_its_lease_runs_without_a_look_and_apart_from_who_asked(
    store: Store, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conducting, "REST", 600.0)
    asking = contextvars.ContextVar("asking", default="nobody")
    go_on = asyncio.Event()

    async def look(work: Work[Notes]) -> None:
        diary.lines.append(f"{asking.get()} asks, {work.seen.chosen} was seen")
        await go_on.wait()

    verbs = [diary.verb("look", diary.step("look", do=look)), diary.verb("go", diary.step("go"))]
    async with _engine(store, *verbs) as engine:
        await _until(lambda: _is_open(engine))
        before = store.tally.transactions
        asking.set("a request")
        asked = _new("look")
        async with Handover(store, MemoryBus().join("api"), engine.leases).writing() as (session, new):
            await new.add(session, [asked], lambda place: HandedOver(Notes(), Seen(chosen="it")))
        go_on.set()
        (row,) = await _ended(store, asked["id"])
        await _at_rest(store, engine)
        assert diary.lines == ["look", "nobody asks, it was seen"]
        assert (row["state"], row["attempt"], row["owner"]) == ("done", 1, engine.owner)
        assert store.tally.transactions - before == 3, "asked for, ended, and that of this test"


async def test_what_waits_behind_what_was_written_with_its_lease_is_taken_when_that_ends(
    store: Store, diary: Diary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conducting, "REST", 600.0)
    async with _engine(store, diary.verb("go", diary.step("go")), limit=1) as engine:
        await _until(lambda: _is_open(engine))
        rows, other = [_new("go") for _ in range(3)], _new("go", server="other")
        handover = Handover(store, MemoryBus().join("api"), engine.leases)
        async with handover.writing() as (session, new):
            await new.add(session, rows)
        engine.wake()
        await _ended(store, *[row["id"] for row in rows])
        await _until(lambda: _is_open(engine))
        async with handover.writing() as (session, new):
            await new.add(session, [other])
        (row,) = await _ended(store, other["id"])
    assert diary.lines.count("go") == 4 and row["attempt"] == 1


def _new(kind: str, server: str = "a-server") -> dict[str, Any]:
    ids = {"project_id": "p", "user_id": "u", "request_id": "req-1"}
    return {"id": world.new_id(), "kind": kind, "server_id": server, **ids}


async def _is_open(engine: Engine) -> bool:
    return engine.leases.is_open and not engine.leases.waits


async def _at_rest(store: Store, engine: Engine) -> None:
    """Wait until the engine has ended what it runs, and every look that follows from it."""

    async def rests() -> bool:
        return not engine.measures().running and not engine._told

    await _until(rests)
    async with store.write():  # behind a look that is under way
        pass
    await asyncio.sleep(0)


async def _told(store: Store, engine: Engine, *kinds: str, server: str) -> list[str]:
    """Ask for operations, and tell the engine of each."""
    found = []
    for kind in kinds:
        found += await _ask(store, kind, server=server)
        engine.wake()
    return found


async def test_an_operation_goes_on_after_the_last_step_that_was_written(store: Store, diary: Diary) -> None:
    seen: dict[str, Any] = {}

    async def hang(work: Work[Notes]) -> None:
        await asyncio.Event().wait()

    async def remember(work: Work[Notes]) -> None:
        work.memory = attrs.evolve(work.memory, host="a")

    async def recall(work: Work[Notes]) -> None:
        seen.update(attrs.asdict(work.memory))

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("one", do=remember), diary.step("two", do=hang))) as killed:
        await _until(lambda: _is_at(store, operation, "one"))
        async with asyncio.timeout(WITHIN):
            while diary.lines != ["one", "two"]:
                await asyncio.sleep(0.001)
        await killed.stop(0)
    engine = Engine(Tools(store), {"make": diary.verb("make", diary.step("one"), diary.step("two", do=recall))})
    task = asyncio.create_task(engine.run(alone=True))
    (row,) = await _ended(store, operation)
    await engine.stop(1)
    await task
    assert diary.lines == ["one", "two", "two"]
    assert (seen["host"], seen["tries"]) == ("a", 0) and row["attempt"] == 2


async def _is_at(store: Store, operation: str, step: str) -> bool:
    return bool((await _row(store, operation))["step"] == step)


async def test_a_lease_that_ran_out_is_taken_over_and_its_former_holder_commits_nothing(
    store: Store, diary: Diary
) -> None:
    slow, taken_over = asyncio.Event(), asyncio.Event()

    async def wait(work: Work[Notes]) -> Commit:
        slow.set()
        await taken_over.wait()
        return diary.commit("former holder")

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("slow", do=wait))) as former:
        await asyncio.wait_for(slow.wait(), WITHIN)
        with world.using(HastyWorld()):
            async with _engine(store, diary.verb("make", diary.step("quick"))):
                (row,) = await _ended(store, operation)
        taken_over.set()
        await _until(lambda: _nothing_runs(former))
    assert diary.lines == ["slow", "quick", "quick written"]
    assert row["state"] == "done" and await _row(store, operation) == row


async def _nothing_runs(engine: Engine) -> bool:
    return not engine._running


async def test_a_lease_that_is_renewed_is_nobody_elses_whatever_is_written_in_it(store: Store) -> None:
    (operation,) = await _ask(store, "make")
    until = world.now() + timedelta(seconds=15)
    async with store.write() as session:
        taken = await operations.lease(session, "me", until, 10)
        void = await operations.leases(session)
        assert await operations.lease(session, "you", until, 10) == []
        await operations.renew(session, "me", [operation], until - timedelta(hours=1))
        assert await operations.lease(session, "you", until, 10, void=void) == []
        void = await operations.leases(session)
        assert await operations.lease(session, "me", until, 10, void=void, running=[operation]) == []
        assert len(await operations.lease(session, "you", until, 10, void=void)) == 1
    assert [row["id"] for row in taken] == [operation]


@pytest.mark.parametrize("step", [timedelta(hours=1), -timedelta(hours=1)])
async def test_a_clock_that_is_set_takes_no_operation_from_who_runs_it_and_keeps_none_waiting(
    store: Store, diary: Diary, step: timedelta
) -> None:
    begun, go_on, tries = asyncio.Event(), asyncio.Event(), [1, 2]

    async def slow(work: Work[Notes]) -> Commit | None:
        begun.set()
        await go_on.wait()
        if tries.pop() == 2:
            raise Postponed("a moment", 0.05)
        return None

    clock = AheadWorld()
    with world.using(clock):
        (operation,) = await _ask(store, "make")
        async with _engine(store, diary.verb("make", diary.step("slow", do=slow))) as mine:
            await asyncio.wait_for(begun.wait(), WITHIN)
            clock.ahead += step
            async with _engine(store, diary.verb("make", diary.step("stolen"))) as other:
                for _ in range(20):
                    mine.wake()
                    other.wake()
                    await asyncio.sleep(0.1)
                await other.stop(0)
            assert diary.lines == ["slow"]
            go_on.set()
            await _until(lambda: _has_waited(store, operation))
            clock.ahead -= step
            (row,) = await _ended(store, operation)
    assert row["state"] == "done" and diary.lines == ["slow", "slow"] and row["attempt"] == 2


async def _has_waited(store: Store, operation: str) -> bool:
    row = await _row(store, operation)
    return row["not_before"] is not None or row["finished_at"] is not None


async def test_a_rewind_begins_again_at_its_step_with_what_was_remembered(store: Store, diary: Diary) -> None:
    async def place(work: Work[Notes]) -> None:
        work.memory = attrs.evolve(work.memory, tries=work.memory.tries + 1)

    async def build(work: Work[Notes]) -> None:
        if work.memory.tries < 3:
            raise Rewind("place", "that host failed", diary.commit(f"rewind {work.memory.tries}"))

    verb = diary.verb("make", diary.step("place", do=place), diary.step("build", do=build, shown_as="build"))
    (operation,) = await _ask(store, "make")
    async with _engine(store, verb):
        (row,) = await _ended(store, operation)
    once = ["place", "build"]
    assert diary.lines == [*once, "rewind 1 written", *once, "rewind 2 written", *once]
    built = [each["result"] for each in row["events"] if each["name"] == "build"]
    assert built == ["Error", "Error", "Success"]
    assert (row["state"], row["data"]["tries"]) == ("done", 3)


async def test_what_would_begin_again_is_taken_back_where_somebody_has_set_the_state(
    store: Store, diary: Diary
) -> None:
    async def changed(session: Session) -> None:
        raise UndefinedMove("it is active")

    async def build(work: Work[Notes]) -> None:
        raise Rewind("place", "that host failed", changed)

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("place"), diary.step("build", do=build))):
        (row,) = await _ended(store, operation)
    why = "The state of the server was changed meanwhile; look at it, and ask again if this is still wanted."
    assert (row["state"], row["reason"], row["attempt"]) == ("failed", why, 1)
    assert diary.lines == ["place", "place written", "build", f"undo place: {why}", "undo place written"]


async def test_what_is_postponed_is_tried_again_and_what_cannot_be_reached_ever_later(
    store: Store, diary: Diary
) -> None:
    errors: list[Exception] = [Postponed("not yet", 0.01), Unreachable("nobody serves agent.a")]
    waits: list[float] = []

    async def ask(work: Work[Notes]) -> None:
        if errors:
            raise errors.pop(0)

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("ask", do=ask))):
        waits.append(((await _until(lambda: _postponed(store, operation, "nobody"))) - world.now()).total_seconds())
        (row,) = await _ended(store, operation)
    assert 0 < waits[0] <= 2.0, "the second try waits twice half a second"
    assert (row["state"], row["attempt"]) == ("done", 3)


async def _postponed(store: Store, operation: str, why: str) -> datetime | None:
    row = await _row(store, operation)
    found: datetime | None = row["not_before"] if why in (row["reason"] or "") else None
    return found


async def test_patience_with_a_silent_host_ends_and_what_was_done_is_taken_back(store: Store, diary: Diary) -> None:
    async def ask(work: Work[Notes]) -> None:
        raise Unreachable("nobody serves agent.a")

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("ask", do=ask)), patience=0.0):
        (row,) = await _ended(store, operation)
    assert diary.lines == ["ask", f"undo ask: The host did not answer. {ADVICE}", "undo ask written"]
    assert row["state"] == "failed"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Failed("No valid host was found.", details="3 hosts"), "No valid host was found."),
        (RemoteRefused("Refused", "The image is not safe to boot."), "The image is not safe to boot."),
        (RemoteRefused("Refused", "the plan /var/lib/x/plan.json is damaged"), "the plan plan.json is damaged"),
        (RemoteError("InsufficientStorage", "A disk of the host a is full."), f"The host's disk is full. {ADVICE}"),
        (RemoteError("KeyError", "'secret path'"), f"The host could not do 'make'. {ADVICE}"),
        (ValueError("a bug"), f"An error in the service ended 'make'. {ADVICE}"),
    ],
)
async def test_the_owner_reads_a_sentence_and_no_internals(
    store: Store, diary: Diary, error: Exception, message: str
) -> None:
    async def fail(work: Work[Notes]) -> None:
        raise error

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("fail", do=fail, shown_as="fail"))):
        (row,) = await _ended(store, operation)
    assert diary.lines == ["fail", f"undo fail: {message}", "undo fail written"]
    assert (row["state"], row["reason"], row["events"][0]["result"]) == ("failed", message, "Error")


async def test_no_statement_of_the_database_is_kept_with_an_operation(store: Store, diary: Diary) -> None:
    async def fail(work: Work[Notes]) -> None:
        raise sa.exc.StatementError("no value", "UPDATE secrets", {}, None)

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("fail", do=fail, shown_as="fail"))):
        (row,) = await _ended(store, operation)
    told = row["events"][0]["details"]
    assert told.startswith("the database failed: statement error;") and "secrets" not in repr(row)


async def test_what_is_to_be_taken_back_is_also_where_its_row_does_not_say_why(store: Store, diary: Diary) -> None:
    about = {"server_id": "a-server", "project_id": "p", "user_id": "u", "request_id": "req-1"}
    async with store.write() as session:
        await operations.add(session, [{"id": "lost", "kind": "make", "state": "undoing", "data": {}, **about}])
    async with _engine(store, diary.verb("make", diary.step("first"))):
        (row,) = await _ended(store, "lost")
    assert (row["state"], diary.lines) == ("failed", ["undo first: None", "undo first written"])


async def test_an_undo_is_tried_until_it_works(store: Store, diary: Diary) -> None:
    troubles: list[Exception] = [Unreachable("nobody there"), ValueError("a bug"), Postponed("the host is away", 0.01)]

    async def fail(work: Work[Notes]) -> None:
        raise Failed("No.")

    async def undo(work: Work[Notes]) -> Commit:
        if troubles:
            raise troubles.pop(0)
        return diary.commit("taken back")

    (operation,) = await _ask(store, "make")
    async with _engine(store, diary.verb("make", diary.step("fail", do=fail, undo=undo)), patience=0.0):
        (row,) = await _ended(store, operation)
    assert diary.lines == ["fail", *["undo fail: No."] * 4, "taken back written"] and not troubles
    assert (row["state"], row["attempt"]) == ("failed", 4)


async def test_a_delete_interrupts_a_step_that_may_be_interrupted(store: Store, diary: Diary) -> None:
    begun = asyncio.Event()

    async def hang(work: Work[Notes]) -> None:
        begun.set()
        await asyncio.Event().wait()

    verbs = [
        diary.verb("make", diary.step("hang", do=hang, interruptible=True)),
        diary.verb("delete", diary.step("go")),
    ]
    (make,) = await _ask(store, "make")
    async with _engine(store, *verbs) as engine:
        await asyncio.wait_for(begun.wait(), WITHIN)
        (delete,) = await _ask(store, "delete")
        engine.interrupt(set(await _cancel(store, delete)))
        rows = await _ended(store, make, delete)
    assert [row["state"] for row in rows] == ["cancelled", "done"]
    assert diary.lines == ["hang", "go", "go written"]


async def test_a_delete_lets_a_step_that_claims_something_run_to_its_end_and_writes_nothing_of_it(
    store: Store, diary: Diary
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def claim(work: Work[Notes]) -> Commit:
        begun.set()
        await go_on.wait()
        diary.lines.append("claimed")
        return diary.commit("claim")

    verbs = [diary.verb("make", diary.step("claim", do=claim)), diary.verb("delete", diary.step("go"))]
    ended: list[tuple[str, str]] = []
    (make,) = await _ask(store, "make")
    async with _engine(store, *verbs, note=lambda work, state: ended.append((work.kind, state))) as engine:
        await asyncio.wait_for(begun.wait(), WITHIN)
        (delete,) = await _ask(store, "delete")
        engine.interrupt(set(await _cancel(store, delete)))
        go_on.set()
        rows = await _ended(store, make, delete)
    assert [row["state"] for row in rows] == ["cancelled", "done"], "the last step of a cancelled operation is not done"
    assert diary.lines == ["claim", "claimed", "go", "go written"]
    assert ended == [("make", "begun"), ("make", "cancelled"), ("delete", "begun"), ("delete", "done")]


async def test_a_cancelled_operation_that_waits_ends_at_once(store: Store, diary: Diary) -> None:
    async def wait(work: Work[Notes]) -> None:
        raise Postponed("much later", 60)

    verbs = [diary.verb("make", diary.step("wait", do=wait)), diary.verb("delete", diary.step("go"))]
    (make,) = await _ask(store, "make")
    async with _engine(store, *verbs) as engine:
        await _until(lambda: _postponed(store, make, "much later"))
        (delete,) = await _ask(store, "delete")
        await _cancel(store, delete)
        engine.wake()
        rows = await _ended(store, make, delete)
    assert [row["state"] for row in rows] == ["cancelled", "done"]


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
async def test_a_secret_is_remembered_until_the_operation_ends_and_no_longer(
    store: Store, diary: Diary, end: str
) -> None:
    seen = []

    async def wait(work: Work[Notes]) -> None:
        seen.append(work.memory.admin_pass)
        if end == "failed":
            raise Failed("the host is on fire")
        if end == "cancelled":
            raise Postponed("much later", 60)

    verbs = [diary.verb("make", diary.step("wait", do=wait)), diary.verb("delete", diary.step("go"))]
    operation = world.new_id()
    row = {"id": operation, "kind": "make", "server_id": "a-server", "data": {"admin_pass": "correct horse"}}
    async with store.write() as session:
        await operations.add(session, [{**row, "project_id": "p", "user_id": "u", "request_id": "req-1"}])
    async with _engine(store, *verbs) as engine:
        if end == "cancelled":
            await _until(lambda: _postponed(store, operation, "much later"))
            await _cancel(store, world.new_id())
            engine.wake()
        (ended,) = await _ended(store, operation)
    assert seen == ["correct horse"] and ended["state"] == end
    assert "correct horse" not in str(dict(ended))


async def _cancel(store: Store, delete: str) -> list[str]:
    async with store.write() as session:
        return await operations.cancel(session, "a-server", except_for=delete)


async def test_one_that_cannot_be_written_costs_only_itself(store: Store, diary: Diary) -> None:
    together = asyncio.Barrier(3)

    async def spoilt(session: Session) -> None:
        await session.execute(sa.text("INSERT INTO no_such_table VALUES (1)"))

    async def do(work: Work[Notes]) -> Commit:
        await together.wait()
        return spoilt if work.server_id == "1" else diary.commit(work.server_id)

    ids: list[str] = []
    for number in range(3):
        ids += await _ask(store, "make", server=str(number))
    async with _engine(store, diary.verb("make", diary.step("do", do=do))):
        rows = await _ended(store, *ids)
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    written: Sequence[str] = sorted(line for line in diary.lines if line.endswith("written"))
    assert written == ["0 written", "2 written", "undo do written"]


async def test_a_store_that_fails_for_a_while_stops_the_engine_no_longer_than_that(store: Store, diary: Diary) -> None:
    verb = diary.verb("make", diary.step("only"))
    with structlog.testing.capture_logs() as logs:
        async with _engine(store, verb) as engine:
            (first,) = await _ask(store, "make")
            await _ended(store, first)
            async with store.write() as session:
                await session.execute(sa.text("ALTER TABLE operations RENAME TO away"))

            async def noticed() -> bool:
                engine.wake()
                return any("operations could not be leased" in line["event"] for line in logs)

            await _until(noticed)
            async with store.write() as session:
                await session.execute(sa.text("ALTER TABLE away RENAME TO operations"))
            (second,) = await _ask(store, "make")
            (row,) = await _ended(store, second)
    assert row["state"] == "done"


async def test_a_step_for_which_the_database_was_locked_or_away_is_done_again(store: Store, diary: Diary) -> None:
    faults = [sqlite3.OperationalError("database is locked"), ConnectionLost("08006"), ConnectionLost("40P01")]

    async def do(work: Work[Notes]) -> Commit | None:
        if faults:
            raise sa.exc.OperationalError("SELECT 1", {}, faults.pop())
        return None

    verb = diary.verb("make", diary.step("only", do=do))
    (operation,) = await _ask(store, "make")
    later = AheadWorld()
    with world.using(later):
        async with _engine(store, verb) as engine:

            async def ended() -> bool:
                later.ahead += timedelta(seconds=1)
                engine.wake()
                return (await _row(store, operation))["finished_at"] is not None

            await _until(ended)
    assert (await _row(store, operation))["state"] == "done"
    assert diary.lines == ["only"] * 4


class ConnectionLost(Exception):
    """What a database driver raises: it carries the SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


async def test_patience_counts_from_the_first_silence_and_not_from_the_request(store: Store, diary: Diary) -> None:
    silent = [Unreachable("nobody serves agent.a")]

    async def ask(work: Work[Notes]) -> None:
        if silent:
            raise silent.pop()

    (operation,) = await _ask(store, "make")
    with world.using(AheadWorld(ahead=timedelta(seconds=700))):
        async with _engine(store, diary.verb("make", diary.step("ask", do=ask)), patience=600.0):
            (row,) = await _ended(store, operation)
    assert (row["state"], row["silent_since"]) == ("done", None), "five minutes in a queue cost no patience"


async def test_a_silence_is_remembered_by_whoever_takes_the_operation_over(store: Store, diary: Diary) -> None:
    async def ask(work: Work[Notes]) -> None:
        raise Unreachable("nobody serves agent.a")

    (operation,) = await _ask(store, "make")
    verb = diary.verb("make", diary.step("ask", do=ask))
    async with _engine(store, verb, patience=600.0):
        await _until(lambda: _postponed(store, operation, "nobody"))
    later = AheadWorld(ahead=timedelta(seconds=200))
    with world.using(later):
        async with _engine(store, verb, patience=600.0):

            async def tried_again() -> bool:
                row = await _row(store, operation)
                return row["attempt"] > 1 and row["lease_until"] is None

            await _until(tried_again)
        silent = (later.now() - (await _row(store, operation))["silent_since"]).total_seconds()
    assert 190 < silent < 290, "the other process goes on counting from the first silence"


async def test_a_tireless_verb_does_its_step_again_whatever_it_raised_and_is_never_taken_back(
    store: Store, diary: Diary
) -> None:
    troubles: list[Exception] = [Failed("no"), ValueError("a bug"), RemoteError("KeyError", "'x'")]

    async def destroy(work: Work[Notes]) -> None:
        if troubles:
            raise troubles.pop(0)

    (operation,) = await _ask(store, "delete")
    later = AheadWorld()
    with world.using(later):
        async with _engine(store, diary.verb("delete", diary.step("destroy", do=destroy), tireless=True)) as engine:

            async def ended() -> bool:
                later.ahead += timedelta(seconds=1)
                engine.wake()
                return (await _row(store, operation))["finished_at"] is not None

            await _until(ended)
    assert (await _row(store, operation))["state"] == "done" and diary.lines == ["destroy"] * 4


async def test_what_is_under_way_is_shown_and_every_step_is_a_line_in_the_log(store: Store, diary: Diary) -> None:
    go_on = asyncio.Event()

    async def place(work: Work[Notes]) -> None:
        work.memory = attrs.evolve(work.memory, host="alpha")

    async def build(work: Work[Notes]) -> None:
        await go_on.wait()

    verb = diary.verb("make", diary.step("place", do=place), diary.step("build", do=build, shown_as="compute_build"))
    (operation,) = await _ask(store, "make")
    with structlog.testing.capture_logs() as logs:
        async with _engine(store, verb):
            await _until(lambda: _is_at(store, operation, "place"))
            shown = (await _row(store, operation))["events"]
            assert [(each["name"], "finished_at" in each) for each in shown] == [
                ("make_place", True), ("compute_build", False),
            ]  # fmt: skip
            go_on.set()
            await _ended(store, operation)
    told = [(line["event"], line["host"], line["operation"]) for line in logs if "step done" in line["event"]]
    assert told == [(f"step done: make/{step}", "alpha", operation) for step in ("place", "build")]
    assert all(line["seconds"] >= 0 for line in logs if "step done" in line["event"])
