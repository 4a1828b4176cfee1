"""Work that follows changes at a pace: soon after a calm, and in a storm of changes a round now and then.

The invariant: a change that is told of while a round is at work is in the next one; there is one round at a time.
The cost: none while nothing changes.
"""

import asyncio
from collections.abc import Awaitable, Callable

import attrs
import structlog

from novakit import world
from novakit.errors import in_words

log = structlog.get_logger(__name__)


@attrs.define(kw_only=True)
class Paced:
    """Does one piece of work again and again, for as long as somebody says that something changed."""

    name: str
    work: Callable[[], Awaitable[None]]
    """What it raises is logged; whoever finds out what it left undone says so again."""
    first: float = 0.05
    """Seconds from a change that comes after a calm until the work begins."""
    settle: float
    """Seconds between two rounds, so that a storm of changes is one round."""
    share: float
    """How many times as long as the last round took the next one waits."""
    _is_due: bool = False
    _running: asyncio.Task[None] | None = None
    _next: float = 0.0
    """When the next round may begin, by the monotonic clock."""

    def poke(self) -> None:
        """Say that something changed."""
        self._is_due = True
        if self._running is None or self._running.done():
            self._running = world.spawn(self._run(), name=self.name)

    async def close(self) -> None:
        """Begin no more rounds, and leave one that is at work where it is."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while self._is_due:
            await asyncio.sleep(max(self.first, self._next - world.monotonic()))
            self._is_due = False
            began = world.monotonic()
            try:
                await self.work()
            except Exception as error:  # a border: the work of one round must not end all that come after it
                log.warning("work due after changes failed", work=self.name, why=in_words(error))
            ended = world.monotonic()
            self._next = ended + max(self.settle, (ended - began) * self.share)
