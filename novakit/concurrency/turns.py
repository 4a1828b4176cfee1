"""Long work on the event loop, in short turns."""

import asyncio

import attrs

from novakit import world

TURN = 0.01
"""Seconds that one work may keep others waiting."""


@attrs.define
class Turns:
    """Lets others run now and then while something long is worked at."""

    _since: float = attrs.field(factory=world.monotonic)

    async def pause(self) -> None:
        """Let others run if they have waited long enough."""
        if world.monotonic() - self._since > TURN:
            await asyncio.sleep(0)
            self._since = world.monotonic()
