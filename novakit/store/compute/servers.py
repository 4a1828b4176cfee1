"""Servers: one row each, kept after deletion so that it can still be listed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NotRequired, TypedDict, Unpack, cast

import attrs
import orjson
import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata, uuid_column

servers = sa.Table(
    "servers",
    metadata,
    uuid_column("id", primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False, index=True),
    sa.Column("cell", sa.String(64), nullable=False, default="cell1"),
    uuid_column("project_id", nullable=False),
    uuid_column("user_id", nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.String(255)),
    sa.Column("hostname", sa.String(255), nullable=False),
    sa.Column("vm_state", sa.String(32), nullable=False),
    sa.Column("task_state", sa.String(32)),
    sa.Column("power_state", sa.Integer, nullable=False, default=0),
    sa.Column("host", sa.String(255), index=True),
    sa.Column("node", sa.String(255)),
    sa.Column("availability_zone", sa.String(255)),
    sa.Column("pinned_availability_zone", sa.String(255)),
    sa.Column("flavor", sa.JSON, nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("memory_mb", sa.Integer, nullable=False),
    uuid_column("image_id"),
    sa.Column("image_properties", sa.JSON, nullable=False, default=dict),
    sa.Column("key_name", sa.String(255)),
    sa.Column("public_key", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False, default=dict),
    sa.Column("tags", sa.JSON, nullable=False, default=list),
    sa.Column("config_drive", sa.Boolean, nullable=False, default=False),
    sa.Column("user_data", sa.Text),
    sa.Column("access_ip_v4", sa.String(15)),
    sa.Column("access_ip_v6", sa.String(39)),
    sa.Column("auto_disk_config", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("locked_by", sa.String(16)),
    sa.Column("locked_reason", sa.String(255)),
    sa.Column("reservation_id", sa.String(36), nullable=False),
    sa.Column("launch_index", sa.Integer, nullable=False, default=0),
    sa.Column("root_device_name", sa.String(64), nullable=False, default="/dev/vda"),
    sa.Column("scheduler_hints", sa.JSON, nullable=False, default=dict),
    sa.Column("fault", sa.JSON),
    sa.Column("progress", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", UTC, nullable=False),
    sa.Column("updated_at", UTC, nullable=False),
    sa.Column("launched_at", UTC),
    sa.Column("terminated_at", UTC),
    sa.Column("deleted_at", UTC),
    sa.Index("ix_servers_page", "project_id", "deleted_at", "created_at", "number", "id", "vcpus", "memory_mb"),
)
"""`number` orders servers by creation and makes paging stable.

`ix_servers_page` has a project's servers in the order of a list: a page is read from it without sorting all there are.
What they take from its quota is summed from it alone: each create waits for that, under the lock of its project.

`terminated_at` of a deleted server is when its guest was gone; None where its host, which was down, may have it still.

`vcpus` and `memory_mb` repeat the flavor, so that a project's usage is one sum.
"""


class ServerFlavor(TypedDict):
    """What a server remembers of its flavor: ram and swap in MiB, disk and ephemeral in GiB."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
    ephemeral: NotRequired[int]
    """Notes of guests need not have this and what follows; a server that was adopted has what its note had."""
    swap: NotRequired[int]
    rxtx_factor: NotRequired[float]
    is_public: NotRequired[bool]
    description: NotRequired[str | None]
    extra_specs: NotRequired[Mapping[str, str]]


class ServerFault(TypedDict):
    """Why a server is in error."""

    code: int
    message: str
    details: NotRequired[str]
    """For administrators."""
    created: str


class ServerRow(TypedDict):
    """A row of `servers`; `number` is the database's, so a row that was just written has none."""

    id: str
    number: NotRequired[int]
    cell: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    hostname: str
    vm_state: str
    task_state: str | None
    power_state: int
    host: str | None
    node: str | None
    availability_zone: str | None
    pinned_availability_zone: str | None
    flavor: ServerFlavor
    vcpus: int
    memory_mb: int
    image_id: str | None
    image_properties: Mapping[str, object]
    key_name: str | None
    public_key: str | None
    metadata: Mapping[str, str]
    tags: list[str]
    config_drive: bool
    user_data: str | None
    access_ip_v4: str | None
    access_ip_v6: str | None
    auto_disk_config: bool
    locked_by: str | None
    locked_reason: str | None
    reservation_id: str
    launch_index: int
    root_device_name: str
    scheduler_hints: Mapping[str, object]
    fault: ServerFault | None
    progress: int
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    terminated_at: datetime | None
    deleted_at: datetime | None


class LivingServer(TypedDict):
    """Where a server is, in which state, and what its claim follows from."""

    id: str
    name: str
    project_id: str
    host: str | None
    vm_state: str
    task_state: str | None
    power_state: int
    flavor: ServerFlavor
    image_properties: Mapping[str, object]


