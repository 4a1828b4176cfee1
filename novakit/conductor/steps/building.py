"""Placing a server and building its guest: what create and unshelve do alike.

The idea: a host is chosen and claimed, the ports are wired there, the guest is built; a build that fails leaves its
host and begins anew on another one.
The invariant: a host that was left is written down before it is cleared, so that a crash in between clears it again.
The cost: 2 calls, 1 to a scheduler and 1 to the host, besides that of `note_end`; server and ports are read once for
all steps. Each host whose build fails costs both again, a transaction, and what it takes to clear it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypeVar, cast

import attrs
import structlog

from novakit import world
from novakit.bus import BusError, NotTaken, RemoteBusy, RemoteError, RemoteRefused, Unreachable, topics
from novakit.bus.tickets import DOWNLOAD
from novakit.calls.decisions import GivenDevice
from novakit.calls.host import BuildPlan, GuestNote, ImageSource, NicPlan
from novakit.calls.scheduler import Earlier, Refusal
from novakit.compute import guest_metadata
from novakit.conductor.guests import age
from novakit.conductor.parts import Parts
from novakit.conductor.steps import clearing
from novakit.conductor.work import AnyWork, Failed, Memory, Postponed, Rewind, Work, evolve
from novakit.context import SERVICE
from novakit.errors import InsufficientStorage, NotFound
from novakit.image import DEACTIVATED
from novakit.network import PortInfo
from novakit.store.compute import left_guests, strangers
from novakit.store.compute.servers import ServerColumns, ServerRow
from novakit.store.engine import Session
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.scheduling import Ask, GroupAsk, ImageAsk
from novakit_hookspecs.servers import GuestPlan, Power

log = structlog.get_logger(__name__)


@attrs.frozen(kw_only=True)
class Building(Memory):
    """What is remembered of choosing a host, and of the hosts that were tried."""

    node: str | None = None
    """The hostname that the host's hypervisor has."""
    zone: str | None = None
    """The availability zone of the host."""
    availability_zone: str | None = None
    """The one that was asked for."""
    disk_format: str = ""
    """That of the image that the guest is built from; empty where an older version asked for the server."""
    forced_host: str | None = None
    """The host that was asked for; no other one is tried."""
    forced_node: str | None = None
    """The same by the hostname of a hypervisor."""
    forced: bool = False
    """Whether filters are passed over for the host that was asked for."""
    excluded: tuple[str, ...] = tuple_field()
    """Hosts that failed."""
    failures: tuple[str, ...] = tuple_field()
    """What each of them said."""
    full: int = 0
    """How many of them had no room on their disks."""
    tries: int = 1
    """On how many hosts it was tried to build the guest, the one that is tried now included."""
    decision: str | None = None
    """The decision that chose the host."""
    alternates: tuple[str, ...] = tuple_field()
    """The next best hosts, best first."""
    numa: tuple[Taken, ...] = tuple_field()
    """What was claimed of the host's NUMA cells."""
    devices: tuple[GivenDevice, ...] = tuple_field()
    """The devices of the host that were claimed."""
    builds: tuple[tuple[str, bool], ...] = tuple_field()
    """Where builds ended, and whether they worked: what a host's failure rate is made of."""
    left: str | None = None
    """A host that is to be cleared before another is chosen."""
    unasked: str | None = None
    """A host that does not answer, of which it is known that it was asked for no guest yet."""


B = TypeVar("B", bound=Building)
STAYS: ServerColumns = {}
"""Nothing is set in a server's row when it leaves a host: the row says where it was until another one is chosen."""
TAKEN = "{} has a guest of this server that is newer than the database, which was restored from a backup."


async def server_of(work: AnyWork, parts: Parts) -> ServerRow:
    """Read the server once: what its plan is made of does not change while it is built."""
    server = work.seen.server
    if server is None:
        server = work.seen.server = await parts.servers.read(work.server_id)
    if server is None:
        raise Failed("The server was deleted meanwhile.")
    return server


