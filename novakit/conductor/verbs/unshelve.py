"""Unshelve: build a shelved server anew from its image, anywhere, or start the guest that stayed on its host.

An administrator may have set a shelved server to error: it comes back from there as long as its image is there.
"""

import attrs
import structlog

from novakit import errors
from novakit.bus import RemoteError
from novakit.compute.hosts import zone_names
from novakit.compute.rules import ADMIN, MEMBER, ActionRule
from novakit.compute.states import REQUEST, UNDO, Move, move_if, status_of, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps import building
from novakit.conductor.steps.clearing import clear_host
from novakit.conductor.steps.power import number, set_power
from novakit.conductor.steps.snapshots import drop_snapshot, format_of, require_usable, snapshot_of
from novakit.conductor.verb import NOT_READ, Action, Asked, Begun, FieldRule, Step, Verb
from novakit.conductor.verbs.shelve_offload import GONE
from novakit.conductor.work import Commit, Work
from novakit.left_out import LEFT_OUT, LeftOut, either
from novakit.store import images, operations
from novakit.store.compute import hosts, servers
from novakit.store.engine import Session
from novakit.store.faults import is_passing
from novakit_hookspecs.servers import Power

log = structlog.get_logger(__name__)

_ZONE = {"type": "string", "format": "az_name", "minLength": 1, "maxLength": 255}
_HOST = {
    "type": "string",
    "pattern": r"^[a-zA-Z0-9\-._]*\Z",
    "description": "a host name: letters, digits, hyphens, underscores and dots",
    "minLength": 1,
    "maxLength": 255,
}
_TO_ZONE = {
    "type": ["object", "null"],
    "properties": {"availability_zone": _ZONE},
    "required": ["availability_zone"],
    "additionalProperties": False,
}
_TO_PLACE = {
    "type": ["object", "null"],
    "properties": {"availability_zone": {"anyOf": [_ZONE, {"type": "null"}]}, "host": _HOST},
    "additionalProperties": False,
}


@attrs.frozen(kw_only=True)
class WantedPlace:
    """Where a server that is on no host is to come up."""

    availability_zone: str | LeftOut | None = LEFT_OUT
    """None is any, whatever the server was pinned to before."""
    host: str | None = None


@attrs.frozen(kw_only=True)
class Unshelving(building.Building):
    """What an unshelve remembers."""

    snapshot: str | None = None
    """The image that holds the disk."""
    stays: bool = False
    """Whether the guest is still on its host, and only has to be started."""
    power: Power | None = None
    """What the guest came up as."""


async def begin(asked: Asked) -> Begun[Unshelving]:
    """Work out where the server may go.

    Raises Conflict or BadRequest for a zone or host it cannot have, Conflict for an image that is deactivated.
    """
    row, session = asked.server, asked.session
    place = asked.given(WantedPlace)
    zone, host = either(place.availability_zone, None), place.host
    if zone is not None and zone not in await zone_names(session):
        raise errors.BadRequest(f"The requested availability zone is not available: {zone}")
    stays = row["vm_state"] == "shelved"
    if stays and place != WantedPlace():
        raise errors.Conflict(
            "Specifying an availability zone or a host when unshelving server "
            f"{row['id']} with status {status_of(row['vm_state'], None)} is not supported. "
            "The server status must be SHELVED_OFFLOADED."
        )
    if host and await hosts.host(session, host) is None:
        raise errors.BadRequest(f"Compute host {host} could not be found.")
    snapshot = await snapshot_of(session, row)
    if row["vm_state"] == "error":
        await _require_shelved(session, row, snapshot)
    if snapshot and not stays:
        await require_usable(session, row, snapshot)
    pinned = either(place.availability_zone, row["pinned_availability_zone"])
    memory = Unshelving(
        snapshot=snapshot,
        stays=stays,
        host=row["host"],
        availability_zone=pinned,
        forced_host=host,
    )
    return Begun(memory=memory, values={"pinned_availability_zone": pinned})


async def _require_shelved(session: Session, server: servers.ServerRow, snapshot: str | None) -> None:
    """Raise Conflict for a server in error that was not shelved and at rest when it was set to that.

    An operation that is still open may be an unshelve that ends as this one begins: the guest would be built twice.
    """
    refused = f"Cannot 'unshelve' instance {server['id']} while it is in vm_state error"
    if server["host"] is not None:
        raise errors.Conflict(f"{refused}: it is on a host, and its disk is there. A hard reboot may bring it back.")
    if snapshot is None or await images.visible(session, snapshot, None, True) is None:
        raise errors.Conflict(f"{refused}: there is no image of its disk. Delete it and create another.")
    if await operations.unfinished(session, [server["id"]]):
        raise errors.Conflict(f"{refused}: what was asked of it before is still being taken back. Ask again later.")


