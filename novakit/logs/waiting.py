"""Says what a start waits for, while it waits: nobody should have to guess whether it hangs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs

from novakit import world


@attrs.frozen
class Waits:
    """Tells sentences to somebody who watches a start."""

    tell: Callable[[str], None] = lambda sentence: None
    after: float = 1.0
    """Seconds that need no explanation."""
    again: float = 5.0
    """Seconds between two sentences about the same thing."""

    @asynccontextmanager
    async def on(self, what: str) -> AsyncIterator[None]:
        """Say, as long as the block takes, that it is waited for `what`, and for how long already."""
        telling = world.spawn(self._keep_telling(what), name=f"waiting for {what}")
        try:
            yield
        finally:
            telling.cancel()

    async def _keep_telling(self, what: str) -> None:
        began = world.monotonic()
        await asyncio.sleep(self.after)
        while True:
            self.tell(f"waiting for {what} ({world.monotonic() - began:.0f} s)")
            await asyncio.sleep(self.again)
