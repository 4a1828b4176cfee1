"""Shelve offload: free what a shelved server still holds on its host."""

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from novakit import world
from novakit.compute.rules import ADMIN, ActionRule
from novakit.compute.states import ANY, REQUEST, UNDO, Move, move_if, when
from novakit.conductor.parts import Parts
from novakit.conductor.steps.clearing import clear_host
from novakit.conductor.verb import Action, Step, Verb, begin_on_host
from novakit.conductor.work import AnyWork, Commit, Memory
from novakit.store import operations
from novakit.store.compute import hosts, servers
from novakit.store.compute.servers import ServerRow
from novakit.store.engine import Session
from novakit_hookspecs.plain import to_plain

OFFLOAD = Move("offload", when(("shelved",), "shelving_offloading"), "shelved_offloaded", None)
GONE = Move("gone", {"active": (ANY,)}, "shelved_offloaded", None)
"""Of a server that somebody has called active meanwhile: it is on no host."""


async def offload(work: AnyWork, parts: Parts) -> Commit:
    """Remove the guest from its host and give back what it had there; the ports keep their addresses.

    The guest is gone then, whatever state somebody has set meanwhile: of one in error the host goes, too, so that it
    can be unshelved from there.
    """
    await clear_host(parts, work.server_id, work.memory.host)
    nowhere: servers.ServerColumns = {"host": None, "node": None, "availability_zone": None}

    async def commit(session: Session) -> None:
        await parts.placement.release(session, work.server_id)
        offloaded: servers.ServerColumns = {**nowhere, "fault": None}
        if await move_if(session, work.server_id, OFFLOAD, **offloaded):
            return
        await servers.change(session, work.server_id, **nowhere)
        await move_if(session, work.server_id, GONE)

    return commit


SHELVE_OFFLOAD = Verb(
    kind="shelveOffload",
    action=Action(name="shelveOffload", rule=ActionRule("os_compute_api:os-shelve:shelve_offload", ADMIN)),
    begin=begin_on_host,
    remembers=Memory,
    places=True,
    moves=(
        Move(REQUEST, when(("shelved",), None), None, "shelving_offloading"),
        OFFLOAD,
        GONE,
        Move(UNDO, OFFLOAD.before, None, None),
    ),
    steps=(Step(name="offload", do=offload, shown_as="compute_shelve_offload_instance"),),
)


@attrs.define
class Offloading:
    """Begins to offload servers that have stayed on their hosts for `[conductor] shelved_offload_after` seconds.

    The monotonic clock of this process measures that: the time stamp of a shelving comes from a wall clock, which may
    have been set since. A server that was shelved before the process first looked counts as old as its stamp lies
    behind the newest stamp in the database then, but at most half as old as it may get: after a clock step, stamps of
    hosts look as if time had passed, and a step must not offload what has just been shelved. So a restart delays an
    offload by at most the other half.
    """

    parts: Parts
    _since: dict[str, tuple[datetime, float]] = attrs.field(factory=dict)
    """By server: its time stamp, and the moment of the monotonic clock from which it counts."""
    _newest: datetime | None = None
    """The newest time stamp at the first look."""

    async def look(self) -> Sequence[ServerRow]:
        """Return the servers that have been shelved on their hosts for too long."""
        after, now = self.parts.config.conductor.shelved_offload_after, world.monotonic()
        async with self.parts.store.read() as session:
            rows = await servers.resting(session, "shelved")
            first = self._newest is None
            if first:
                marks = [row["updated_at"] for row in rows] + [row["last_seen"] for row in await hosts.signs(session)]
                self._newest = max(marks, default=datetime.min.replace(tzinfo=UTC))
        for row in rows:
            mark, known = row["updated_at"], self._since.get(row["id"])
            if known is None or known[0] != mark:
                behind = (self._newest - mark).total_seconds() if first and self._newest else 0.0
                self._since[row["id"]] = mark, now - min(behind, after / 2)
        for gone in self._since.keys() - {row["id"] for row in rows}:
            del self._since[gone]
        return [row for row in rows if now - self._since[row["id"]][1] >= after]

    async def begin_due(self) -> int:
        """Begin to offload those that are due. Returns how many they are."""
        if self.parts.config.conductor.shelved_offload_after <= 0 or not (due := await self.look()):
            return 0
        async with self.parts.store.write() as session:
            moved = [row for row in due if await move_if(session, row["id"], SHELVE_OFFLOAD.move(REQUEST))]
            if moved:
                await operations.add(session, [_offload_of(row) for row in moved])
        return len(moved)


def _offload_of(row: ServerRow) -> operations.NewOperation:
    return {
        "id": world.new_id(),
        "kind": SHELVE_OFFLOAD.kind,
        "server_id": row["id"],
        "project_id": row["project_id"],
        "user_id": row["user_id"],
        "request_id": f"req-{world.new_id()}",
        "data": to_plain(Memory(host=row["host"])),
    }
