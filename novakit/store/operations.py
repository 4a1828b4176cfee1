"""Operations: every change that takes more than one transaction, with its steps, its lease and its outcome.

The idea: a row is the whole memory of a change under way, so that any conductor goes on with it. Whose it is stands in
the row, and who writes progress names itself in the condition of the statement instead of asking first.
The invariant: of an operation whose lease somebody else has nothing is written, and of a cancelled one that it ended as
cancelled alone, whichever of a step and a delete comes first. One operation of a server is leased at a time.
The cost: one statement for progress of one operation, or of many that set the same columns; two where one of them was
cancelled or lost. To lease takes one statement, and to renew all that are held two.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NotRequired, TypedDict

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    uuid_column("id", nullable=False, unique=True),
    sa.Column("kind", sa.String(32), nullable=False),
    uuid_column("server_id", nullable=False),
    uuid_column("project_id", nullable=False),
    uuid_column("user_id", nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, default="pending"),
    sa.Column("step", sa.String(32)),
    sa.Column("data", sa.JSON, nullable=False, default=dict),
    sa.Column("events", sa.JSON, nullable=False, default=list),
    sa.Column("cancelled", sa.Boolean, nullable=False, default=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("not_before", UTC),
    sa.Column("silent_since", UTC),
    sa.Column("owner", sa.String(64)),
    sa.Column("lease_until", UTC),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
    sa.Column("finished_at", UTC),
    sa.Index("ix_operations_server_id", "server_id"),
    # For PostgreSQL they are made partial by `novakit.store.schema`.
    sa.Index("ix_operations_open", "number", sqlite_where=sa.text("finished_at IS NULL")),
    sa.Index("ix_operations_finished_at", "finished_at", sqlite_where=sa.text("finished_at IS NOT NULL")),
)
"""`state` is pending, running, undoing, done, failed or cancelled; the last three have `finished_at`.

`silent_since` is when the host of the step under way first did not answer; None once it did.
`step` is the last step that is done; `data` is what the steps remember; `events` is what users are shown of them.
"""


class StepEvent(TypedDict):
    """What users are shown of one step; moments are texts of ISO 8601."""

    name: str
    started_at: str
    finished_at: NotRequired[str]
    """Missing while the step is under way, as are those that follow."""
    result: NotRequired[str]
    host: NotRequired[str | None]
    details: NotRequired[str]


class NewOperation(TypedDict):
    """An operation as it is asked for; a column that is left out has its default."""

    id: str
    kind: str
    server_id: str
    project_id: str
    user_id: str
    request_id: str
    data: NotRequired[Mapping[str, object]]
    events: NotRequired[list[StepEvent]]
    state: NotRequired[str]
    finished_at: NotRequired[datetime]


class OperationRow(TypedDict):
    """A row of `operations`; `number` is the database's, so a row that was just written has none."""

    number: NotRequired[int]
    id: str
    kind: str
    server_id: str
    project_id: str
    user_id: str
    request_id: str
    state: str
    step: str | None
    data: Mapping[str, object]
    events: list[StepEvent]
    cancelled: bool
    attempt: int
    not_before: datetime | None
    silent_since: datetime | None
    owner: str | None
    lease_until: datetime | None
    reason: str | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class OperationChange(TypedDict, total=False):
    """Columns that are set with the progress of an operation."""

    state: str
    step: str | None
    data: Mapping[str, object]
    events: list[StepEvent]
    silent_since: datetime | None
    not_before: datetime
    lease_until: datetime | None
    reason: str
    finished_at: datetime


OPEN = operations.c.finished_at.is_(None)
_ADD = sa.insert(operations)


async def add(session: Session, rows: Sequence[NewOperation | OperationRow]) -> None:
    """Insert operations that are to be run as soon as this transaction is committed."""
    await session.execute(_ADD, [_whole(row) for row in rows])


def leased(row: NewOperation, owner: str, until: datetime) -> OperationRow:
    """Return a new operation with its first lease: what `add` writes and `lease` would return, but for the number."""
    return {**_whole(row), "state": "running", "attempt": 1, "owner": owner, "lease_until": until}


