"""A call that comes twice is answered once, over the bus of one process and over the socket alike."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit.bus import (
    READS,
    BadCall,
    Bus,
    Contract,
    MemoryBus,
    RemoteBusy,
    RemoteError,
    Unreachable,
    call,
    client,
    kept,
    serve,
    settles,
)
from novakit.bus.enrolments import Enrolments
from novakit.bus.hub import LocalHub
from novakit.bus.repeats import KeptAnswers
from novakit.config import Config
from novakit_hookspecs.errors import Busy
from tests.support.credentials import joining

CALLER = ("conductor",)
BY_OPERATION = kept("operation", about="plan.guest")


@attrs.frozen(kw_only=True)
class Plan:
    guest: str
    size: int = 1
    ticket: str = ""


class Builds(Contract):
    """A target of these tests, as a host's agent is one."""

    __slots__ = ()
    target = "agent.{}"

    @call(within=20.0, repeat_by=kept("operation", "plan.size", about="plan.guest"), by=CALLER)
    @abstractmethod
    async def build(self, operation: str | None, plan: Plan) -> int:
        """Return which run of the method this was."""

    @call(within=20.0, repeat_by=kept("operation", about="guest"), by=CALLER)
    @abstractmethod
    async def copy(self, operation: str, guest: str) -> int:
        """Return which run of the method this was."""

    @call(within=20.0, repeat_by=settles("guest", about="guest"), by=CALLER)
    @abstractmethod
    async def destroy(self, guest: str) -> int:
        """Return which run of the method this was."""

    @call(within=20.0, repeat_by=READS, by=CALLER)
    @abstractmethod
    async def look(self) -> int:
        """Return which run of the method this was."""


@attrs.define
class Host(Builds):
    """Counts how often each method ran; `work` is done in each build first."""

    work: Callable[[], Awaitable[None]] | None = None
    runs: list[str] = attrs.field(factory=list)

    def _ran(self, name: str) -> int:
        self.runs.append(name)
        return len(self.runs)

    async def build(self, operation: str | None, plan: Plan) -> int:
        number = self._ran("build")
        if self.work is not None:
            await self.work()
        return number

    async def copy(self, operation: str, guest: str) -> int:
        return self._ran("copy")

    async def destroy(self, guest: str) -> int:
        return self._ran("destroy")

    async def look(self) -> int:
        return self._ran("look")


@attrs.frozen
class Two:
    """A caller, and the connection of the one who serves it, over one of the transports."""

    caller: Bus
    serving: Bus
    config: Config

    async def serve(self, host: Host) -> Builds:
        """Serve `host`, in the place of what was served before. Returns what calls it, once it can be reached."""
        serve(self.serving, Builds, lambda _: host, "h1")
        asked = client(Builds, self.caller, self.config, "h1")
        async with asyncio.timeout(20):
            while "look" not in host.runs:
                try:
                    await asked.look()
                except Unreachable:
                    await asyncio.sleep(0.01)
        host.runs.clear()
        return asked


@pytest.fixture(params=["in one process", "over the socket"])
async def two(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Two]:
    bus = MemoryBus()
    if request.param == "in one process":
        yield Two(bus.join("conductor"), bus.join("agent:h1"), Config(state=tmp_path))
        return
    hub = LocalHub(bus, tmp_path / "bus.sock", Enrolments(tmp_path))
    await hub.start()
    serving = joining(tmp_path, "agent:h1")
    await serving.open()
    await serving.connected()
    yield Two(bus.join("conductor"), serving, Config(state=tmp_path))
    await serving.close()
    await hub.stop()


PLAN = Plan(guest="a")


async def test_the_same_call_again_has_the_first_answer_and_is_done_once(two: Two) -> None:
    host = Host()
    asked = await two.serve(host)
    other_try = attrs.evolve(PLAN, ticket="another")
    assert [await asked.build("o", PLAN), await asked.build("o", other_try), await asked.build("o", PLAN)] == [1, 1, 1]
    assert host.runs == ["build"]


async def test_one_that_comes_while_the_first_is_at_work_waits_for_its_answer(two: Two) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()

    host = Host(work)
    asked = await two.serve(host)
    first = asyncio.ensure_future(asked.build("o", PLAN))
    await asyncio.wait_for(begun.wait(), 20)
    second = asyncio.ensure_future(asked.build("o", PLAN))
    await asked.look()  # has come after the second, which has therefore come
    go.set()
    assert [await first, await second] == [1, 1]
    assert host.runs == ["build", "look"]


