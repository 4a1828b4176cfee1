"""Shelve: keep a server's disk as an image and give its host's room back; unshelve builds it anew, anywhere."""

from datetime import timedelta
from typing import Any

import attrs
import structlog

from novakit import errors, world
from novakit.agent.calls import UPLOADING, ImageTarget
from novakit.bus import BusError, RemoteError
from novakit.compute import states
from novakit.compute.records import POWER_NUMBERS
from novakit.conductor.parts import Parts
from novakit.conductor.snapshots import drop_snapshot
from novakit.conductor.verbs.create import SERVICE, Create, fault, leave
from novakit.conductor.verbs.delete import Delete
from novakit.conductor.verbs.power import GRACE
from novakit.conductor.work import Commit, Failed, Rewind, Step, Verb, Work
from novakit.store import operations
from novakit.store.compute import servers
from novakit.store.engine import Row, Session
from novakit_hookspecs.servers import Power

log = structlog.get_logger(__name__)


@attrs.frozen
class Shelve:
    """The steps of shelve and shelveOffload; the snapshot image has the id of the operation that makes it.

    `work.data` holds the host, the vm_state `was`, and once it is known the disk format of the snapshot.
    """

    parts: Parts
    delete: Delete

    def verbs(self) -> list[Verb]:
        """Give the two operations."""
        patience = self.parts.config.conductor.patience
        offload = Step(name="offload", do=self.offload, shown_as="compute_shelve_offload_instance")
        steps = (
            Step(name="off", do=self.off, shown_as="compute_shelve_instance", interruptible=True),
            Step(name="image", do=self.image, interruptible=True),
            Step(name="upload", do=self.upload, interruptible=True),
            attrs.evolve(offload, do=self.offload_now),
        )
        return [
            Verb(kind="shelve", steps=steps, undo=self.undo, patience=patience),
            Verb(kind="shelveOffload", steps=(offload,), undo=self.undo_offload, patience=patience),
        ]

    async def off(self, work: Work) -> Commit:
        """Shut the guest down, as a stop does."""
        await self._set_power(work, Power.SHUTDOWN, GRACE)

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "shelve", "off", power_state=POWER_NUMBERS[Power.SHUTDOWN])

        return commit

    async def image(self, work: Work) -> Commit:
        """Have the host copy the disk, and make the image that is to take the copy."""
        copied = await self.parts.hosts.at(work.data["host"]).snapshot(work.id, work.server_id)
        async with self.parts.store.read() as session:
            server = await servers.show(session, work.server_id)
        if server is None:
            raise Failed("The server was deleted meanwhile.")
        try:
            await self.parts.images.visible(SERVICE, work.id)
        except errors.NotFound:
            await self.parts.images.create(SERVICE, _image(work.id, server, copied.disk_format))

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "shelve", "image")

        return commit

    async def upload(self, work: Work) -> Commit:
        """Have the host fill the image; from then on the server is shelved."""
        try:
            image = await self.parts.images.visible(SERVICE, work.id)
        except errors.NotFound as error:
            raise Failed("The image of the server was deleted before it was complete.") from error
        if image["status"] == "queued":
            token = await self.parts.identity.service_token(project_id=image["owner"], lifetime=UPLOADING)
            url = f"{self.parts.config.url}/image/v2/images/{work.id}/file"
            host = self.parts.hosts.at(work.data["host"])
            await host.upload_snapshot(work.id, work.server_id, ImageTarget(url=url, token=token))
        work.data["kept"] = self.parts.config.conductor.shelved_offload_after != 0
        event = "upload" if work.data["kept"] else "upload to offload"

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "shelve", event, fault=None)

        return commit

    async def offload_now(self, work: Work) -> Commit | None:
        """Offload at once, unless shelved servers are to stay on their hosts for a time."""
        return None if work.data["kept"] else await self.offload(work)

    async def offload(self, work: Work) -> Commit:
        """Remove the guest from its host and give back what it had there; the ports keep their addresses."""
        await clear_host(self.parts, self.delete, work.server_id, work.data["host"])

        async def commit(session: Session) -> None:
            await self.parts.placement.release(session, work.server_id)
            await states.move(
                session, work.server_id, work.kind, "offload", host=None, node=None, availability_zone=None, fault=None
            )

        return commit

    async def undo(self, work: Work, failure: Failed) -> Commit:
        """Leave the server as it was: without a snapshot, and running if it ran."""
        if "kept" in work.data:
            async with self.parts.store.read() as session:
                server = await servers.show(session, work.server_id)
            if server is not None and server["vm_state"] == "shelved":
                return _undone(work, "undo offload", failure)
        await drop_snapshot(self.parts.images, work.id)
        try:
            await self.parts.hosts.at(work.data["host"]).discard_snapshot(work.server_id)
            if work.data["was"] == "active":
                await self.parts.wiring.ensure(work.data["host"])
                await self._set_power(work, Power.RUNNING, 0.0)
        except (RemoteError, BusError) as error:
            # The next report of the host tells what the guest is, and the server follows it.
            log.warning("a server that could not be shelved was not restarted", server=work.server_id, why=str(error))
        return _undone(work, states.UNDO, failure)

    async def undo_offload(self, work: Work, failure: Failed) -> Commit:
        """Leave the server shelved, with the reason."""
        return _undone(work, states.UNDO, failure)

    async def _set_power(self, work: Work, to: Power, within: float) -> None:
        await self.parts.hosts.at(work.data["host"]).set_power(work.id, work.server_id, to, within)