def _whole(row: NewOperation | OperationRow) -> OperationRow:
    """Return the row of a new operation with every column, so that all of them are one statement."""
    now = world.now()
    return {
        "state": "pending",
        "step": None,
        "data": {},
        "events": [],
        "cancelled": False,
        "attempt": 0,
        "not_before": None,
        "silent_since": None,
        "owner": None,
        "lease_until": None,
        "reason": None,
        "created_at": now,
        "updated_at": now,
        "finished_at": None,
        **row,
    }


MOST_OF_SERVER = 500
"""Operations that ended and are kept of one server: whoever locks and unlocks it all day must not fill the database."""


MOST_OF_DELETED = 50
"""Operations that are kept of a server that is deleted: it counts in no quota any more."""


async def trim(session: Session, server_id: str, most: int | None = None) -> None:
    """Forget what was done to a server long ago; `MOST_OF_SERVER` are kept unless told.

    How it was made is never forgotten, nor how it was shelved last: the image of its disk is named by that.
    """
    most = MOST_OF_SERVER if most is None else most
    c = operations.c
    ended = sa.and_(c.server_id == server_id, c.finished_at.is_not(None), c.kind != "create")
    last = sa.select(c.number).where(ended).order_by(c.number.desc()).limit(1).offset(most - 1)
    shelved = sa.select(sa.func.max(c.number)).where(c.server_id == server_id, c.kind == "shelve")
    is_needed = c.number == sa.func.coalesce(shelved.scalar_subquery(), 0)
    await session.execute(sa.delete(operations).where(ended, c.number < last.scalar_subquery(), ~is_needed))


LONGEST_WAIT = timedelta(seconds=90)
"""No operation is postponed for so long: a moment further ahead was written before the clock was set back."""


@attrs.frozen
class OperationLease:
    """Whose an operation is; a lease that is renewed is another one, and `until` says nothing but that."""

    owner: str | None
    until: datetime


_LEASES = sa.select(operations.c.id, operations.c.owner, operations.c.lease_until).where(
    OPEN, operations.c.lease_until.is_not(None)
)


async def leases(session: Session) -> dict[str, OperationLease]:
    """Fetch the leases of open operations, by operation."""
    return {id: OperationLease(owner, until) for id, owner, until in await session.rows(_LEASES)}


async def lease(
    session: Session,
    owner: str,
    until: datetime,
    limit: int,
    *,
    running: Collection[str] = (),
    void: Mapping[str, OperationLease] | None = None,
) -> list[OperationRow]:
    """Take up to `limit` operations that are free, are due and whose server nobody works on; oldest first.

    Free are those without a lease and those whose lease is one of `void`; never those that are `running` here.
    """
    now, c = world.now(), operations.c
    values = {"now": now, "unlikely": now + LONGEST_WAIT, "most": limit, "running": list(running)}
    written = {"new_owner": owner, "new_lease_until": until, "now": now}
    wanted, took = _FREE, _LEASE
    if void:
        ended = (sa.and_(c.id == id, c.owner == one.owner, c.lease_until == one.until) for id, one in void.items())
        wanted = _free(*ended)
        took = _leasing(wanted)
    if session.dialect == "postgresql":
        # Two engines that look at once get different operations instead of waiting for one another. A statement of its
        # own: inside of another one it might be run twice, and lock twice as many.
        ids = await session.scalars(wanted.with_for_update(skip_locked=True), values)
        found = await session.all(_LEASE_THESE, {**written, "these": ids}, of=OperationRow) if ids else []
    else:
        found = await session.all(took, {**values, **written}, of=OperationRow)
    return sorted(found, key=lambda row: row["number"])


_NOW = sa.bindparam("now", type_=UTC)


