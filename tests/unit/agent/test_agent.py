"""What an agent tells of its guests when it is not asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from novakit.agent.agent import Agent
from novakit.config import AgentOptions
from novakit_hookspecs.servers import GuestEvent, Power


class Driver:
    """Tells of one guest in each power state, and is then quiet."""

    async def events(self) -> AsyncIterator[GuestEvent]:
        for power in Power:
            yield GuestEvent(guest="00000000-0000-4000-8000-000000000001", power=power)
        await asyncio.Event().wait()


class Listener:
    """The conductor."""

    def __init__(self) -> None:
        self.heard: list[Power] = []

    async def guest_event(self, event: GuestEvent) -> None:
        self.heard.append(event.power)


class Member:
    """Of the conductor's deployment."""

    refusal = ""


async def test_the_conductor_is_told_of_guests_that_went_off_and_of_no_others() -> None:
    listener, nothing = Listener(), Any
    names = ("spec", "driver_plugin", "network", "network_plugin", "images", "snapshots", "notes_kept", "wires", "bus")
    parts: Any = dict.fromkeys(names, nothing)
    agent = Agent(
        host="h",
        driver=Driver(),  # type: ignore[arg-type]
        membership=Member(),  # type: ignore[arg-type]
        conductor=listener,  # type: ignore[arg-type]
        measuring=nothing,  # type: ignore[arg-type]
        options=AgentOptions(),
        **parts,
    )
    telling = asyncio.create_task(agent._event_loop())
    async with asyncio.timeout(10):
        while len(listener.heard) < 2:
            await asyncio.sleep(0.01)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    assert listener.heard == [power for power in Power if power in (Power.SHUTDOWN, Power.CRASHED)]