@attrs.frozen
class Unshelve:
    """The steps of unshelve.

    `work.data` holds the snapshot's image id, whether the guest `stays` on the host it still has, and else what a
    create holds: availability_zone, forced_host, group, excluded, failures, tries, and once placed
    host, node and alternates.
    """

    parts: Parts
    create: Create
    delete: Delete

    def verb(self) -> Verb:
        """Give the operation."""
        return Verb(
            kind="unshelve",
            steps=(
                Step(name="place", do=self.place, shown_as="conductor_unshelve_instance"),
                Step(name="wire", do=self.wire),
                Step(name="build", do=self.build, shown_as="compute_unshelve_instance", interruptible=True),
                Step(name="forget", do=self.forget),
            ),
            undo=self.undo,
            patience=self.parts.config.conductor.patience,
        )

    async def place(self, work: Work) -> Commit | None:
        """Choose a host and claim what the server needs of it, as for a new server."""
        if work.data["stays"]:
            return None
        if left := work.data.get("left"):
            await clear_host(self.parts, self.delete, work.server_id, left)
            async with self.parts.store.write() as session:
                await self.parts.placement.release(session, work.server_id)
            work.data["left"] = None
        found = await self.create.find_host(await self.create.server_of(work), work)
        return servers.Change(work.server_id, found)

    async def wire(self, work: Work) -> Commit:
        """Bind the server's ports to the host and have it wire them."""
        if not work.data["stays"]:
            work.seen["ports"] = await self.parts.networks.bind(work.server_id, work.data["host"], work.data["zone"])
        await self.parts.wiring.ensure(work.data["host"])

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "unshelve", "wire")

        return commit

    async def build(self, work: Work) -> None:
        """Have the host build the guest from the snapshot, or start the one that stayed."""
        if work.data["stays"]:
            host = self.parts.hosts.at(work.data["host"])
            work.data["power"] = (await host.set_power(work.id, work.server_id, Power.RUNNING, 0.0)).power.value
            return
        server = await self.create.server_of(work)
        try:
            work.data["power"] = (await self.create.build_guest(server, work, work.data["snapshot"])).value
        except RemoteError as error:
            if self.create.is_final(work, error):
                raise
            raise self._elsewhere(work, error) from error

    def _elsewhere(self, work: Work, error: RemoteError) -> Rewind:
        """Note that this host is to be left; it is cleared by `place`, which a crash does not keep from doing so."""
        host = leave(work, error)
        work.data |= {"host": None, "node": None}

        async def commit(session: Session) -> None:
            await states.move(session, work.server_id, "unshelve", "elsewhere")

        return Rewind("place", f"{host}: {error}", commit)

    async def forget(self, work: Work) -> Commit:
        """Remove the snapshot image, which nothing needs any more; the server is then active."""
        await drop_snapshot(self.parts.images, work.data["snapshot"])

        async def commit(session: Session) -> None:
            await states.move(
                session,
                work.server_id,
                "unshelve",
                "forget",
                power_state=POWER_NUMBERS[Power(work.data["power"])],
                launched_at=world.now(),
                fault=None,
            )

        return commit

    async def undo(self, work: Work, failure: Failed) -> Commit:
        """Leave the server shelved as it was, holding nothing that it did not hold."""
        if work.data["stays"]:
            return _undone(work, states.UNDO, failure)
        await clear_host(self.parts, self.delete, work.server_id, work.data.get("left") or work.data.get("host"))

        async def commit(session: Session) -> None:
            await self.parts.placement.release(session, work.server_id)
            nowhere = {"host": None, "node": None, "availability_zone": None}
            await states.move_if(session, work.server_id, "unshelve", states.UNDO, **nowhere, fault=fault(failure))

        return commit


async def offload_due(parts: Parts) -> int:
    """Have the servers offloaded that have been shelved on their hosts for as long as they may; tell how many."""
    after = parts.config.conductor.shelved_offload_after
    if after <= 0:
        return 0
    async with parts.store.write() as session:
        due = await servers.resting(session, "shelved", before=world.now() - timedelta(seconds=after))
        for row in due:
            await states.move(session, row["id"], "shelveOffload", states.REQUEST)
        if due:
            await operations.add(session, [_offload_of(row) for row in due])
    return len(due)


def _offload_of(row: Row) -> dict[str, Any]:
    return {
        "id": world.new_id(),
        "kind": "shelveOffload",
        "server_id": row["id"],
        "project_id": row["project_id"],
        "user_id": row["user_id"],
        "request_id": f"req-{world.new_id()}",
        "data": {"host": row["host"], "was": row["vm_state"]},
    }


async def clear_host(parts: Parts, delete: Delete, server_id: str, host: str | None) -> None:
    """Remove the guest from its host and its ports from the host's network; a host that is down does it when back."""
    if host:
        await delete.on_host(host, lambda: parts.hosts.at(host).destroy(server_id))
    await parts.networks.unbind(server_id)
    if host:
        await delete.on_host(host, lambda: parts.wiring.ensure(host))


def _undone(work: Work, event: str, failure: Failed) -> Commit:
    async def commit(session: Session) -> None:
        await states.move_if(session, work.server_id, work.kind, event, fault=fault(failure))

    return commit


def _image(image_id: str, server: Row, disk_format: str) -> dict[str, Any]:
    return {
        "id": image_id,
        "name": f"{server['name'][:247]}-shelved",
        "owner": server["project_id"],
        "visibility": "private",
        "disk_format": disk_format,
        "container_format": "bare",
        "min_disk": server["flavor"]["disk"],
        "properties": {
            "image_type": "snapshot",
            "base_image_ref": server["image_id"] or "",
            "instance_uuid": server["id"],
            "user_id": server["user_id"],
        },
    }