def _free(*ended: sa.ColumnElement[bool]) -> sa.Select[tuple[str]]:
    """Build the question for operations that are free, are due and whose server nobody works on; oldest first."""
    c, other = operations.c, operations.alias("other")
    # One at a time for each server, in the order in which they were asked for: a start must not overtake its stop.
    busy = (
        sa.select(sa.literal(1))
        .where(
            other.c.server_id == c.server_id,
            other.c.number < c.number,
            other.c.finished_at.is_(None),
        )
        .exists()
    )
    free = sa.or_(c.lease_until.is_(None), *ended)
    unlikely = c.not_before > sa.bindparam("unlikely", type_=UTC)
    # A cancelled one is due at once: the delete that cancelled it waits behind it.
    due = sa.or_(c.not_before.is_(None), c.not_before <= _NOW, unlikely, c.cancelled)
    at_rest = c.id.not_in(sa.bindparam("running", expanding=True))
    most = sa.bindparam("most", type_=sa.Integer)
    return sa.select(c.id).where(OPEN, free, due, ~busy, at_rest).order_by(c.number).limit(most)


def _leasing(wanted: sa.Select[tuple[str]] | sa.BindParameter[str]) -> sa.UpdateBase:
    """Build the statement that takes operations, and returns them whole."""
    c = operations.c
    return (
        sa.update(operations)
        .where(c.id.in_(wanted))
        .values(
            owner=sa.bindparam("new_owner"),
            lease_until=sa.bindparam("new_lease_until", type_=UTC),
            attempt=c.attempt + 1,
            updated_at=_NOW,
            state=sa.case((c.state == "pending", "running"), else_=c.state),
        )
        .returning(operations)
    )


_FREE = _free()
_LEASE = _leasing(_FREE)
_LEASE_THESE = _leasing(sa.bindparam("these", expanding=True))


async def renew(session: Session, owner: str, ids: Iterable[str], until: datetime) -> set[str]:
    """Keep leases; the result names the operations that were cancelled meanwhile."""
    c = operations.c
    wanted = list(ids)
    await session.execute(
        sa.update(operations).where(c.id.in_(wanted), c.owner == owner, OPEN).values(lease_until=until)
    )
    return set(await session.scalars(sa.select(c.id).where(c.id.in_(wanted), c.cancelled)))


async def forget_leases(session: Session) -> int:
    """Free every lease, once it is certain that no other conductor lives. Returns how many there were."""
    c = operations.c
    return await session.changed(
        sa.update(operations).where(OPEN, c.lease_until.is_not(None)).values(lease_until=None, owner=None)
    )


_HELD = sa.select(operations.c.id, operations.c.cancelled).where(
    operations.c.id.in_(sa.bindparam("keys", expanding=True)), operations.c.owner == sa.bindparam("by"), OPEN
)


class HeldOperation(TypedDict):
    """An operation that an engine works on."""

    id: str
    cancelled: bool


class Contested(Exception):
    """Of operations that were written unread one is cancelled or not ours any more; nothing of it may stay."""


async def change_many(
    session: Session, owner: str, changes: Mapping[str, OperationChange], *, unread: bool = False
) -> dict[str, bool]:
    """Write the progress of operations by id, and tell of each whether it is cancelled.

    One that is left out of the answer has its lease with somebody else, and of that nothing may be committed.
    Of a cancelled one nothing is written but that it ended as cancelled.
    With `unread` it may raise `Contested` instead: nearly always all are ours, and to ask costs as much as to write.
    """
    if unread and _may_be_unread(session, changes):
        await _change_unread(session, owner, changes)
        return dict.fromkeys(changes, False)
    if len(changes) == 1:
        ((key, change),) = changes.items()
        if change.get("state") != "cancelled" and await _change_one(session, owner, key, change):
            return {key: False}
    # Locked, not only read: a delete that cancels one between this and the update would otherwise not be seen.
    held = await session.lock(_HELD, {"keys": list(changes), "by": owner}, of=HeldOperation)
    found = {row["id"]: row["cancelled"] for row in held}
    written = {
        key: changes[key]
        for key, is_cancelled in found.items()
        if not is_cancelled or changes[key].get("state") == "cancelled"
    }
    for names, lines in _alike(written).items():
        await session.execute(_update(names), lines)
    return found


def _may_be_unread(session: Session, changes: Mapping[str, OperationChange]) -> bool:
    """Return whether it can be told of several operations at once that all of them were written.

    On PostgreSQL it cannot, and there they would not be locked in one order either.
    """
    ends = any(change.get("state") == "cancelled" for change in changes.values())
    return session.dialect == "sqlite" and len(changes) > 1 and not ends


