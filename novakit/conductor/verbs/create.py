"""Create: place the server, wire its ports, build the guest, and take all of it back when that fails."""

import attrs

from novakit import world
from novakit.bus import RemoteError
from novakit.compute.records import POWER_NUMBERS
from novakit.compute.states import ANY, UNDO, Move, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps import building, clearing
from novakit.conductor.verb import Step, Verb
from novakit.conductor.work import Commit, Failed, Work
from novakit.errors import NovakitError
from novakit.network import Requested
from novakit.store.compute import servers
from novakit.store.engine import Session
from novakit_hookspecs.fields import tuple_field


@attrs.frozen(kw_only=True)
class Creating(building.Building):
    """What a create remembers."""

    networks: tuple[Requested, ...] = tuple_field()
    """The ports that were asked for."""
    admin_pass: str | None = attrs.field(default=None, repr=False)
    """What the guest is told by its config drive; forgotten once the operation has ended."""


async def place(work: Work[Creating], parts: Parts) -> Commit:
    """Choose a host and claim what the server needs of it; asked again, the same claim answers."""
    if work.memory.left:
        await _clear(work, parts)
        work.memory = attrs.evolve(work.memory, left=None)
    return work.moved("place", **await building.find_host(work, parts))


async def wire(work: Work[Creating], parts: Parts) -> Commit:
    """Give the server its ports and have the host wire them."""
    server, host = await building.server_of(work, parts), str(work.memory.host)
    try:
        work.seen["ports"] = await parts.networks.allocate(
            server_id=server["id"],
            project_id=server["project_id"],
            hostname=server["hostname"],
            requested=work.memory.networks,
            host=host,
            zone=str(work.memory.zone),
        )
    except NovakitError as error:
        raise Failed(f"The network could not be set up: {error.message}", details=repr(error)) from error
    if work.memory.networks:
        await parts.wiring.ensure(host)
    return work.moved("wire")


async def build(work: Work[Creating], parts: Parts) -> Commit:
    """Have the host fetch the image, build the guest and start it."""
    server = await building.server_of(work, parts)
    try:
        power = await building.build_guest(work, parts, server["image_id"], admin_pass=work.memory.admin_pass)
    except RemoteError as error:
        raise building.elsewhere(work, parts, error, host=None, node=None) from error
    return work.moved("build", power_state=POWER_NUMBERS[power], launched_at=world.now(), progress=0)


async def undo(work: Work[Creating], parts: Parts) -> Commit:
    """Leave nothing of the server but its row."""
    await _clear(work, parts)

    async def commit(session: Session) -> None:
        await servers.change(session, work.server_id, host=None, node=None)

    return commit


async def _clear(work: Work[Creating], parts: Parts) -> None:
    """Give back what was made for the server, on the host it is on and on the one it left."""
    for host in (work.memory.host, work.memory.left):
        if host:
            await clearing.leave(parts, host, work.server_id)
    await parts.networks.release(work.server_id)
    async with parts.store.write() as session:
        await parts.placement.release(session, work.server_id)


_BUILDING = ("building",)
CREATE = Verb(
    kind="create",
    remembers=Creating,
    moves=(
        Move("place", when(_BUILDING, "scheduling"), None, "networking"),
        Move("wire", when(_BUILDING, "networking"), None, "spawning"),
        Move("elsewhere", when(_BUILDING, "spawning"), None, "scheduling"),
        Move("build", when(_BUILDING, "spawning"), "active", None),
        # Whatever somebody has said meanwhile that it is: nothing of it is left.
        Move(UNDO, {ANY: (ANY,)}, "error", None),
    ),
    steps=(
        Step(name="place", do=place, undo=undo, shown_as="conductor_schedule_and_build_instances"),
        Step(name="wire", do=wire, is_written_later=True),
        Step(name="build", do=build, shown_as="compute__do_build_and_run_instance", interruptible=True),
    ),
    fails_first=True,
)
