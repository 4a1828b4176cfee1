"""Work that follows changes: nothing that is told of is missed, and rounds do not run side by side."""

import asyncio

import structlog

from novakit.concurrency.paced import Paced


async def test_what_changes_during_a_round_is_in_the_next_one_and_a_round_that_fails_ends_nothing() -> None:
    rounds: list[str] = []
    began, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        rounds.append("begins")
        began.set()
        await go_on.wait()
        rounds.append("ends")
        if len(rounds) == 2:
            raise RuntimeError("the first one fails")

    paced = Paced(name="test", work=work, first=0.0, settle=0.0, share=0.0)
    with structlog.testing.capture_logs() as logged:
        async with asyncio.timeout(20):
            for _ in range(3):
                paced.poke()
            await began.wait()
            paced.poke()
            paced.poke()
            began.clear()
            go_on.set()
            await began.wait()
            while len(rounds) < 4:
                await asyncio.sleep(0)
        await paced.close()
    assert rounds == ["begins", "ends", "begins", "ends"]
    assert [line["why"] for line in logged if line["log_level"] == "warning"] == ["the first one fails"]
    began.clear()
    paced.poke()
    await asyncio.wait_for(began.wait(), 20)
    await paced.close()
