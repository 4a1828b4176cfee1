"""Shelve: keep a server's disk as an image and free its host, at once or once it has stayed there for a time.

The snapshot image has the id of the operation that makes it.
"""

import attrs
import structlog

from novakit import errors
from novakit.bus import BusError, RemoteError
from novakit.bus.tickets import UPLOAD
from novakit.calls.host import ImageTarget, uploading
from novakit.compute.rules import MEMBER, ActionRule
from novakit.compute.states import AT_REST, REQUEST, UNDO, Move, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps.power import GRACE, number, set_power, start_wired
from novakit.conductor.steps.snapshots import drop_snapshot, image_of
from novakit.conductor.verb import Action, Asked, Begun, Step, Verb
from novakit.conductor.verbs import shelve_offload
from novakit.conductor.work import Commit, Failed, Memory, Work
from novakit.context import SERVICE
from novakit.store.compute import servers
from novakit_hookspecs.servers import Power
from novakit_hookspecs.virt import Snapshots

log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Shelving(Memory):
    """What a shelve remembers."""

    was: str = "active"
    """The vm_state it was in: a server that ran is started again when the shelve fails."""
    kept: bool | None = None
    """Whether the guest stays on its host once the image is complete."""


async def begin(asked: Asked) -> Begun[Shelving]:
    """Remember whether the guest runs."""
    return Begun(memory=Shelving(host=asked.server["host"], was=asked.server["vm_state"]))


async def off(work: Work[Shelving], parts: Parts) -> Commit:
    """Shut the guest down, as a stop does."""
    return work.moved("off", power_state=number(await set_power(work, parts, Power.SHUTDOWN, GRACE)))


async def image(work: Work[Shelving], parts: Parts) -> Commit:
    """Have the host copy the disk, and make the image to which the copy is uploaded."""
    copied = await parts.hosts.at(work.host).snapshot(work.id, work.server_id)
    async with parts.store.read() as session:
        server = await servers.server(session, work.server_id)
    if server is None:
        raise Failed("The server was deleted meanwhile.")
    try:
        await parts.images.visible(SERVICE, work.id)
    except errors.NotFound:
        await parts.images.create(SERVICE, image_of(server, work.id, copied.disk_format))
    return work.moved("image")


async def upload(work: Work[Shelving], parts: Parts) -> Commit:
    """Have the host upload the copy; from then on the server is shelved."""
    try:
        found = await parts.images.visible(SERVICE, work.id)
    except errors.NotFound as error:
        raise Failed("The image of the server was deleted before it was complete; shelve the server again.") from error
    if found["status"] == "queued":
        name = work.host
        ticket = parts.tickets.issue(name, work.id, UPLOAD, lifetime=uploading(parts.config.agent.snapshot_within))
        to = ImageTarget(url=parts.image_url(work.id), ticket=ticket)
        await parts.hosts.at(name).upload_snapshot(work.id, work.server_id, to)
    kept = parts.config.conductor.shelved_offload_after != 0
    work.memory = attrs.evolve(work.memory, kept=kept)
    return work.moved("upload" if kept else "upload to offload", fault=None)


async def offload_now(work: Work[Shelving], parts: Parts) -> Commit | None:
    """Offload at once, unless shelved servers are to stay on their hosts for a time."""
    return None if work.memory.kept else await shelve_offload.offload(work, parts)


async def undo(work: Work[Shelving], parts: Parts) -> None:
    """Drop what there is of the snapshot, and start the guest if it ran and nobody has changed it since."""
    await drop_snapshot(parts.images, work.id)
    if work.overtaken:
        return
    try:
        await parts.hosts.at(work.host).discard_snapshot(work.server_id)
        if work.memory.was == "active":
            await start_wired(work, parts)
    except (RemoteError, BusError) as error:
        # The next report of the host tells what the guest is, and the server follows it.
        log.warning("a server that could not be shelved was not restarted", server=work.server_id, why=str(error))


_PENDING, _UPLOADING = "shelving_image_pending_upload", "shelving_image_uploading"
SHELVE = Verb(
    kind="shelve",
    action=Action(name="shelve", rule=ActionRule("os_compute_api:os-shelve:shelve", MEMBER)),
    begin=begin,
    remembers=Shelving,
    needs=Snapshots,
    moves=(
        Move(REQUEST, when(AT_REST, None), None, "shelving"),
        Move("off", when(AT_REST, "shelving"), None, _PENDING),
        Move("image", when(AT_REST, _PENDING), None, _UPLOADING),
        Move("upload", when(AT_REST, _UPLOADING), "shelved", None),
        Move("upload to offload", when(AT_REST, _UPLOADING), "shelved", "shelving_offloading"),
        shelve_offload.OFFLOAD,
        shelve_offload.GONE,
        Move(UNDO, when(AT_REST, "shelving", _PENDING, _UPLOADING), None, None),
        Move("undo offload", shelve_offload.OFFLOAD.before, None, None),
    ),
    steps=(
        Step(name="off", do=off, undo=undo, shown_as="compute_shelve_instance", interruptible=True),
        Step(name="image", do=image, interruptible=True),
        Step(name="upload", do=upload, interruptible=True, holds=True),
        Step(name="offload", do=offload_now, shown_as="compute_shelve_offload_instance"),
    ),
)