async def test_another_key_is_another_call(two: Two) -> None:
    asked = await two.serve(Host())
    answers = [
        await asked.build("o", PLAN),
        await asked.build("p", PLAN),
        await asked.build("p", attrs.evolve(PLAN, size=2)),
        await asked.build("p", attrs.evolve(PLAN, guest="b")),
    ]
    assert answers == [1, 2, 3, 4]


async def test_two_methods_with_one_key_are_two_calls(two: Two) -> None:
    asked = await two.serve(Host())
    assert [await asked.build("o", PLAN), await asked.copy("o", "a"), await asked.copy("o", "a")] == [1, 2, 2]


async def test_what_was_changed_since_is_done_again(two: Two) -> None:
    """A guest that was built and destroyed is built again, though the operation is the same."""
    host = Host()
    asked = await two.serve(host)
    await asked.build("o", PLAN)
    await asked.destroy("b")
    assert await asked.build("o", PLAN) == 1, "that was another guest"
    await asked.destroy("a")
    await asked.destroy("a")
    assert await asked.build("o", PLAN) == 5
    assert host.runs == ["build", "destroy", "destroy", "destroy", "build"]


async def test_a_build_that_ends_after_a_destroy_has_come_is_not_remembered(two: Two) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()

    asked = await two.serve(Host(work))
    first = asyncio.ensure_future(asked.build("o", PLAN))
    await asyncio.wait_for(begun.wait(), 20)
    await asked.destroy("a")
    go.set()
    assert await first == 1
    assert await asked.build("o", PLAN) == 3


async def test_an_error_is_not_an_answer_to_keep(two: Two) -> None:
    failures = iter([Busy("not wired yet"), RuntimeError("boom"), None])

    async def work() -> None:
        if (error := next(failures)) is not None:
            raise error

    asked = await two.serve(Host(work))
    with pytest.raises(RemoteBusy):
        await asked.build("o", PLAN)
    with pytest.raises(RemoteError, match="boom"):
        await asked.build("o", PLAN)
    assert [await asked.build("o", PLAN), await asked.build("o", PLAN)] == [3, 3]


async def test_a_call_that_was_given_up_is_done_by_the_one_that_waits(two: Two) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()

    host = Host(work)
    asked = await two.serve(host)
    first = asyncio.ensure_future(asked.build("o", PLAN))
    await asyncio.wait_for(begun.wait(), 20)
    second = asyncio.ensure_future(asked.build("o", PLAN))
    await asked.look()
    first.cancel()
    await asyncio.wait([first])
    await asked.look()  # has come after the word that the first is given up
    go.set()
    assert await second == 3, "the first run ended with its caller"
    assert host.runs == ["build", "look", "build", "look"]


@pytest.mark.parametrize("operation", ["", None])
async def test_a_call_without_its_key_is_refused(two: Two, operation: str | None) -> None:
    host = Host()
    asked = await two.serve(host)
    with pytest.raises(RemoteError, match="build needs operation: without it nobody could tell") as refused:
        await asked.build(operation, PLAN)
    assert refused.value.kind == "BadCall" and not host.runs


async def test_a_server_that_was_started_again_asks_the_method_itself(two: Two) -> None:
    first = await two.serve(Host())
    assert await first.build("o", PLAN) == 1
    host = Host()
    again = await two.serve(host)
    assert await again.build("o", PLAN) == 1
    assert host.runs == ["build"]


async def test_only_the_latest_subjects_are_remembered() -> None:
    answers, runs = KeptAnswers(most=3), []

    async def ask(guest: str) -> Any:
        async def work() -> object:
            runs.append(guest)
            return guest

        given = {"operation": "o", "plan": Plan(guest=guest)}
        return await answers.answer(BY_OPERATION, "build", "conductor", given, work)

    for guest in "abcad":
        assert await ask(guest) == guest
    assert "".join(runs) == "abcd", "a was asked for again"
    for guest in "acdb":
        await ask(guest)
    assert "".join(runs) == "abcdb", "b was the one that nobody had asked for the longest"


async def test_another_conductor_asks_again_and_an_api_never_does() -> None:
    answers, runs = KeptAnswers(), []

    async def ask(sender: str) -> Any:
        async def work() -> object:
            runs.append(sender)
            return sender

        return await answers.answer(BY_OPERATION, "build", sender, {"operation": "o", "plan": PLAN}, work)

    assert [await ask("conductor:a"), await ask("conductor:b"), await ask("api")] == ["conductor:a"] * 2 + ["api"]


async def test_the_error_of_a_missing_key_is_that_of_a_bad_call() -> None:
    async def work() -> object:
        raise AssertionError("it must not come this far")

    with pytest.raises(BadCall):
        await KeptAnswers().answer(BY_OPERATION, "build", "conductor", {"operation": "", "plan": PLAN}, work)
