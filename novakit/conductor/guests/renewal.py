"""Notes written again: after a build with what was claimed, and after every change of the server.

The idea: a note is written a moment after its server has changed, so that a backup of just before does not do again
what was done since; what that misses, the next report of the host shows to be stale.
The invariant: a note is written of a server at rest only, for while an operation works on it the note is the
operation's; and not before its host has reported to this process, which tells what its notes are.
The cost: four reads for all that changed within a second, and for each server one call to its host with a flush
there. Each of several conductors writes what it hears of. Nobody waits for a note: the thousands that may be stale
after a restart are written in rounds, behind those of what changes.
"""

import asyncio
from collections.abc import Collection, Sequence

import attrs
import structlog

from novakit.bus import BusError
from novakit.concurrency.paced import Paced
from novakit.conductor.parts import Parts
from novakit.store import operations
from novakit.store.compute import servers
from novakit.store.compute.servers import ServerRow
from novakit.store.placement import usages
from novakit.store.scheduler import numa
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_record

log = structlog.get_logger(__name__)

TOGETHER = 200
"""Notes that are written again in one round at most; the others wait for the next one."""
SETTLE = 1.0
"""Seconds between two rounds: a server that changes all the time is noted so often."""
SHARE = 10
"""How many times as long as the last round took the next one waits."""


@attrs.define
class Renewal:
    """Has notes written again a moment after their servers changed."""

    parts: Parts
    _changed: set[str] = attrs.field(factory=set)
    _stale: set[str] = attrs.field(factory=set)
    """Servers whose notes were behind in the report of their host: they wait until those that change are written."""
    _reported: set[str] = attrs.field(factory=set)
    _pace: Paced = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pace = Paced(name="conductor/guest-notes", work=self.write, settle=SETTLE, share=SHARE)

    def told(self, host: str) -> None:
        """Say that a host has reported, and that its report was compared with the database."""
        self._reported.add(host)

    def changed(self, servers: Collection[str]) -> None:
        """Say that servers changed."""
        self._changed.update(servers)
        if servers:
            self._pace.poke()

    def stale(self, servers: Collection[str]) -> None:
        """Say that a host reported notes of these that are behind."""
        self._stale.update(servers)
        if servers:
            self._pace.poke()

    async def close(self) -> None:
        """Write no more; what is not written is written after the next report of its host."""
        await self._pace.close()

    async def write(self) -> None:
        """Have hosts keep notes of the servers that changed, as they are now."""
        taken = _taken(self._changed, TOGETHER)
        self._stale -= taken
        taken |= _taken(self._stale, TOGETHER - len(taken))
        if self._changed or self._stale:
            self._pace.poke()
        async with self.parts.store.read() as session:
            found = await servers.some(session, taken)
            busy = {row["server_id"] for row in await operations.unfinished(session, taken)}
        by_host: dict[str, list[ServerRow]] = {}
        for row in found:
            is_at_rest = row["deleted_at"] is None and row["task_state"] is None and row["id"] not in busy
            if is_at_rest and row["host"] in self._reported:
                by_host.setdefault(row["host"], []).append(row)
        # Side by side: a host that is silent keeps no other one's notes waiting for longer than its own call.
        await asyncio.gather(*(renew(self.parts, host, rows) for host, rows in by_host.items()))


def _taken(waiting: set[str], most: int) -> set[str]:
    return {waiting.pop() for _ in range(min(len(waiting), most))}


async def renew(parts: Parts, host: str, rows: Sequence[ServerRow]) -> None:
    """Have a host keep the notes of servers as their rows are; four reads for any number of them."""
    ids = [row["id"] for row in rows]
    ports = await parts.networks.ports_of(ids)
    async with parts.store.read() as session:
        held = await usages.held_by_name(session, ids)
        cells = await numa.of_servers(session, ids)
        built = await operations.last_ended(session, ids)
    for row in rows:
        id = row["id"]
        last = built.get(id)
        note = parts.notary.write(
            host,
            last.id if last else "",
            row,
            ports.get(id, []),
            ended=last.at if last else None,
            claim=held.get(id, {}),
            numa=to_record(cells.get(id, []), tuple[Taken, ...]),
        )
        try:
            await parts.hosts.at(host).keep_note(note)
        except BusError as error:
            log.warning("notes of guests could not be renewed", host=host, guest=id, why=str(error))
            return
