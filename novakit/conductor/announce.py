"""Tells observers what happened to servers, after it is true, in the order in which it became so.

The idea: what became true is put into a queue, and one task tells it, one after another. The server is read when its
event is told, so its status is that of the telling, which a later operation may have changed already.
The invariant: nothing that works on operations waits for an observer, and events of one process keep their order. They
are not kept: those that still wait when the process ends are dropped, and an observer must not count on each.
The cost: nothing without observers; with some, one statement for each event, and up to a second for one that is slow,
for which all later events wait.
"""

import asyncio
from collections.abc import Sequence

import attrs
import structlog

from novakit import world
from novakit.compute.states import status_of
from novakit.conductor.work import AnyWork
from novakit.plughost import tell_all
from novakit.plughost.offers import Listening
from novakit.store import Store
from novakit.store.compute import servers
from novakit_hookspecs.observers import ServerEvent

log = structlog.get_logger(__name__)

_PHASES = {"begun": "start", "done": "end", "failed": "error"}


@attrs.define
class Announcer:
    """Queues events and tells them one after another; a slow observer delays others by a second at most."""

    store: Store
    observers: Sequence[Listening]
    _queue: asyncio.Queue[tuple[AnyWork, str]] = attrs.field(factory=asyncio.Queue)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to tell."""
        if self.observers:
            self._task = world.spawn(self._run(), name="conductor/announce")

    async def stop(self) -> None:
        """Stop; events that still wait are dropped."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def note(self, work: AnyWork, state: str) -> None:
        """Take an operation that has `begun`, or has ended as `done` or `failed`."""
        if self.observers and state in _PHASES:
            self._queue.put_nowait((work, state))

    async def _run(self) -> None:
        while True:
            work, state = await self._queue.get()
            try:
                await self._tell(work, state)
            except Exception as error:
                log.error("observers could not be called", operation=work.id, exc_info=error)

    async def _tell(self, work: AnyWork, state: str) -> None:
        async with self.store.read() as session:
            row = await servers.server(session, work.server_id, deleted=True)
        if row is None:
            return
        event = ServerEvent(
            server_id=work.server_id,
            project_id=work.project_id,
            event=f"{work.kind}.{_PHASES[state]}",
            status=status_of(row["vm_state"], row["task_state"]),
            host=row["host"],
            request_id=work.request_id,
        )
        await tell_all(self.observers, event=event)