LENGTHS: Mapping[str, int] = {
    column.name: column.type.length
    for column in servers.c
    if isinstance(column.type, sa.String) and column.type.length is not None
}
"""Characters that a column takes at most; PostgreSQL refuses longer texts, and SQLite keeps them."""


class ServerColumns(TypedDict, total=False):
    """Columns of a server that are set once it is there; those that are left out stay."""

    name: str
    description: str | None
    hostname: str
    vm_state: str
    task_state: str | None
    power_state: int
    host: str | None
    node: str | None
    availability_zone: str | None
    pinned_availability_zone: str | None
    image_properties: Mapping[str, object]
    public_key: str | None
    metadata: Mapping[str, str]
    tags: Sequence[str]
    user_data: str | None
    access_ip_v4: str | None
    access_ip_v6: str | None
    auto_disk_config: bool
    locked_by: str | None
    locked_reason: str | None
    scheduler_hints: Mapping[str, object]
    fault: Mapping[str, object] | None
    progress: int
    updated_at: datetime
    launched_at: datetime | None
    terminated_at: datetime | None
    deleted_at: datetime | None


DROPPED: ServerColumns = {
    "user_data": None,
    "public_key": None,
    "metadata": {},
    "tags": [],
    "image_properties": {},
    "scheduler_hints": {},
    "locked_reason": None,
}
"""What a server loses when it is deleted: a deleted one counts in no quota, so nothing of it may be large."""

_NEXT = sa.select(sa.func.coalesce(sa.func.max(servers.c.number), 0) + 1).scalar_subquery()
_ADD = sa.insert(servers).values(number=_NEXT)
_ANY = sa.select(servers).where(servers.c.id == sa.bindparam("key"))
_ALIVE = _ANY.where(servers.c.deleted_at.is_(None))
_SOME = sa.select(servers).where(servers.c.id.in_(sa.bindparam("keys", expanding=True)))


