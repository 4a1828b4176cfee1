"""Long work lets others run once its turn is over, and not before."""

import asyncio

from novakit import world
from novakit.concurrency.turns import TURN, Turns


async def test_others_run_once_a_turn_is_over_and_not_before() -> None:
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "another")
    await Turns(since=world.monotonic() + 60).pause()
    assert not ran, "the turn is not over"
    await Turns(since=world.monotonic() - 2 * TURN).pause()
    assert ran == ["another"]


async def test_a_new_turn_begins_when_others_have_run() -> None:
    turns = Turns(since=world.monotonic() - 3600)
    await turns.pause()
    assert world.monotonic() - turns._since < 60