async def place(work: Work[Unshelving], parts: Parts) -> Commit | None:
    """Choose a host and claim what the server needs of it, as for a new server."""
    if work.memory.stays:
        return None
    if left := work.memory.left:
        await clear_host(parts, work.server_id, left)
        async with parts.store.write() as session:
            await parts.placement.release(session, work.server_id)
        work.memory = attrs.evolve(work.memory, left=None)
    if work.memory.snapshot:
        work.memory = attrs.evolve(work.memory, disk_format=await format_of(parts.images, work.memory.snapshot))
    return servers.Change(work.server_id, await building.find_host(work, parts))


async def wire(work: Work[Unshelving], parts: Parts) -> Commit:
    """Bind the server's ports to the host and have it wire them."""
    host = work.host
    if work.memory.stays:
        await parts.wiring.ensure(host)
    else:
        work.seen.ports = await parts.networks.bind(work.server_id, host, str(work.memory.zone))
        await building.wire_there(work, parts)
    return work.moved("wire")


async def build(work: Work[Unshelving], parts: Parts) -> None:
    """Have the host build the guest from the snapshot, or start the one that stayed."""
    if work.memory.stays:
        power = await set_power(work, parts, Power.RUNNING)
    else:
        try:
            power = await building.build_guest(work, parts, work.memory.snapshot)
        except RemoteError as error:
            raise building.elsewhere(work, parts, error) from error
    work.memory = attrs.evolve(work.memory, power=power)


async def forget(work: Work[Unshelving], parts: Parts) -> Commit:
    """Remove the snapshot image, which nothing needs any more; the server is then active.

    From here on the guest is the only copy of the disk, so nothing takes it back: where somebody has set the state of
    the server meanwhile, it stays as it was set.
    """
    if work.memory.snapshot:
        await _drop(parts, work.memory.snapshot)
    reached: servers.ServerColumns = {
        "power_state": number(work.memory.power or Power.RUNNING),
        "launched_at": await building.note_end(work, parts),
    }

    async def commit(session: Session) -> None:
        unshelved: servers.ServerColumns = {**reached, "fault": None}
        if not await move_if(session, work.server_id, UNSHELVE.move("forget"), **unshelved):
            await servers.change(session, work.server_id, **reached)

    return commit


async def _drop(parts: Parts, image_id: str) -> None:
    """Delete the image; one that cannot be deleted stays, for the guest runs and the unshelve must not fail of that."""
    try:
        await drop_snapshot(parts.images, image_id)
    except Exception as error:
        if is_passing(error):
            raise
        log.warning(
            "the image of a server that was unshelved could not be deleted and stays",
            image=image_id,
            why=errors.in_words(error),
        )


async def undo(work: Work[Unshelving], parts: Parts) -> Commit | None:
    """Give back everything that the server did not hold while it was shelved."""
    if work.memory.stays:
        return None
    for host in {work.memory.left, work.memory.host} - {None}:
        await clear_host(parts, work.server_id, host, work.beside.noted_end)

    async def commit(session: Session) -> None:
        await parts.placement.release(session, work.server_id)
        await servers.change(session, work.server_id, host=None, node=None, availability_zone=None)
        await move_if(session, work.server_id, GONE)

    return commit


_OFFLOADED = ("shelved_offloaded", "error")
_FROM = ("shelved", *_OFFLOADED)
UNSHELVE = Verb(
    kind="unshelve",
    action=Action(
        name="unshelve",
        rule=ActionRule("os_compute_api:os-shelve:unshelve", MEMBER),
        bodies=(((2, 1), NOT_READ), ((2, 77), _TO_ZONE), ((2, 91), _TO_PLACE)),
        value=WantedPlace,
        fields=(FieldRule("host", (2, 91), ActionRule("os_compute_api:os-shelve:unshelve_to_host", ADMIN)),),
    ),
    begin=begin,
    remembers=Unshelving,
    places=True,
    needs_host=False,
    moves=(
        Move(REQUEST, when(_FROM, None), None, "unshelving"),
        Move("wire", when(_FROM, "unshelving"), None, "spawning"),
        Move("elsewhere", when(_OFFLOADED, "unshelving", "spawning"), None, "unshelving"),
        Move("forget", when(_FROM, "spawning"), "active", None),
        Move(UNDO, when(_FROM, "unshelving", "spawning"), None, None),
        GONE,
    ),
    steps=(
        Step(name="place", do=place, undo=undo, shown_as="conductor_unshelve_instance"),
        Step(name="wire", do=wire),
        Step(name="build", do=build, shown_as="compute_unshelve_instance", interruptible=True, holds=True),
        Step(name="forget", do=forget),
    ),
)
