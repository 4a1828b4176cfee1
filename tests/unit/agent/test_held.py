"""What drivers hold is asked for in a time that leaves some for the answer of the host."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from novakit import world
from novakit.agent import held
from novakit.bus import contract
from novakit.bus.contract import methods_of
from novakit.calls.conductor import ConductorCalls
from novakit.calls.host import MARGIN, HostCalls
from novakit.config import Config
from novakit.plughost import Fault, Plugin
from novakit.plughost.offers import GROUPS


class Hangs:
    async def holdings(self) -> None:
        await asyncio.sleep(3600)

    async def abandoned(self) -> None:
        await asyncio.sleep(3600)

    async def remove_abandoned(self, owner: str) -> None:
        await asyncio.sleep(3600)


@pytest.mark.parametrize("name", ["holdings", "abandoned", "remove_abandoned"])
async def test_a_driver_that_hangs_is_given_up_before_who_asked_the_host_gives_up(name: str) -> None:
    plugin, driver = Plugin(group=GROUPS["drivers"], name="hangs"), Hangs()
    asks: Any = getattr(held, name)
    token = contract._until.set(world.monotonic() + MARGIN + 0.05)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(Fault, match=f"{name}.*no answer within 0.0"):
                await asks(plugin, driver, *(["owner"] if name == "remove_abandoned" else []))
    finally:
        contract._until.reset(token)


async def test_a_driver_for_which_no_time_is_left_is_not_blamed_for_less_than_none() -> None:
    token = contract._until.set(world.monotonic() + MARGIN / 2)
    try:
        with pytest.raises(Fault, match="no answer within 0 s"):
            await held.holdings(Plugin(group=GROUPS["drivers"], name="hangs"), Hangs())
    finally:
        contract._until.reset(token)


def test_an_audit_hears_of_a_host_that_hangs_before_its_own_time_is_over(tmp_path: Path) -> None:
    config = Config(state=tmp_path)
    asked = sum(methods_of(HostCalls)[each].seconds(config, {}) for each in ("holdings", "abandoned"))
    assert asked < methods_of(ConductorCalls)["audit"].seconds(config, {})
