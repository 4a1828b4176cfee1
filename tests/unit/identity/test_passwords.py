"""What a wrong password costs."""

import statistics
import time

from novakit.identity import passwords


async def _cost(kept: str | None) -> float:
    """Give the seconds of CPU that a wrong password takes."""
    began = time.process_time()
    assert not await passwords.matches("wrong", kept)
    return time.process_time() - began


async def test_a_password_for_nobody_is_refused_at_the_cost_of_one_for_somebody() -> None:
    kept = await passwords.hashed("right")
    assert await passwords.matches("right", kept)
    await _cost(None)  # the first one for nobody makes what the others are compared with
    pairs = [(await _cost(kept), await _cost(None)) for _ in range(7)]
    somebody, nobody = (statistics.median(costs) for costs in zip(*pairs, strict=True))
    assert somebody / 2 < nobody < somebody * 2, "or the time of a refusal would tell who has an account"