async def _change_unread(session: Session, owner: str, changes: Mapping[str, OperationChange]) -> None:
    """Write the progress of operations. Raises Contested unless all of them are ours and none is cancelled."""
    changed = 0
    for names, lines in _alike(changes, by=owner).items():
        changed += await session.changed_each(_update_held(names), lines)
    if changed != len(changes):
        raise Contested


def _alike(changes: Mapping[str, OperationChange], **more: object) -> dict[tuple[str, ...], list[dict[str, object]]]:
    """Return what is to be written of operations, by the columns that it sets: most of a batch set the same."""
    alike: dict[tuple[str, ...], list[dict[str, object]]] = {}
    now = world.now()
    for key, change in changes.items():
        values = {"updated_at": now, **change}
        line = {"key": key, **more, **{f"new_{name}": value for name, value in values.items()}}
        alike.setdefault(tuple(values), []).append(line)
    return alike


async def _change_one(session: Session, owner: str, key: str, change: OperationChange) -> bool:
    """Write the progress of one operation that is ours and not cancelled, and tell whether it was."""
    values = {"updated_at": world.now(), **change}
    line = {"key": key, "by": owner, **{f"new_{name}": value for name, value in values.items()}}
    return await session.changed(_update_held(tuple(values)), line) > 0


@cache
def _update_held(names: tuple[str, ...]) -> sa.Update:
    c = operations.c
    return _update(names).where(c.owner == sa.bindparam("by"), OPEN, sa.not_(c.cancelled))


@cache
def _update(names: tuple[str, ...]) -> sa.Update:
    values = {name: sa.bindparam(f"new_{name}", type_=operations.c[name].type) for name in names}
    return sa.update(operations).where(operations.c.id == sa.bindparam("key")).values(values)


async def cancel(session: Session, server_id: str, *, except_for: str = "") -> list[str]:
    """Ask every open operation of a server to stop at its next step; the result names them."""
    c = operations.c
    mine = sa.and_(c.server_id == server_id, OPEN, c.id != except_for)
    ids = await session.scalars(sa.select(c.id).where(mine))
    if ids:
        await session.execute(sa.update(operations).where(c.id.in_(ids)).values(cancelled=True))
    return ids


async def unfinished(session: Session, server_ids: Iterable[str] | None = None) -> list[OperationRow]:
    """Fetch the open operations, of some servers or of all."""
    statement = sa.select(operations).where(OPEN).order_by(operations.c.number)
    if server_ids is not None:
        statement = statement.where(operations.c.server_id.in_(list(server_ids)))
    return await session.all(statement, of=OperationRow)


async def ends(session: Session, ids: Iterable[str]) -> dict[str, datetime | None]:
    """Return when operations ended, by id: None for one that is open, and nothing for one that is unknown."""
    c = operations.c
    return dict(await session.rows(sa.select(c.id, c.finished_at).where(c.id.in_(list(ids)))))


@attrs.frozen
class LastOperation:
    """The operation on a server that ended last, and when."""

    id: str
    at: datetime


async def last_ended(session: Session, server_ids: Iterable[str]) -> dict[str, LastOperation]:
    """Return the last operation that ended, by server."""
    c = operations.c
    latest = sa.select(sa.func.max(c.number)).where(c.server_id.in_(list(server_ids)), c.finished_at.is_not(None))
    found = sa.select(c.server_id, c.id, c.finished_at).where(c.number.in_(latest.group_by(c.server_id)))
    return {server: LastOperation(id, ended) for server, id, ended in await session.rows(found)}


async def last_of(session: Session, server_id: str, kind: str) -> str | None:
    """Name the last operation of one kind that was asked for on a server."""
    c = operations.c
    found = sa.select(c.id).where(c.server_id == server_id, c.kind == kind).order_by(c.number.desc()).limit(1)
    return next(iter(await session.scalars(found)), None)


async def of_server(session: Session, server_id: str) -> list[OperationRow]:
    """Fetch everything that was done to a server, newest first."""
    c = operations.c
    return await session.all(
        sa.select(operations).where(c.server_id == server_id).order_by(c.number.desc()), of=OperationRow
    )
