"""What users ask to be done to servers: each request is written together with the operation for it.

Requests that come together share a transaction, for each is flushed to the disk; one that is refused costs only itself,
as those that came with it are then done one by one.
The invariant: a request is decided on the server's state and written only while that state holds. Of two requests at
the same moment the later one is therefore decided on what the first one made of the server, on every database.
"""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial

import attrs

from novakit import errors, tracing, world
from novakit.bus import Bus, BusError, topics
from novakit.compute.servers import locked, refuse_locked, require_facet
from novakit.compute.states import REQUEST, Move, check, move_if
from novakit.concurrency.gather import Gather
from novakit.conductor.leases import Leases
from novakit.conductor.verb import AnyVerb, Asked
from novakit.conductor.work import EngineMemory, HandedOver, Memory
from novakit.context import RequestContext
from novakit.store import Session, Store, operations
from novakit.store.compute import servers
from novakit.store.compute.servers import ServerRow
from novakit_hookspecs.plain import to_plain

TOGETHER = 50
"""Requests that share a transaction at most: others wait for it."""


@attrs.frozen(eq=False)
class _VerbRequest:
    """One request, as it came."""

    context: RequestContext
    server_id: str
    verb: AnyVerb
    value: object
    trace: Mapping[str, str] = attrs.field(factory=tracing.written)
    """The context of its own trace: what writes it belongs to the first of those that came together."""


@attrs.frozen
class Requests:
    """Begins verbs on servers that are there."""

    store: Store
    bus: Bus
    _together: Gather[_VerbRequest, None] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Gather(self._begin_all, most=TOGETHER), takes_self=True)
    )

    async def begin(
        self,
        context: RequestContext,
        server_id: str,
        verb: AnyVerb,
        value: object = None,
    ) -> None:
        """Have a verb done to a server; `value` is the record that its action names.

        Raises NotFound, and Conflict for a server that is locked, is in a state that does not allow it, or is on a
        host that cannot do it; a verb may raise BadRequest for its value.
        """
        await self._together(_VerbRequest(context, server_id, verb, value))

    async def _begin_all(self, together: Sequence[_VerbRequest]) -> Sequence[None]:
        cancelled: set[str] = set()
        at_once: set[str] = set()
        begun = False
        async with self.store.write() as session:
            # In one order, so that two processes never wait for each other's servers; what is asked of one stays in
            # the order it came.
            for request in sorted(together, key=lambda request: request.server_id):
                row = await locked(session, request.context, request.server_id)
                if request.verb.locks_out:
                    refuse_locked(request.context, row)
                if request.verb.repeats and row["task_state"] == request.verb.move(REQUEST).task_state:
                    continue
                operation = await self._begin(session, request, row)
                if operation is None:
                    continue
                cancelled.update(operation)
                begun = True
                if not request.verb.steps:
                    at_once.add(request.server_id)
        if begun:
            await tell_conductor(self.bus, cancelled)
        if at_once:
            await topics.SERVERS_CHANGED.publish(self.bus, topics.ServersChanged(servers=at_once))
        return [None] * len(together)

    async def _begin(self, session: Session, request: _VerbRequest, row: ServerRow) -> Sequence[str] | None:
        """Write what is to be done. Returns which operations it cancels; None where there is nothing to do."""
        verb = request.verb
        _check_state(verb, row)
        if verb.needs is not None:
            await require_facet(session, verb.kind, verb.needs, row)
        if verb.begin is None:
            raise TypeError(f"{verb.kind} is not asked for like this")
        asked = Asked(session=session, context=request.context, server=row, value=request.value)
        begun = await verb.begin(asked)
        if begun is None:
            return None
        operation = operation_of(request.context, verb, row["id"], begun.memory, world.now(), request.trace)
        cancelled: Sequence[str] = ()
        if begun.cancels:
            cancelled = await operations.cancel(session, row["id"], except_for=operation["id"])
        if verb.moves:
            await _move(session, verb.kind, verb.move(begun.event), row, begun.values)
        else:
            await servers.change(session, row["id"], **begun.values)
        await operations.add(session, [operation])
        await operations.trim(session, row["id"])
        return cancelled