async def add(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert new servers, numbered in the order given."""
    await session.execute(_ADD, list(rows))


def as_read(row: Mapping[str, object]) -> ServerRow:
    """Return a row that `add` inserts as it is read from the database then, but for `number`, which that gives it."""
    values = {**_LEFT_OUT, **row}
    return cast(ServerRow, {**values, **orjson.loads(orjson.dumps({name: values[name] for name in _JSON}))})


def _unless_given(column: sa.Column[object]) -> object:
    """Return the value of a column that an insert leaves out; one of JSON is copied before it is used."""
    default = column.default
    if default is None:
        return None
    assert isinstance(default, sa.ColumnDefault)
    return default.arg(None) if default.is_callable else default.arg


_LEFT_OUT = {str(column.name): _unless_given(column) for column in servers.c if column.name != "number"}
_JSON = [str(column.name) for column in servers.c if isinstance(column.type, sa.JSON)]


async def server(session: Session, server_id: str, *, deleted: bool = False) -> ServerRow | None:
    """Fetch one server; a deleted one only when asked to."""
    return await session.first(_ANY if deleted else _ALIVE, {"key": server_id}, of=ServerRow)


async def lock(session: Session, server_id: str) -> ServerRow | None:
    """Fetch one server that is not deleted; nobody else writes it until the transaction ends."""
    return next(iter(await session.lock(_ALIVE, {"key": server_id}, of=ServerRow)), None)


async def lock_some(session: Session, ids: Iterable[str]) -> None:
    """Keep other writers off several servers until the transaction ends; in one order, so that none wait in a ring."""
    if session.dialect == "postgresql":
        c = servers.c
        await session.execute(sa.select(c.id).where(c.id.in_(list(ids))).order_by(c.id).with_for_update())


async def some(session: Session, ids: Iterable[str]) -> list[ServerRow]:
    """Fetch several servers by id, deleted ones too, in no order."""
    return await session.all(_SOME, {"keys": list(ids)}, of=ServerRow)


async def change(session: Session, server_id: str, **values: Unpack[ServerColumns]) -> bool:
    """Set columns of one server that is not deleted. Returns whether there is one."""
    statement = (
        sa.update(servers)
        .where(servers.c.id == server_id, servers.c.deleted_at.is_(None))
        .values(**{"updated_at": world.now(), **values})
    )
    return await session.changed(statement) > 0


@attrs.frozen
class Change:
    """Sets columns of one server that is not deleted, alone or with many others at once."""

    server_id: str
    values: ServerColumns

    async def __call__(self, session: Session) -> None:
        """Write this change."""
        await change(session, self.server_id, **self.values)

    @staticmethod
    async def write(session: Session, changes: "Sequence[Change]") -> None:
        """Write several changes, those of the same columns in one statement."""
        alike: dict[tuple[str, ...], list[dict[str, object]]] = {}
        now = world.now()
        for each in changes:
            values = {"updated_at": now, **each.values}
            line = {"key": each.server_id, **_new(values)}
            alike.setdefault(tuple(values), []).append(line)
        for names, lines in alike.items():
            await session.execute(_update(names), lines)


@cache
def _update(names: tuple[str, ...]) -> sa.Update:
    values = {name: sa.bindparam(f"new_{name}", type_=servers.c[name].type) for name in names}
    alive = servers.c.deleted_at.is_(None)
    return sa.update(servers).where(servers.c.id == sa.bindparam("key"), alive).values(values)


async def change_if(
    session: Session, server_id: str, *conditions: sa.ColumnElement[bool], **values: Unpack[ServerColumns]
) -> bool:
    """Set columns of one server while `conditions` hold. Returns whether they did."""
    written = {"updated_at": world.now(), **values}
    statement = _update(tuple(written)).where(*conditions)
    return await session.changed(statement, {"key": server_id, **_new(written)}) > 0


async def change_each_if(session: Session, condition: sa.ColumnElement[bool], rows: Sequence[Mapping[str, Any]]) -> int:
    """Set columns of several servers, the same of each by `id`, while `condition` holds; tell for how many it did."""
    if session.dialect == "postgresql" or len(rows) == 1:
        # asyncpg does not say how many rows a statement that runs once for each has touched.
        changed = 0
        for row in rows:
            values = {"updated_at": world.now(), **{name: value for name, value in row.items() if name != "id"}}
            line = {"key": row["id"], **_new(values)}
            changed += await session.changed(_update_if(tuple(values), condition), line)
        return changed
    now = world.now()
    lines = [{"updated_at": now, **row} for row in rows]
    names = tuple(name for name in lines[0] if name != "id")
    renamed = [{"key": row["id"], **{f"new_{name}": row[name] for name in names}} for row in lines]
    return await session.changed_each(_update_if(names, condition), renamed)


def _new(values: Mapping[str, object]) -> dict[str, object]:
    """Name values as `_update` does."""
    return {f"new_{name}": value for name, value in values.items()}


@lru_cache(maxsize=500)
def _update_if(names: tuple[str, ...], condition: sa.ColumnElement[bool]) -> sa.Update:
    """Build the change of some columns on a condition that is built once, too: moves are few."""
    return _update(names).where(condition)


async def on_host(session: Session, host: str) -> list[ServerRow]:
    """Fetch the servers that a host is to run."""
    return await session.all(
        sa.select(servers).where(servers.c.host == host, servers.c.deleted_at.is_(None)), of=ServerRow
    )


async def resting(session: Session, vm_state: str) -> list[ServerRow]:
    """Fetch the servers that are in a state, with nothing being done to them."""
    c = servers.c
    return await session.all(
        sa.select(servers).where(c.vm_state == vm_state, c.task_state.is_(None), c.deleted_at.is_(None)), of=ServerRow
    )


async def living(session: Session) -> list[LivingServer]:
    """Fetch every server that is not deleted."""
    c = servers.c
    states, claimed = (c.vm_state, c.task_state, c.power_state), (c.flavor, c.image_properties)
    return await session.all(
        sa.select(c.id, c.name, c.project_id, c.host, *states, *claimed).where(c.deleted_at.is_(None)), of=LivingServer
    )


USAGE = sa.select(
    sa.func.count().label("instances"),
    sa.func.coalesce(sa.func.sum(servers.c.vcpus), 0).label("cores"),
    sa.func.coalesce(sa.func.sum(servers.c.memory_mb), 0).label("ram"),
).where(servers.c.project_id == sa.bindparam("project"), servers.c.deleted_at.is_(None))
"""What the servers of a project take from its quota."""


async def usage(session: Session, project_id: str, user_id: str | None = None) -> Mapping[str, int]:
    """Sum what a project's servers take from its quota: instances, cores, ram (MiB)."""
    statement = USAGE if user_id is None else USAGE.where(servers.c.user_id == user_id)
    row = await session.first(statement, {"project": project_id}, of=Mapping[str, int])
    assert row is not None
    return row


async def alive(session: Session, ids: Iterable[str]) -> set[str]:
    """Return which of these servers are not deleted."""
    wanted = list(ids)
    if not wanted:
        return set()
    c = servers.c
    return set(await session.scalars(sa.select(c.id).where(c.id.in_(wanted), c.deleted_at.is_(None))))


def in_states(states: Mapping[str, Iterable[str | None]]) -> sa.ColumnElement[bool]:
    """Hold for servers in one of these states, given as task_states by vm_state.

    `*` is any vm_state, and any task_state but deleting.
    """
    return sa.or_(sa.false(), *(_in_state(vm_state, tasks) for vm_state, tasks in states.items()))


def _in_state(vm_state: str, task_states: Iterable[str | None]) -> sa.ColumnElement[bool]:
    c = servers.c
    wanted = list(task_states)
    if "*" in wanted:
        tasks: sa.ColumnElement[bool] = sa.or_(c.task_state.is_(None), c.task_state != "deleting")
    else:
        tasks = sa.or_(*(c.task_state.is_(None) if task is None else c.task_state == task for task in wanted))
    return tasks if vm_state == "*" else sa.and_(c.vm_state == vm_state, tasks)