async def find_host(work: Work[B], parts: Parts) -> ServerColumns:
    """Have a host chosen and claimed, and return the server's columns that say which. Raises Failed without one."""
    server, memory = await server_of(work, parts), work.memory
    if work.attempt > 1:
        await _refuse_twice(work, parts)
    earlier = {}
    if memory.alternates:
        earlier = {server["id"]: Earlier(decision_id=str(memory.decision), hosts=memory.alternates)}
    (result,) = await parts.scheduler.select((ask(server, work.request_id, memory),), earlier)
    if isinstance(result, Refusal):
        work.memory = evolve(memory, decision=result.decision_id)
        raise _refusal(result, memory.failures, memory.full)
    zone = result.availability_zone or "nova"
    work.memory = evolve(
        memory,
        decision=result.decision_id,
        host=result.host,
        node=result.node,
        zone=zone,
        numa=result.numa,
        devices=result.devices,
        alternates=tuple([each.host for each in result.alternates]),
    )
    work.seen.chosen = result.host
    placed: ServerColumns = {"host": result.host, "node": result.node, "availability_zone": zone}
    # The config drive and the guest's note tell where the server is, and are written from what was read before that.
    work.seen.server = cast(ServerRow, {**server, **placed})
    return placed


async def wire_there(work: Work[B], parts: Parts, left: ServerColumns = STAYS) -> None:
    """Have the chosen host wire the ports; where it goes down before it was asked for a guest, another one is chosen.

    One that was asked may have the guest and only be cut off, and no guest may run twice: it is waited for, as long as
    operations wait for a host. Whoever chose the host has asked it for nothing yet, and says so in the memory, which is
    written before it is tried again; that is taken back before a guest is asked for.
    """
    host = work.host
    try:
        await parts.wiring.ensure(host)
    except Unreachable as error:
        raise await _unasked(work, parts, error, left) from error
    if work.memory.unasked is not None:
        work.memory = evolve(work.memory, unasked=None)
        raise Postponed(f"{host} answers again", 0.01)


async def _unasked(work: Work[B], parts: Parts, error: Unreachable, left: ServerColumns) -> Exception:
    """Return how a build goes on whose host does not answer and was, this time, asked for no guest."""
    host = work.host
    if host not in (work.seen.chosen, work.memory.unasked):
        return error
    work.memory = evolve(work.memory, unasked=host)
    # Where no other host fits, this one is waited for: it may only start anew.
    if work.memory.alternates and await clearing.is_down(parts, host):
        return elsewhere(work, parts, error, left)
    return error


async def _refuse_twice(work: AnyWork, parts: Parts) -> None:
    """Raise `Failed` for a server of which a host already has a guest that is newer than the database.

    Only an operation that was taken over can be one that a restored backup has open.
    """
    async with parts.store.read() as session:
        told = await strangers.some(session, work.server_id)
    found = [row for row in told if row["keeps"].get("reach") == strangers.EVERYWHERE]
    if found:
        raise Failed(TAKEN.format("A host"), details=f"{found[0]['host']} has the guest; see `novakit guest list`")


async def build_guest(
    work: Work[B], parts: Parts, image_id: str | None, *, admin_pass: str | None = None, left: ServerColumns = STAYS
) -> Power:
    """Have the host build the guest from an image and start it. Raises RemoteError when the host cannot.

    `left` is what `elsewhere` takes: a server without networks comes here first upon a host that has gone down.
    """
    if work.memory.unasked is not None:
        await wire_there(work, parts, left)
    server, memory = await server_of(work, parts), work.memory
    ports = await _ports_of(work, parts)
    try:
        image = await _image_source(parts, str(memory.host), image_id)
        note = work.seen.note = _note(work, parts, server, ports)
        plan = _plan(server, ports, image, memory, admin_pass, note)
        # On which host the server is must outlive a power cut from now on, or the guest could be built twice.
        await parts.store.settled(work.seen.commits)
        guest = await parts.hosts.at(str(memory.host)).build(work.id, plan)
    except NotTaken as error:
        raise await _unasked(work, parts, error, left) from error
    except RemoteBusy as error:
        await parts.wiring.ensure(str(memory.host))
        raise Postponed(str(error), 0.5) from error
    except RemoteRefused:
        if (built := await _meet(work, parts, {port.id for port in ports})) is None:
            raise
        return built
    except RemoteError:
        await _tell_ended(work, parts, worked=False)
        raise
    await _tell_ended(work, parts, worked=True)
    return guest.power


