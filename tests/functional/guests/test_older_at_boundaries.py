"""A backup that was taken at any step boundary of any verb, restored after all was done: no guest is destroyed.

The engine and the verbs are the real ones; an operation is cut off at a boundary, the store is copied, the operation
goes on and ends, hosts report, and then the copy takes the store's place and its operation is gone on with.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.agent.agent import Agent
from novakit.conductor.engine import OVERTAKEN, Engine
from novakit.conductor.guests import note as notes
from novakit.conductor.guests.adoption import AdoptionRequest
from novakit.conductor.requests import Requests, operation_of
from novakit.conductor.steps import building
from novakit.conductor.verb import Verb
from novakit.conductor.verbs import VERBS
from novakit.conductor.verbs.create import CREATE, Creating
from novakit.conductor.verbs.reboot import WantedReboot
from novakit.conductor.verbs.unshelve import WantedPlace
from novakit.network import Requested
from novakit.placement import Placement
from novakit.plughost import PluginChoice, PluginHost
from novakit.scheduler import service as scheduling
from novakit.store import Store, operations
from novakit.store.compute import servers
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import Power
from tests.functional.guests.cloud import ADMIN, FLAVOR, Cloud, copied, put_back

HOSTS = ("a", "b")
PLUGINS = PluginHost.load(PluginChoice.read({}, driver="simulated", network="simulated", scheduler=None), ["scheduler"])
FROM = {"create": None, "stop": "active", "reboot": "active", "delete": "active", "shelveOffload": "shelved"}
FROM |= {"unshelve": "shelved_offloaded", "start": "stopped"}
"""What a server is when the verb is asked for."""
BODIES = {"reboot": WantedReboot(type="HARD"), "unshelve": WantedPlace()}
LATER = {
    "stop": ("start", Power.RUNNING),
    "start": ("stop", Power.SHUTDOWN),
    "reboot": ("stop", Power.SHUTDOWN),
    "pause": ("unpause", Power.RUNNING),
    "suspend": ("resume", Power.RUNNING),
    "shelve": ("stop", Power.SHUTDOWN),
}
"""What is done after a verb, and the power state that the guest has then."""


def boundaries() -> Iterator[str]:
    for kind in FROM:
        for step in VERBS[kind].steps:
            for moment in ("begin", "done", "end"):
                yield f"{kind}/{step.name}/{moment}"


class Cut(BaseException):
    """The process dies here."""


@attrs.define
class Site:
    """A cloud whose operations are run by the real engine."""

    cloud: Cloud
    cut_at: str = ""

    async def work(self) -> None:
        """Run operations until none is open, or one was cut off."""
        cut = asyncio.Event()

        def boundary(place: str) -> None:
            if place == self.cut_at:
                cut.set()
                raise Cut

        engine = Engine(self.cloud.parts, VERBS, boundary=boundary, note=self.cloud.conductor._note)
        running = asyncio.ensure_future(engine.run(alone=True))
        async with asyncio.timeout(60):
            while not cut.is_set() and await self.open():
                await asyncio.sleep(0.02)
        # What is written may still be told to whoever notes it.
        await engine.stop(0 if cut.is_set() else 20)
        await running
        self.cut_at = ""

    async def open(self) -> int:
        async with self.cloud.store.read() as session:
            return len(await operations.unfinished(session))

    async def row(self, id: str) -> Any:
        async with self.cloud.store.read() as session:
            return await servers.server(session, id)

    async def ask(self, id: str, verb: Verb[Any]) -> None:
        await Requests(self.cloud.store, self.cloud.bus.join("api")).begin(ADMIN, id, verb, BODIES.get(verb.kind))

    async def create(self, *, networks: bool = True) -> str:
        """Ask for a server, as the API does; on a network, or on none."""
        id, now = world.new_id(), world.now()
        row = {"id": id, "project_id": "p", "user_id": "u", "name": "s", "hostname": "s", "flavor": FLAVOR}
        row |= {"vcpus": 1, "memory_mb": 512, "metadata": {}, "tags": [], "image_properties": {}, "scheduler_hints": {}}
        row |= {"vm_state": "building", "task_state": "scheduling", "created_at": now, "updated_at": now}
        row |= {"reservation_id": "r-1", "config_drive": False}
        memory = Creating(networks=(Requested(network_id=self.cloud.network),) if networks else ())
        async with self.cloud.store.write() as session:
            await servers.add(session, [row])
            await operations.add(session, [operation_of(ADMIN, CREATE, id, memory, now)])
        return id

    async def made(self, state: str) -> str:
        """Make a server and bring it to a vm_state."""
        id = await self.create()
        await self.work()
        await self.cloud.report()
        if state == "stopped":
            await self.ask(id, VERBS["stop"])
        elif state.startswith("shelved"):
            async with self.cloud.store.write() as session:
                await servers.change(session, id, vm_state="shelved")
            if state == "shelved_offloaded":
                await self.ask(id, VERBS["shelveOffload"])
        await self.work()
        return id


async def _serve_scheduler(cloud: Cloud) -> None:
    placement = Placement(cloud.store)
    scheduler, _ = scheduling.build(
        cloud.store, placement, PLUGINS.filters.values(), PLUGINS.weighers.values(), down_after=3600
    )
    await scheduler.open()
    scheduling.serve(scheduler, cloud.bus.join("scheduler"))


async def _guests(cloud: Cloud, id: str) -> list[str]:
    return [host for host in HOSTS if id in await cloud.guests(host)]


async def _wired(cloud: Cloud) -> set[str]:
    """Name the ports that are wired once what is committed has been pushed."""
    for host in HOSTS:
        await cloud.parts.wiring.ensure(host)
    return await cloud.wired("a") | await cloud.wired("b")


async def _live(store: Store, directory: Path, boundary: str, *, reported: bool = True) -> None:
    kind = boundary.partition("/")[0]
    async with Cloud.on(store, directory, HOSTS) as cloud:
        await cloud.begin()
        await _serve_scheduler(cloud)
        site = Site(cloud)
        state = FROM[kind]
        id = await site.create() if state is None else await site.made(state)
        if state is not None:
            await site.ask(id, VERBS[kind])
        site.cut_at = boundary
        await site.work()
        older = await copied(store)
        await site.work()
        if kind == "shelveOffload":
            await cloud.report()
            await site.ask(id, VERBS["unshelve"])
            await site.work()
        await cloud.report(2 if reported else 0)
        where, ports = await _guests(cloud, id), await _wired(cloud)
        assert len(where) == (kind != "delete"), boundary
    await put_back(store, older)
    async with Cloud.on(store, directory, HOSTS) as cloud:
        await _serve_scheduler(cloud)
        site = Site(cloud)
        await site.work()
        await cloud.report(3)
        assert await _guests(cloud, id) == where, f"the guest was lost or built twice after {boundary}"
        row, strange = await site.row(id), await cloud.strangers()
        if kind == "delete":
            assert row is None and strange == {}
            return
        if kind in ("shelveOffload", "unshelve") and row["host"] is None:
            # It is shelved as far as the older store knows, and has an image: which of the two it is, an operator says.
            assert "newer than this database" in strange[id], boundary
            if (
                boundary != "shelveOffload/offload/done"
            ):  # there the older store has taken its ports off the host already
                assert ports <= await _wired(cloud), f"the stranger lost its ports after {boundary}"
            assert (await cloud.desk.adopt(id, None, AdoptionRequest(user_id="u", request_id="req-1"))).why == ""
        assert ports <= await _wired(cloud), f"the guest lost its ports after {boundary}"
        row = await site.row(id)
        assert row["host"] == where[0] and row["vm_state"] in ("active", "stopped"), boundary
        assert await cloud.strangers() == {} and (await cloud.audit()).orphaned == (), boundary


def beginnings() -> Iterator[str]:
    for kind in LATER:
        yield from (f"{kind}/{VERBS[kind].steps[0].name}/{moment}" for moment in ("begin", "done"))


async def _power(cloud: Cloud, id: str) -> list[Power]:
    return [each.power for host in HOSTS for each in await cloud.agents[host].driver.guests() if each.id == id]


async def _change(store: Store, directory: Path, boundary: str, *, reported: bool) -> None:
    kind = boundary.partition("/")[0]
    then, power = LATER[kind]
    async with Cloud.on(store, directory, HOSTS) as cloud:
        await cloud.begin()
        await _serve_scheduler(cloud)
        site = Site(cloud)
        id = await site.made(FROM.get(kind) or "active")
        await site.ask(id, VERBS[kind])
        site.cut_at = boundary
        await site.work()
        older = await copied(store)
        await site.work()
        await site.ask(id, VERBS[then])
        await site.work()
        await (cloud.report(2) if reported else cloud.noted(id))
        assert await _power(cloud, id) == [power], boundary
    await put_back(store, older)
    async with Cloud.on(store, directory, HOSTS) as cloud:
        await _serve_scheduler(cloud)
        site = Site(cloud)
        await site.work()
        assert await _power(cloud, id) == [power], (
            f"the guest was changed by the older store, which had {boundary} open"
        )
        async with store.read() as session:
            row = (await operations.of_server(session, id))[0]
        assert (row["kind"], row["state"], row["reason"]) == (kind, "failed", OVERTAKEN)
        await cloud.report(3)
        row = await site.row(id)
        assert row["vm_state"] == ("active" if power is Power.RUNNING else "stopped") and row["task_state"] is None
        assert await _power(cloud, id) == [power] and await cloud.strangers() == {}
        await site.ask(id, VERBS["stop" if power is Power.RUNNING else "start"])
        await site.work()
        assert await _power(cloud, id) != [power], "what is asked for now is done"


@pytest.mark.parametrize("reported", [True, False], ids=["reported", "noted"])
@pytest.mark.parametrize("boundary", list(beginnings()))
async def test_a_change_that_an_older_store_has_open_is_not_done_to_a_newer_guest(
    store: Store, tmp_path: Path, boundary: str, reported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*asked: object) -> None:
        raise Refused("nobody takes images here")

    # So a shelve fails, and leaves the server as it was.
    monkeypatch.setattr(Agent, "upload_snapshot", refuse)
    await _change(store, tmp_path, boundary, reported=reported)


@pytest.mark.parametrize("boundary", list(boundaries()))
async def test_an_older_store_takes_no_guest_back(store: Store, tmp_path: Path, boundary: str) -> None:
    await _live(store, tmp_path, boundary)


BUILT = [each for each in boundaries() if each.partition("/")[0] in ("create", "unshelve") and each.endswith("/done")]


@pytest.mark.parametrize("boundary", ["create/place/begin", *BUILT])
async def test_an_older_store_takes_no_guest_back_that_was_lost_before_its_host_reported_it(
    store: Store, tmp_path: Path, boundary: str
) -> None:
    await _live(store, tmp_path, boundary, reported=False)


@pytest.mark.parametrize("killed", [True, False])
async def test_an_operation_that_has_noted_its_end_goes_on_or_takes_its_own_guest_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    """Killed right after the note it ends as it had begun to; where its end cannot be written, nothing is left."""
    async with Cloud.on(store, tmp_path, ("a",)) as cloud:
        await cloud.begin()
        await _serve_scheduler(cloud)
        site = Site(cloud)
        id = await site.create()
        if killed:
            site.cut_at = "create/build/done"
            await site.work()
            (note,) = await cloud.parts.hosts.at("a").notes((id,))
            assert note.version and await site.open() == 1
        else:
            note_end = building.note_end

            async def moved_meanwhile(work: Any, parts: Any) -> Any:
                ended = await note_end(work, parts)
                async with store.write() as session:
                    await servers.change(session, id, vm_state="error", task_state=None)
                return ended

            monkeypatch.setattr(building, "note_end", moved_meanwhile)
        await site.work()
        row = await site.row(id)
        assert await cloud.guests("a") == ({id} if killed else set()) and row["vm_state"] == (
            "active" if killed else "error"
        )
        if killed:
            (note,) = await cloud.parts.hosts.at("a").notes((id,))
            async with store.read() as session:
                (last,) = (await operations.last_ended(session, [id])).values()
            read = notes.read(note)
            assert (read.operation, read.ended) == (last.id, last.at.isoformat()), "noted as it was written"
        await cloud.parts.wiring.ensure("a")
        await cloud.report(3)
        assert await cloud.strangers() == {} and (await cloud.audit()).orphaned == ()
