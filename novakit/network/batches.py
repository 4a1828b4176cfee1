"""Many small writes asked for at once become one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import attrs

from novakit import world

A = TypeVar("A")
R = TypeVar("R")


@attrs.define
class Batch(Generic[A, R]):
    """Gathers what is asked for while a transaction runs, and does it in the next.

    An ask that cannot be done costs only itself: when a batch fails, each of its asks is tried alone.
    """

    name: str
    work: Callable[[Sequence[A]], Awaitable[Sequence[R]]]
    limit: int = 100
    _waiting: list[tuple[A, asyncio.Future[R]]] = attrs.field(factory=list)
    _running: bool = False

    async def ask(self, ask: A) -> R:
        """Wait until the work was done for this ask and give its result."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        if not self._running:
            self._running = True
            world.spawn(self._run(), name=self.name)
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                part, self._waiting = self._waiting[: self.limit], self._waiting[self.limit :]
                await self._do(part)
        finally:
            self._running = False

    async def _do(self, part: Sequence[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            results = await self.work([ask for ask, _ in part])
        except Exception as error:  # a border: whatever it was belongs to those who asked
            if len(part) == 1:
                _settle(part[0][1], error)
                return
            for one in part:
                await self._do([one])
            return
        except BaseException:
            for _, answer in part:
                answer.cancel()
            raise
        for (_, answer), result in zip(part, results, strict=True):
            if not answer.done():
                answer.set_result(result)


def _settle(answer: asyncio.Future[R], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
