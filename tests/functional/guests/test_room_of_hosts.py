"""A host whose disk is short says so with every report, and takes nothing of what it measured before."""

from pathlib import Path

import attrs
import pytest

from novakit.agent import measure
from novakit.agent.measure import Measuring
from novakit.disk import Disk
from novakit.store import Store
from novakit.store.compute import hosts
from novakit.store.scheduler import host_metrics
from tests.functional.guests.cloud import Cloud


@attrs.define
class Meter:
    """Measures once, and then its file cannot be read any more."""

    is_there: bool = True

    def read(self, at: float) -> dict[str, float]:
        if not self.is_there:
            raise FileNotFoundError("energy_uj")
        return {"power_usage_watts": 150.0}

    def examine(self) -> tuple[str, str]:
        return "", ""


async def test_room_is_told_beside_measurements_which_stay(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "EVERY", 0.0)
    meter = Meter()
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        agent = cloud.agents["a"]
        agent.measuring = Measuring({"power": meter})
        await cloud.report()
        meter.is_there = False
        for low_water in (1, 1 << 40, 1):
            agent.disk = Disk(directory=tmp_path, low_water_mb=low_water)
            await cloud.report()
            async with store.read() as session:
                (room,) = (await hosts.rooms(session)).values()
                (told,) = await host_metrics.since(session, 0)
            assert told["metrics"] == {"power_usage_watts": 150.0}
            assert (room["free"] < room["low_water"]) == (low_water > 1)  # type: ignore[operator]
        agent.disk = None
        await cloud.report()
        async with store.read() as session:
            assert await hosts.rooms(session) == {}