async def note_end(work: Work[B], parts: Parts) -> datetime:
    """Have the host note that the guest is built, and return the moment at which the operation then ends.

    It is on the host's disk before anybody is told: a backup that is restored has the operation open, and must not take
    back what a user has seen. A host that does not answer notes it with its next report.
    The cost: one call to the host and its flush, 0.9 ms of CPU on both sides, and no statement.
    """
    server, host, ended = await server_of(work, parts), work.host, world.now()
    build = work.seen.note
    if build is not None:
        note = parts.notary.write_ended(host, work.id, build, ended)
    else:
        note = _note(work, parts, {**server, "launched_at": ended}, await _ports_of(work, parts), ended)
    work.note_end(ended)
    try:
        await parts.hosts.at(host).keep_note(note)
    except BusError as error:
        log.warning("the end of a build could not be noted", host=host, guest=server["id"], why=str(error))
    return ended


async def _ports_of(work: AnyWork, parts: Parts) -> Sequence[PortInfo]:
    """Return the server's ports, which may have been read already."""
    ports = work.seen.ports
    if ports is None:
        ports = (await parts.networks.ports_of([work.server_id])).get(work.server_id, [])
    return ports


def _note(
    work: Work[B],
    parts: Parts,
    server: ServerRow,
    ports: Sequence[PortInfo],
    ended: datetime | None = None,
) -> GuestNote:
    """Write down what the host keeps of the guest."""
    host, devices = work.host, [one.address for one in work.memory.devices]
    return parts.notary.write(host, work.id, server, ports, ended=ended, devices=devices, numa=work.memory.numa)


async def _meet(work: Work[B], parts: Parts, ports: Collection[str]) -> Power | None:
    """Go on where a host refused a build because of a guest of the server that it has.

    One that this operation built with these ports before it was killed is what was asked for: its power is returned.
    One that is left over is removed, and the build begins anew; one that is newer than this database is left alone, and
    the build has failed.
    """
    host, server_id = work.host, work.server_id
    (kept,) = await parts.hosts.at(host).notes((server_id,)) or (None,)
    if kept is None or not kept.version:
        return None
    note = age.read(kept)
    is_ours = note is not None and note.operation == work.id and parts.notary.is_sealed(host, kept)
    # A backup of before the ports were made has others by now than the guest is wired with.
    if is_ours and note is not None and {each.id for each in note.ports} == {*ports}:
        told = {each.id: each for each in (await parts.hosts.at(host).holdings()).guests}
        if server_id in told:
            return told[server_id].power
    if await clearing.leave(parts, host, server_id):
        raise Postponed(f"{host} had a guest of the server that was left over", 0.5)
    raise Failed(TAKEN.format("Its host"), details=f"{host} has the guest; see `novakit guest list`")


async def _tell_ended(work: Work[B], parts: Parts, *, worked: bool) -> None:
    """Let schedulers avoid hosts whose builds fail; what a host refuses is the request's fault and not its own."""
    host = work.host
    work.memory = evolve(work.memory, builds=(*work.memory.builds, (host, worked)))
    await topics.BUILDS_ENDED.publish(parts.bus, topics.BuildEnded(host=host, worked=worked))


def elsewhere(work: Work[B], parts: Parts, error: BusError, left: ServerColumns = STAYS) -> Exception:
    """Return how a build that failed goes on: `Rewind` to another host, or the error itself where no other is tried.

    The request is at fault, the server is bound to this host, or it was tried often enough.
    `left` are columns that are set when the host is left.
    """
    memory = work.memory
    bound = memory.forced_host or memory.forced_node
    if bound or isinstance(error, RemoteRefused) or memory.tries >= parts.config.scheduler.max_attempts:
        return error
    host = str(memory.host)
    is_full = isinstance(error, RemoteError) and error.kind == InsufficientStorage.__name__
    work.end("Error", str(error))
    work.memory = evolve(
        memory,
        host=None,
        node=None,
        left=host,
        excluded=(*memory.excluded, host),
        failures=(*memory.failures, f"{host}: {error}"[:500]),
        full=memory.full + is_full,
        tries=memory.tries + 1,
        unasked=None,
    )
    work.seen.ports = work.seen.note = None
    moved = work.moved("elsewhere", **left)

    async def leave(session: Session) -> None:
        # Before it is asked to clear up: it may never answer, and a delete takes the place of whoever asks.
        await left_guests.put(session, host, work.server_id)
        await moved(session)

    return Rewind("place", f"{host}: {error}", leave)


