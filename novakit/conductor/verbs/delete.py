"""Delete: remove the guest, its ports and its claim, then the server; it wins over whatever else is under way."""

from collections.abc import Mapping
from typing import Any

import attrs

from novakit import world
from novakit.compute.rules import MEMBER, ActionRule
from novakit.compute.states import ANY, DELETING, REQUEST, Move, move_if
from novakit.conductor.parts import Parts
from novakit.conductor.steps import clearing
from novakit.conductor.steps.snapshots import drop_snapshot, snapshot_of
from novakit.conductor.verb import Action, Asked, Begun, OwnRoute, Step, Verb
from novakit.conductor.work import Commit, Memory, Work
from novakit.store import operations
from novakit.store.compute import left_guests, server_groups, servers
from novakit.store.engine import Session


@attrs.frozen(kw_only=True)
class Deleting(Memory):
    """What a delete remembers."""

    snapshot: str | None = None
    """The image that holds the disk of a shelved server."""
    may_remain: bool = False
    """Whether the host, which was down, may have the guest still."""


FAULT_LENGTH = 255
"""Characters of the fault of a deleted server that are kept; Nova keeps as many."""


async def begin(asked: Asked) -> Begun[Deleting]:
    """Cancel what is under way, for the delete takes its place."""
    kept = await snapshot_of(asked.session, asked.server)
    await operations.trim(asked.session, asked.server["id"], operations.MOST_OF_DELETED)
    values: servers.ServerColumns = {"progress": 0, "fault": _cut(asked.server["fault"])}
    return Begun(memory=Deleting(snapshot=kept), values=values, cancels=True)


def _cut(fault: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if fault is None:
        return None
    return {**{name: fault[name] for name in ("code", "created")}, "message": fault["message"][:FAULT_LENGTH]}


async def destroy(work: Work[Deleting], parts: Parts) -> None:
    """Have the host remove the guest with all that it keeps of it."""
    async with parts.store.read() as session:
        server = await servers.server(session, work.server_id)
        left = await left_guests.of_server(session, work.server_id)
    host = server["host"] if server else None
    work.memory = attrs.evolve(work.memory, host=host)
    if host:
        done = await clearing.on_host(parts, host, lambda: clearing.destroy(parts, host, work.server_id))
        work.memory = attrs.evolve(work.memory, may_remain=not done)
    # The create whose place this takes may have left a host without having asked it for anything yet.
    for each in sorted({*left} - {host}):
        await clearing.clear_left(parts, each, work.server_id)


async def unwire(work: Work[Deleting], parts: Parts) -> None:
    """Give its ports back and have the host take them down."""
    await parts.networks.release(work.server_id)
    if host := work.memory.host:
        await clearing.on_host(parts, host, lambda: parts.wiring.ensure(host))


async def forget(work: Work[Deleting], parts: Parts) -> Commit:
    """Free what was claimed and mark the server deleted, both in one transaction."""
    if image := work.memory.snapshot:
        await drop_snapshot(parts.images, image)

    async def commit(session: Session) -> None:
        await parts.placement.release(session, work.server_id)
        await server_groups.leave(session, [work.server_id])
        now = world.now()
        ended = None if work.memory.may_remain else now
        if ended is None and work.memory.host:
            await left_guests.put(session, work.memory.host, work.server_id)
        gone: servers.ServerColumns = {**servers.DROPPED, "power_state": 0, "terminated_at": ended, "deleted_at": now}
        if not await move_if(session, work.server_id, DELETE.move("forget"), **gone):
            # A server that is gone already is what was wanted; one that somebody has moved is deleted nevertheless.
            await move_if(session, work.server_id, DELETE.move(REQUEST))
            await move_if(session, work.server_id, DELETE.move("forget"), **gone)

    return commit


DELETE = Verb(
    kind="delete",
    action=Action(name="forceDelete", rule=ActionRule("os_compute_api:os-deferred-delete:force", MEMBER)),
    route=OwnRoute(method="DELETE", path="/servers/{id}", rule=ActionRule("os_compute_api:servers:delete", MEMBER)),
    begin=begin,
    remembers=Deleting,
    places=True,
    needs_host=False,
    moves=(
        Move(REQUEST, {ANY: (ANY,)}, None, DELETING),
        Move("forget", {ANY: (DELETING,)}, "deleted", None),
    ),
    steps=(
        Step(name="destroy", do=destroy, shown_as="compute_terminate_instance", is_written_later=True),
        Step(name="unwire", do=unwire, is_written_later=True),
        Step(name="forget", do=forget),
    ),
    repeats=True,
    tireless=True,
)
