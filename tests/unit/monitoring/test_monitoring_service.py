"""Who asks whom for numbers and health."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from novakit.bus import MemoryBus, Unreachable
from novakit.calls.conductor import ConductorCalls
from novakit.calls.counts import ConductorCounts, OperationCounts
from novakit.calls.scheduler import SchedulerCalls
from novakit.compute.hosts import Hosts
from novakit.config import Config
from novakit.disk import MIB, Room
from novakit.monitoring.service import Monitoring
from novakit.store import engine
from novakit.store.compute import hosts
from tests.support.stores import sqlite_store
from tests.support.targets import serve_some
from tests.unit.monitoring.told import samples, scheduler_counts


@asynccontextmanager
async def watched(tmp_path: Any, bus: MemoryBus, **fields: Any) -> AsyncIterator[Any]:
    store = await sqlite_store(tmp_path / "x.db")
    app = web.Application()
    joined = bus.join("api")
    Monitoring(config=Config(state=tmp_path), store=store, hosts=Hosts(store, joined), bus=joined, **fields).mount(app)
    async with TestClient(TestServer(app)) as client:
        yield store, client
    await store.close()


def served(bus: MemoryBus, left_out: dict[str, str] | None = None) -> None:
    async def scheduler() -> Any:
        return attrs.evolve(scheduler_counts(), left_out=left_out or {})

    async def conductor() -> Any:
        return ConductorCounts(operations=(OperationCounts(kind="create", state="done", count=5),), running=1)

    serve_some(bus.join("scheduler"), SchedulerCalls, counts=scheduler)
    serve_some(bus.join("conductor"), ConductorCalls, counts=conductor)


async def test_hosts_whose_disks_are_full_are_named_and_degrade_where_no_host_has_room(tmp_path: Any) -> None:
    full = Room(size=100 * MIB, free=MIB, low_water=20 * MIB, reserved=4 * MIB)
    bus = MemoryBus()
    served(bus)
    async with watched(tmp_path, bus) as (store, client):

        async def report(**rooms: Room) -> Any:
            async with store.write() as session:
                for name, room in rooms.items():
                    await hosts.report(session, name, {}, room=attrs.asdict(room))
            return await (await client.get("/healthcheck")).json()

        health = await report(a=full, b=attrs.evolve(full, free=50 * MIB))
        assert list(health["disks_of_hosts"]) == ["a"] and "nothing new is made" in health["disks_of_hosts"]["a"]
        assert health["status"] == "ok"
        told = samples(await (await client.get("/metrics")).text())
        assert told["novakit_disk_free_bytes", "host a"] == MIB
        health = await report(b=full)
        assert "No host has room" in health["degraded"]["disks of hosts"]
        health = await report(a=attrs.evolve(full, free=50 * MIB), b=attrs.evolve(full, free=50 * MIB))
        assert (health["status"], health["disks_of_hosts"]) == ("ok", {})


async def test_a_full_database_and_one_without_schema_are_named(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = MemoryBus()
    served(bus)
    async with watched(tmp_path, bus) as (store, client):
        cause = sqlite3.OperationalError("full")
        cause.sqlite_errorcode = sqlite3.SQLITE_FULL
        with pytest.raises(sa.exc.OperationalError):
            async with store.write():
                raise sa.exc.OperationalError("INSERT", {}, cause)
        health = await (await client.get("/healthcheck")).json()
        assert "it is full; make room" in health["degraded"]["store"]
        monkeypatch.setattr(engine, "FULL_FOR", 0.0)
        async with store.write() as session:
            await hosts.report(session, "a", {})
        assert (await (await client.get("/healthcheck")).json())["status"] == "ok"
        async with store.write() as session:
            for table in ("host_metrics", "hosts"):
                await session.execute(sa.text(f"DROP TABLE {table}"))
        health = await (await client.get("/healthcheck")).json()
        assert "has no schema of novakit" in health["degraded"]["store"]


async def test_roles_elsewhere_are_asked_over_the_bus_and_silent_ones_cost_only_themselves(tmp_path: Any) -> None:
    bus = MemoryBus()
    async with watched(tmp_path, bus) as (_, client):
        told = samples(await (await client.get("/metrics")).text())
        assert told["novakit_source_answered", "scheduler"] == 0
        served(bus)
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        told = samples(await answer.text())
        assert told["novakit_source_answered", "scheduler"] == 1
        assert told["novakit_scheduler_conflicts_total", "scheduler-1"] == 2


async def test_a_scheduler_that_does_not_answer_is_named_beside_those_that_do(tmp_path: Any) -> None:
    bus = MemoryBus()

    async def broken() -> Any:
        raise Unreachable("it hangs")

    async with watched(tmp_path, bus) as (_, client):
        served(bus)
        serve_some(bus.join("scheduler:scheduler-2"), SchedulerCalls, counts=broken)
        told = samples(await (await client.get("/metrics")).text())
        assert told["novakit_scheduler_conflicts_total", "scheduler-1"] == 2
        assert told["novakit_source_answered", "scheduler"] == 1
        assert told["novakit_source_answered", "scheduler scheduler-2"] == 0
        answer = await client.get("/healthcheck")
        assert answer.status == 503
        assert (await answer.json())["degraded"] == {
            "scheduler scheduler-2": "The scheduler scheduler-2 does not answer."
        }


async def test_the_healthcheck_names_what_is_degraded(tmp_path: Any) -> None:
    bus = MemoryBus()
    async with watched(tmp_path, bus) as (store, client):
        answer = await client.get("/healthcheck")
        assert answer.status == 503
        assert set((await answer.json())["degraded"]) == {"scheduler", "conductor"}
        served(bus)
        async with store.write() as session:
            await hosts.report(session, "one", {})
            await hosts.report(session, "two", {})
            await hosts.decide(session, "two", forced_down=True)
        answer = await client.get("/healthcheck")
        assert answer.status == 200
        assert await answer.json() == {
            "status": "ok",
            "degraded": {},
            "hosts": {"total": 2, "up": 1},
            "disks_of_hosts": {},
        }
        async with store.write() as session:
            await hosts.decide(session, "one", forced_down=True)
        answer = await client.get("/healthcheck")
        assert answer.status == 503 and list((await answer.json())["degraded"]) == ["hosts"]
        async with store.write() as session:
            await session.execute(sa.text("DROP TABLE hosts"))
        answer = await client.get("/healthcheck")
        assert answer.status == 503 and "store" in (await answer.json())["degraded"]


async def test_the_healthcheck_names_a_filter_that_could_not_be_built(tmp_path: Any) -> None:
    bus = MemoryBus()
    async with watched(tmp_path, bus) as (_, client):
        served(bus, {"filter acme": "acme of novakit-acme could not be built"})
        answer = await client.get("/healthcheck")
        assert answer.status == 503
        assert (await answer.json())["degraded"] == {"filter acme": "acme of novakit-acme could not be built"}


@pytest.mark.parametrize("path", ["/metrics", "/healthcheck"])
async def test_strangers_are_refused_unless_the_operator_opens_it(path: str, tmp_path: Any) -> None:
    behind_proxy = {"X-Forwarded-For": "192.0.2.7"}
    bus = MemoryBus()
    served(bus)
    async with watched(tmp_path, bus) as (_, client):
        refused: aiohttp.ClientResponse = await client.get(path, headers=behind_proxy)
        assert refused.status == 403 and "metrics_open" in await refused.text()
    async with watched(tmp_path, bus, is_open=True) as (_, client):
        assert (await client.get(path, headers=behind_proxy)).status == 200
