"""Spans of a decision, and of an operation that asks for one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from novakit import tracing, world
from novakit.bus import MemoryBus, client
from novakit.calls.scheduler import SchedulerCalls
from novakit.conductor.engine import Engine
from novakit.conductor.verb import Step, Verb
from novakit.conductor.work import Memory, Work
from novakit.config import Config
from novakit.scheduler.service import serve
from novakit.store import operations
from novakit_hookspecs.scheduling import Ask

EXPORTER = InMemorySpanExporter()


@pytest.fixture
def finished() -> Iterator[Any]:
    """Give the spans that ended since; the provider is the process's and can be set only once."""
    if tracing.tracer() is None:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
        trace.set_tracer_provider(provider)
    EXPORTER.clear()
    yield EXPORTER.get_finished_spans
    EXPORTER.clear()


def above(finished: Any) -> dict[str, str | None]:
    """Give the parent's name by name."""
    names = {one.context.span_id: one.name for one in finished()}
    return {one.name: names.get(one.parent.span_id) if one.parent else None for one in finished()}


async def test_a_decision_is_a_span_with_one_for_each_filter_and_weigher(cloud: Any, make: Any, finished: Any) -> None:
    await cloud.add_hosts(4)
    scheduler = cloud.scheduler(filters=["ram", "compute"], weighers=["cpu"])
    await scheduler.select([make(memory_mb=2048)])
    parents = above(finished)
    assert parents["scheduler.decision"] is None
    assert parents["scheduler.filter_phase"] == parents["scheduler.weighing_phase"] == "scheduler.decision"
    assert parents["filter.ram"] == "scheduler.filter_phase" and parents["weigher.cpu"] == "scheduler.weighing_phase"
    by_name = {one.name: one.attributes for one in finished()}
    assert by_name["scheduler.decision"]["hosts.before"] == by_name["scheduler.decision"]["hosts.after"] == 4
    assert {"ram", "compute"} <= set(by_name["scheduler.filter_phase"]["filters.list"])
    assert by_name["scheduler.filter_phase"]["filters.count"] == len(by_name["scheduler.filter_phase"]["filters.list"])
    assert by_name["filter.ram"]["hosts.after"] == 4


async def test_a_filter_that_leaves_nobody_shows_in_its_span(cloud: Any, make: Any, finished: Any) -> None:
    await cloud.add_hosts(3, memory_mb=1024)
    await cloud.scheduler().select([make(memory_mb=4096)])
    decision = next(one for one in finished() if one.name == "scheduler.decision")
    assert decision.attributes["decision.outcome"] == "refused" and decision.attributes["hosts.after"] == 0
    ram = [one for one in finished() if one.name == "filter.ram"][-1]
    assert (ram.attributes["hosts.before"], ram.attributes["hosts.after"]) == (3, 0)


async def test_decisions_hang_below_the_operation_that_asked_over_the_bus(
    cloud: Any, make: Any, finished: Any, tmp_path: Path
) -> None:
    await cloud.add_hosts(2)
    bus = MemoryBus()
    serve(cloud.scheduler(), bus.join("scheduler"))
    asked = client(SchedulerCalls, bus.join("conductor"), Config(state=tmp_path))

    async def place(work: Work[Memory], parts: Any) -> None:
        await asked.select((Ask(server_id=work.server_id, project_id="p", user_id="u", memory_mb=512),))

    ended = asyncio.Event()
    verb = Verb(kind="create", remembers=Memory, moves=(), steps=(Step(name="place", do=place),))
    parts: Any = SimpleNamespace(store=cloud.store)
    engine = Engine(parts, {"create": verb}, note=lambda work, state: ended.set() if state == "done" else None)
    who = {"project_id": world.new_id(), "user_id": world.new_id(), "request_id": "req-1"}
    async with cloud.store.write() as session:
        await operations.add(session, [{"id": world.new_id(), "kind": "create", "server_id": world.new_id(), **who}])
    running = world.spawn(engine.run(alone=True), name="engine")
    async with asyncio.timeout(60):
        await ended.wait()
    await engine.stop(5)
    await running
    parents = above(finished)
    assert parents["operation.create"] is None
    assert parents["step.place"] == "operation.create"
    assert parents["scheduler.decision"] == "step.place"
