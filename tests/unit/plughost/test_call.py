"""Calls into plugins end in time, in one of a few known ways."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest

from novakit.plughost import GROUPS, BusyPlugin, Fault, NotFoundByPlugin, Plugin, RefusedByPlugin, guarded, tell_all
from novakit.plughost.offers import Listening
from novakit_hookspecs.errors import Busy, NotFound, Refused


@pytest.fixture
def plugin() -> Plugin:
    return Plugin(group=GROUPS["observers"], name="acme", distribution="novakit-acme", version="1.0")


async def _raise(error: BaseException) -> None:
    raise error


async def test_the_answer_comes_through_and_the_call_is_counted(plugin: Plugin) -> None:
    async def work() -> str:
        task = asyncio.current_task()
        return task.get_name() if task else ""

    assert await guarded(plugin, "prepare", work(), 1) == "acme/prepare"
    assert (plugin.tallies["prepare"].calls, plugin.tallies["prepare"].faults) == (1, 0)


async def test_an_answer_that_is_at_hand_takes_one_turn_of_the_loop(plugin: Plugin) -> None:
    async def work() -> int:
        return 7

    call = asyncio.create_task(guarded(plugin, "prepare", work(), 1))
    await asyncio.sleep(0)  # it begins
    await asyncio.sleep(0)
    assert call.done() and call.result() == 7


async def test_what_a_plugin_says_on_purpose_keeps_its_meaning(plugin: Plugin) -> None:
    with pytest.raises(RefusedByPlugin, match="no such card") as refused:
        await guarded(plugin, "prepare", _raise(Refused("no such card")), 1)
    assert isinstance(refused.value, Refused)
    assert refused.value.kind == "Refused"
    with pytest.raises(NotFoundByPlugin):
        await guarded(plugin, "prepare", _raise(NotFound("gone")), 1)
    with pytest.raises(BusyPlugin) as busy:
        await guarded(plugin, "prepare", _raise(Busy("later", retry_after=7)), 1)
    assert busy.value.retry_after == 7
    assert plugin.tallies["prepare"].faults == 0


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(1), GeneratorExit()])
async def test_anything_else_is_a_fault_with_plugin_and_version(plugin: Plugin, error: BaseException) -> None:
    with pytest.raises(Fault, match=r"observers:acme \(novakit-acme 1.0\) broke in prepare"):
        await guarded(plugin, "prepare", _raise(error), 1)
    assert plugin.tallies["prepare"].faults == 1


async def test_a_call_that_dawdles_is_cancelled(plugin: Plugin) -> None:
    cancelled = asyncio.Event()

    async def dawdle() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(Fault, match=r"no answer within 0\.01 s"):
        await guarded(plugin, "prepare", dawdle(), 0.01)
    assert cancelled.is_set()


async def test_cancelling_the_caller_cancels_the_call(plugin: Plugin) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def dawdle() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(guarded(plugin, "prepare", dawdle(), 60))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_observers_hear_the_event_and_a_bad_one_costs_only_itself(plugin: Plugin) -> None:
    heard: list[Any] = []
    release = threading.Event()

    async def good(event: str) -> None:
        heard.append(event)

    def sync(event: str) -> None:
        heard.append(event.upper())

    def nothing() -> None:
        heard.append("no arguments")

    def bad(event: str) -> None:
        raise RuntimeError("broken")

    def refusing(event: str) -> None:
        raise Refused("not today")

    def blocking(event: str) -> None:
        release.wait()

    observers = [Listening(plugin, one, ("event",)) for one in (good, sync, bad, refusing, blocking)]
    observers.append(Listening(plugin, nothing, ()))
    try:
        assert await tell_all(observers, within=2, event="created") == 3
        assert sorted(heard) == ["CREATED", "created", "no arguments"]
        assert plugin.tallies["novakit_on_server"].faults == 3
        started = asyncio.get_running_loop().time()
        assert await tell_all(observers[4:5], within=30, event="deleted") == 1
        assert asyncio.get_running_loop().time() - started < 10
    finally:
        release.set()


BLOCKED = """
import asyncio, threading
from novakit.plughost import GROUPS, Plugin, tell_all
from novakit.plughost.offers import Listening

plugin = Plugin(group=GROUPS["observers"], name="acme")
observer = Listening(plugin, lambda: threading.Event().wait(), ())
assert asyncio.run(tell_all([observer], within=0.1)) == 1
"""


def test_an_observer_that_never_comes_back_does_not_keep_the_process_alive() -> None:
    subprocess.run([sys.executable, "-c", BLOCKED], check=True, timeout=60)
