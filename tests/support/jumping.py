"""An event loop whose clock jumps to whatever is due next, so that hours of waiting pass in a moment."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _Jumping(selectors.DefaultSelector):
    """Moves the clock on where the loop would wait for a time."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select()
        # A nanosecond in any case, as a clock does: who waits for a difference may be due a rounding error too early.
        self.now += max(timeout, 1e-9)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """It knows nothing of threads: what they do takes no time here, and what waits for them sees the clock run away."""

    def __init__(self) -> None:
        self._clock = _Jumping()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return the seconds that were waited for."""
        return self._clock.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do work on a loop of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(work)
