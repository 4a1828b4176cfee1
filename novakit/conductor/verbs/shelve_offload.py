"""Shelve offload: give back the room that a shelved server still has on its host."""

from datetime import timedelta
from typing import Any

from novakit import world
from novakit.compute.states import REQUEST, UNDO, Move, move_if, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps.clearing import clear_host
from novakit.conductor.verb import Action, Step, Verb, begin_on_host
from novakit.conductor.work import Commit, Memory, Work
from novakit.store import operations
from novakit.store.compute import servers
from novakit.store.engine import Row, Session
from novakit_hookspecs.plain import to_plain

OFFLOAD = Move("offload", when(("shelved",), "shelving_offloading"), "shelved_offloaded", None)


async def offload(work: Work[Any], parts: Parts) -> Commit:
    """Remove the guest from its host and give back what it had there; the ports keep their addresses."""
    await clear_host(parts, work.server_id, work.memory.host)
    moved = work.moved(OFFLOAD.event, host=None, node=None, availability_zone=None, fault=None)

    async def commit(session: Session) -> None:
        await parts.placement.release(session, work.server_id)
        await moved(session)

    return commit


SHELVE_OFFLOAD = Verb(
    kind="shelveOffload",
    action=Action(name="shelveOffload", rule="os_compute_api:os-shelve:shelve_offload"),
    begin=begin_on_host,
    remembers=Memory,
    moves=(
        Move(REQUEST, when(("shelved",), None), None, "shelving_offloading"),
        OFFLOAD,
        Move(UNDO, OFFLOAD.before, None, None),
    ),
    steps=(Step(name="offload", do=offload, shown_as="compute_shelve_offload_instance"),),
)


async def offload_due(parts: Parts) -> int:
    """Have the servers offloaded that have been shelved on their hosts for as long as they may. Returns how many."""
    after = parts.config.conductor.shelved_offload_after
    if after <= 0:
        return 0
    async with parts.store.write() as session:
        due = await servers.resting(session, "shelved", before=world.now() - timedelta(seconds=after))
        moved = [row for row in due if await move_if(session, row["id"], SHELVE_OFFLOAD.move(REQUEST))]
        if moved:
            await operations.add(session, [_offload_of(row) for row in moved])
    return len(moved)


def _offload_of(row: Row) -> dict[str, Any]:
    return {
        "id": world.new_id(),
        "kind": SHELVE_OFFLOAD.kind,
        "server_id": row["id"],
        "project_id": row["project_id"],
        "user_id": row["user_id"],
        "request_id": f"req-{world.new_id()}",
        "data": to_plain(Memory(host=row["host"])),
    }