def _check_state(verb: AnyVerb, row: ServerRow) -> None:
    """Refuse a server in a state in which no request for the verb is possible, and one that is on no host."""
    ways = [move for move in verb.moves if move.event.startswith(REQUEST)]
    state = row["vm_state"], row["task_state"]
    if ways and not any(move.allows(*state) for move in ways):
        check(verb.kind, ways[-1], row["id"], *state)
    if verb.needs_host and row["host"] is None:
        raise errors.Conflict(f"Cannot '{verb.kind}' instance {row['id']} while it is in vm_state {row['vm_state']}")


async def _move(session: Session, kind: str, move: Move, row: ServerRow, values: servers.ServerColumns) -> None:
    state = row["vm_state"], row["task_state"]
    check(kind, move, row["id"], *state)
    same = servers.in_states({state[0]: [state[1]]})
    if not await move_if(session, row["id"], move, same, **values):
        raise errors.Conflict(f"Instance {row['id']} was changed at this moment by another request; ask again.")


def operation_of(
    context: RequestContext,
    verb: AnyVerb,
    server_id: str,
    memory: Memory,
    now: datetime,
    trace: Mapping[str, str] | None = None,
) -> operations.NewOperation:
    """Return the row of an operation that is to be run; one without steps is done with the request.

    It belongs to the trace with the context `trace`; None is that of the caller.
    """
    trace = tracing.written() if trace is None else trace
    beside = EngineMemory(trace=trace).plain() if trace else {}
    row: operations.NewOperation = {
        "id": world.new_id(),
        "kind": verb.kind,
        "server_id": server_id,
        "project_id": context.project_id or "",
        "user_id": context.user_id,
        "request_id": context.request_id,
        "data": {**to_plain(memory), **beside},
    }
    at = now.isoformat()
    if verb.steps:
        return {**row, "events": [{"name": verb.event_of(verb.steps[0]), "started_at": at}]}
    name, host = f"api_{verb.kind}", memory.host
    done: operations.StepEvent = {
        "name": name, "started_at": at, "finished_at": at, "result": "Success", "host": host
    }  # fmt: skip
    return {**row, "events": [done], "state": "done", "finished_at": now}


@attrs.frozen
class Handover:
    """Gets new operations run: by the engine of this process, where it has room, or by whichever looks first."""

    store: Store
    bus: Bus
    leases: Leases | None = None
    """Those of the engine in this process; None where there is none."""

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[tuple[Session, "NewOperations"]]:
        """Open a transaction that writes operations, which are run once it is on the disk."""
        new = NewOperations(self)
        try:
            async with self.store.write() as session:
                yield session, new
        finally:
            if self.leases is not None:
                self.leases.give_up(new.leased)


@attrs.define
class NewOperations:
    """The operations that one transaction writes."""

    _by: Handover
    leased: Sequence[operations.OperationRow] = ()
    """Those that the engine of this process runs."""

    async def add(
        self,
        session: Session,
        new: Sequence[operations.NewOperation],
        handed: Callable[[int], HandedOver | None] = lambda place: None,
    ) -> None:
        """Insert them; `handed` says what the engine need not read of which one. Once in a transaction."""
        leases = self._by.leases
        if leases is not None:
            self.leased = leases.reserve(new)
            session.after_commit(partial(leases.begin_reserved, self.leased, handed))
        await operations.add(session, [*self.leased, *new[len(self.leased) :]])
        if len(self.leased) < len(new):
            # Not by those who asked: one that hangs up would leave its operation to the engine's next look.
            session.followed_by(partial(tell_conductor, self._by.bus))


async def tell_conductor(bus: Bus, cancelled: Collection[str] = ()) -> None:
    """Say that there is work, and which operations were cancelled."""
    with suppress(BusError):  # it is written, and the engine finds it when it looks
        await topics.OPERATIONS_NEW.publish(bus, topics.NewWork(cancelled=frozenset(cancelled)))
