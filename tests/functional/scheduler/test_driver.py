"""A scheduler driver from its entry point to the claim."""

import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from novakit.calls.scheduler import Refusal
from novakit.scheduler.pipeline.compose import Offered
from novakit.scheduler.service import build
from novakit_filters import novakit_filters
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_weighers import novakit_weighers
from tests.support.patience import PATIENT
from tests.support.service import Api, Service

PLUGIN = Path(__file__).parents[2] / "data" / "plugins" / "allocator"


class Fullest:
    """Takes the host with the least memory left, whatever others claimed since."""

    def rank(self, hosts: Any, ask: Any) -> Any:
        return -hosts.column("free_memory_mb").astype("float64")


async def test_what_it_chooses_is_claimed_until_the_ledger_is_full(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(3)
    spec = SchedulerSpec(name="fullest", api=1, build=lambda _: Fullest(), reads={"free_memory_mb"}, within=PATIENT)
    made, _ = build(
        cloud.store,
        cloud.placement,
        [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
        [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()],
        driver=Offered(spec, "novakit-acme"),
    )
    results = await made.select([make() for _ in range(13)])
    assert [isinstance(one, Refusal) for one in results] == [False] * 12 + [True]
    hosts = [one.host for one in results[:12]]
    assert all(len(set(hosts[start : start + 4])) == 1 for start in (0, 4, 8))
    assert set((await cloud.usage()).values()) == {4096}
    (told,) = await made.decisions(server_id=results[0].server_id)
    assert told.driver == "fullest" and list(told.weights[0].by) == ["fullest"]
    assert made.measures().drivers["fullest"].calls == 12
    assert made.measures().conflicts == 0


async def test_the_service_places_as_an_installed_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]))
    state = tmp_path / "state"
    state.mkdir()
    worth = tmp_path / "worth.json"
    worth.write_text("{}")
    text = f'[scheduler]\ndriver = "allocator"\n[schedulers.allocator]\nfile = "{worth}"\n'
    (state / "novakit.toml").write_text(text)
    with Service(state, "--simulate", "3") as service:
        async with aiohttp.ClientSession() as session:
            api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
            listed = await admin.ok("GET", "/compute/v2.1/os-services?binary=nova-compute")
            names = sorted(one["host"] for one in listed["services"])
            image = await api.image()
            nowhere = await api.server("nowhere", image)
            fault = (await api.reach(nowhere, "ERROR"))["fault"]
            assert "3 are given to nobody by the allocator" in fault["message"]
            for name in (names[2], names[0], names[2]):
                worth.write_text(json.dumps({names[1]: 1, name: 2}))
                server = await api.server("one", image)
                await api.reach(server, "ACTIVE")
                shown = (await admin.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
                assert shown["OS-EXT-SRV-ATTR:host"] == name
            async with session.get(f"{service.url}/metrics") as answer:
                assert 'novakit_scheduler_driver_calls_total{driver="allocator"' in await answer.text()
