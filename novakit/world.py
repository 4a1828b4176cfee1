"""The seams to everything that is not decided by the program: time, chance, names and tasks.

Nothing else in novakit reads a clock, draws a random number, makes an id or starts a task, so a test can run the
whole control plane on a clock and a seed of its own.
"""

import asyncio
import contextvars
import os
import random
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import attrs
import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)


class World(Protocol):
    """What a program cannot know by itself."""

    def now(self) -> datetime:
        """Return what time it is, in UTC and aware of it."""

    def monotonic(self) -> float:
        """Return how many seconds passed since some fixed moment."""

    def new_id(self) -> str:
        """Make a fresh UUID, lower case with dashes."""

    def chance(self) -> random.Random:
        """Return the source of randomness."""


AT_ONCE = 64
"""Ids for which the system is asked at once: a call of it costs more than all the rest of an id."""
_ahead: list[str] = []
"""What was drawn and is not used yet: 16 bytes each."""
# A process that is split in two would have the same ids on both sides.
os.register_at_fork(after_in_child=_ahead.clear)


def _drawn() -> str:
    """Return 16 bytes of the system's randomness in hexadecimal, which nobody else is given."""
    while True:
        with suppress(IndexError):
            # In one step: threads that draw at the same moment get each another one.
            return _ahead.pop()
        drawn = os.urandom(16 * AT_ONCE).hex()
        _ahead.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))


@attrs.define
class SystemWorld:
    """The real clock and the system's randomness."""

    _random: random.Random = attrs.field(factory=random.SystemRandom)

    def now(self) -> datetime:
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)

    def new_id(self) -> str:
        # As `uuid.uuid4` makes it, at a third of the cost: some ten are made for each server.
        drawn = _drawn()
        kind = "89ab"[int(drawn[16], 16) & 3]
        return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{kind}{drawn[17:20]}-{drawn[20:]}"

    def chance(self) -> random.Random:
        return self._random


_world: contextvars.ContextVar[World] = contextvars.ContextVar("novakit_world", default=SystemWorld())  # noqa: B039
_alive: set[asyncio.Task[object]] = set()


@contextmanager
def using(world: World) -> Iterator[None]:
    """Let everything inside see `world`; tasks started inside inherit it."""
    token = _world.set(world)
    try:
        yield
    finally:
        _world.reset(token)


def now() -> datetime:
    """Return what time it is, in UTC and aware of it."""
    return _world.get().now()


def monotonic() -> float:
    """Return how many seconds passed since some fixed moment."""
    return _world.get().monotonic()


def new_id() -> str:
    """Make a fresh UUID, lower case with dashes."""
    return _world.get().new_id()


def chance() -> random.Random:
    """Return the source of randomness."""
    return _world.get().chance()


def word(characters: str, length: int) -> str:
    """Return so many of some characters, each as likely as any other; the system is asked once for all of them."""
    number, drawn = chance().randrange(len(characters) ** length), []
    for _ in range(length):
        number, place = divmod(number, len(characters))
        drawn.append(characters[place])
    return "".join(drawn)


def spawn(work: Coroutine[object, object, T], *, name: str) -> asyncio.Task[T]:
    """Start a task that has a name, is kept alive, and whose unexpected end is logged."""
    task = asyncio.create_task(work, name=name)
    _alive.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[object]) -> None:
    _alive.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task died", task=task.get_name(), exc_info=error)