def ask(server: ServerRow, request_id: str, memory: Building) -> Ask:
    """Write down what the scheduler must know to place a server."""
    flavor, group = server["flavor"], server["scheduler_hints"].get("group")
    return Ask(
        server_id=server["id"],
        project_id=server["project_id"],
        user_id=server["user_id"],
        request_id=request_id,
        flavor_name=flavor["name"],
        vcpus=flavor["vcpus"],
        memory_mb=flavor["ram"],
        root_gb=flavor["disk"],
        ephemeral_gb=flavor.get("ephemeral", 0),
        swap_mb=flavor.get("swap", 0),
        extra_specs=flavor.get("extra_specs", {}),
        image=_image_ask(server, memory.disk_format),
        config_drive=bool(server["config_drive"]),
        availability_zone=memory.availability_zone,
        host=memory.forced_host,
        node=memory.forced_node,
        force=memory.forced,
        hints=server["scheduler_hints"],
        # Its rule and members are read where the decision is made: they may change until then.
        group=GroupAsk(id=group, policy="") if isinstance(group, str) else None,
        excluded_hosts=memory.excluded,
    )


def _image_ask(server: ServerRow, disk_format: str) -> ImageAsk | None:
    if not server["image_id"]:
        return None
    properties = {key: str(value) for key, value in server["image_properties"].items()}
    return ImageAsk(id=server["image_id"], properties=properties, disk_format=disk_format)


def _refusal(refused: Refusal, failures: Sequence[str], full: int) -> Failed:
    """Return why no host was found, and that some were tried before: to the owner how many, to admins which and why."""
    message, detail = refused.message, refused.detail
    if failures:
        hosts = "1 host" if len(failures) == 1 else f"{len(failures)} hosts"
        of_them = "the host's disk is full" if len(failures) == 1 else f"the disks of {full} of them are full"
        message += f" Before that, the server could not be built on {hosts}{f': {of_them}' if full else ''}."
        detail += f" Builds that failed: {'; '.join(failures)}."
    return Failed(message, details=detail)


def _plan(
    server: ServerRow,
    ports: Sequence[PortInfo],
    image: ImageSource | None,
    memory: Building,
    admin_pass: str | None,
    note: GuestNote,
) -> BuildPlan:
    """Write down everything the host needs to build the guest."""
    flavor = server["flavor"]
    drive = guest_metadata.config_drive(server, ports, admin_pass=admin_pass) if server["config_drive"] else None
    guest = GuestPlan(
        id=server["id"],
        name=server["name"],
        hostname=server["hostname"],
        vcpus=flavor["vcpus"],
        memory_mb=flavor["ram"],
        root_gb=flavor["disk"],
        ephemeral_gb=flavor.get("ephemeral", 0),
        swap_mb=flavor.get("swap", 0),
        config_drive=drive,
        extra_specs=flavor.get("extra_specs", {}),
        image_properties={key: str(value) for key, value in server["image_properties"].items()},
        attachments=tuple([PciAttachment(address=one.address) for one in memory.devices]),
        numa=memory.numa,
        owner={
            "user_id": server["user_id"],
            "project_id": server["project_id"],
            "flavor": flavor["name"],
            "image": server["image_id"] or "",
        },
    )
    return BuildPlan(
        guest=guest,
        image=image,
        nics=tuple([NicPlan(port_id=port.id, mac=port.mac) for port in ports]),
        note=note,
    )


async def _image_source(parts: Parts, host: str, image_id: str | None) -> ImageSource | None:
    if not image_id:
        return None
    try:
        image = await parts.images.get(SERVICE, image_id)
    except NotFound as error:
        raise Failed("The image was deleted before the server was built; use another image.") from error
    if image.status == DEACTIVATED:
        raise Failed(f"The image {image.id} is deactivated: nothing is built from it until it is active again.")
    if image.sha256 is None or image.size is None or image.disk_format is None:
        raise Failed("The image has no data: upload some, or use another image.")
    return ImageSource(
        id=image.id,
        sha256=image.sha256,
        size=image.size,
        disk_format=image.disk_format,
        url=parts.image_url(image.id),
        ticket=parts.tickets.issue(host, image.id, DOWNLOAD),
    )
