"""Calls into plugins: named, timed, limited and contained.

The idea: a call is a task of its own whose outcome is a value, so that nothing that a plugin raises, SystemExit
included, reaches the event loop, and that giving a call up does not depend on whether it heeds its cancellation.
The invariant: within the call's time and `_GRACE` whoever calls has an answer, one of the contract's three refusals or
a Fault that names the plugin and is counted. Only code that never awaits gets around it, for it holds the loop itself.
The cost: 11 µs of CPU a call that has its answer at hand, 17 one that waits, beside what the plugin does.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import structlog

from novakit import tracing, world
from novakit.concurrency.deadlines import Deadline
from novakit.concurrency.uncut import over
from novakit.plughost.faults import BusyPlugin, Fault, NotFoundByPlugin, RefusedByPlugin
from novakit.plughost.harvest import describe
from novakit.plughost.offers import Listening, Plugin, Tally
from novakit_hookspecs.errors import Busy, NotFound, Refused

T = TypeVar("T")

log = structlog.get_logger(__name__)

_GRACE = 1.0
"""Seconds that a call gets to clean up after it was cancelled."""


async def guarded(plugin: Plugin, name: str, awaitable: Awaitable[T], within: float) -> T:
    """Await a plugin's answer for `within` seconds.

    Raises RefusedByPlugin, NotFoundByPlugin or BusyPlugin when the plugin says so on purpose (they are also the
    contract's own Refused, NotFound and Busy), and Fault for anything else, which is logged and counted.
    """
    tally = plugin.tallies.get(name) or plugin.tallies.setdefault(name, Tally())
    tally.calls += 1
    started = world.monotonic()
    task = world.spawn(_outcome(awaitable), name=f"{plugin.name}/{name}")
    try:
        # Not the task itself is waited for: it may ignore its cancellation.
        with tracing.below(f"plugin.{name}", plugin__name=plugin.name), Deadline(within):
            # One that has its answer at hand is over by then, and need not be waited for.
            await asyncio.sleep(0)
            if not task.done():
                await over(task)
    except TimeoutError:
        pass  # that the task is not done says it below
    except asyncio.CancelledError:
        await _stop(plugin, name, task)
        raise
    finally:
        tally.seconds += world.monotonic() - started
    if not task.done():
        await _stop(plugin, name, task)
        raise _fault(plugin, name, tally, f"gave no answer within {within:g} s", None)
    if task.cancelled():
        raise _fault(plugin, name, tally, "cancelled itself", None)
    answer, error = task.result()
    if error is None:
        return answer  # type: ignore[return-value]
    raise _translated(plugin, name, tally, error) from error


async def tell_all(observers: Sequence[Listening], *, within: float = 1.0, **facts: object) -> int:
    """Tell every observer at the same time, and say how many failed; each costs only itself.

    One that is not `async def` runs in a thread of its own, because it might block.
    """
    told = await asyncio.gather(*(_tell(one, facts, within) for one in observers))
    return told.count(False)


async def _tell(observer: Listening, facts: dict[str, object], within: float) -> bool:
    arguments = [facts[name] for name in observer.arguments]
    name = observer.plugin.group.hook
    try:
        await guarded(observer.plugin, name, _heard(observer, arguments), within)
    except (Refused, NotFound, Busy) as error:
        tally = observer.plugin.tallies[name]
        _fault(observer.plugin, name, tally, f"raised {describe(error)}", error)
        return False
    except Fault:
        return False
    return True


async def _heard(observer: Listening, arguments: list[object]) -> None:
    if inspect.iscoroutinefunction(observer.function):
        await observer.function(*arguments)
        return
    answer = await observer.thread.run(lambda _: observer.function(*arguments), within=None)
    if inspect.isawaitable(answer):
        await answer


async def _outcome(awaitable: Awaitable[T]) -> tuple[T | None, BaseException | None]:
    """Turn whatever a plugin raises into a value, so that not even SystemExit reaches the event loop."""
    try:
        return await awaitable, None
    except (asyncio.CancelledError, KeyboardInterrupt):
        raise
    except BaseException as error:
        return None, error


async def _stop(plugin: Plugin, name: str, task: asyncio.Task[object]) -> None:
    task.cancel()
    _, running = await asyncio.wait({task}, timeout=_GRACE)
    if running:
        log.error("plugin call ignores its cancellation", plugin=plugin.key, source=plugin.source, call=name)


def _translated(plugin: Plugin, name: str, tally: Tally, error: BaseException) -> Exception:
    if isinstance(error, Refused):
        return RefusedByPlugin(str(error))
    if isinstance(error, NotFound):
        return NotFoundByPlugin(str(error))
    if isinstance(error, Busy):
        return BusyPlugin(str(error), error.retry_after)
    return _fault(plugin, name, tally, f"raised {describe(error)}", error)


def _fault(plugin: Plugin, name: str, tally: Tally, what: str, error: BaseException | None) -> Fault:
    tally.faults += 1
    log.error("plugin fault", plugin=plugin.key, source=plugin.source, call=name, what=what, exc_info=error)
    return Fault(f"{plugin.key} ({plugin.source}) broke in {name}: it {what}.")
