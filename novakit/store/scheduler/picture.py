"""What a scheduler reads to keep its picture of the hosts current: a few statements, whatever the number of hosts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import datetime
from functools import cache
from typing import TypedDict, TypeVar

import attrs
import sqlalchemy as sa

from novakit.store.compute.aggregates import aggregates
from novakit.store.compute.hosts import HostRow, hosts
from novakit.store.compute.servers import servers
from novakit.store.engine import Session
from novakit.store.operations import operations
from novakit.store.placement import changes
from novakit.store.placement.tables import allocations, consumers, providers
from novakit.store.scheduler.activity import COUNTED, Activity
from novakit.store.schema import UTC, among, several

T = TypeVar("T")
CHUNK = 500
"""Ids in one statement; SQLite takes 32,766 parameters, and long lists are slow to compile."""


@attrs.frozen(kw_only=True)
class News:
    """What one statement tells of what the picture has to take in."""

    hosts: int
    """How many there are."""
    host_change: int
    aggregate_change: int
    """The latest change number of each kind."""
    ledger: Mapping[str, int]
    """Change numbers, by id, of the providers that changed or went away."""
    next_ledger: int
    """The number to ask with next."""
    signs: Mapping[str, datetime] | None
    """By host: the mark of its last sign of life; None unless asked for."""
    activity: Activity | None
    """What goes on on the hosts, of the facts that were asked for, if any."""


def _number(kind: str, number: sa.Select[*tuple[object, ...]]) -> sa.Select[*tuple[object, ...]]:
    key, text, moment = (sa.cast(sa.null(), one) for one in (sa.String(), sa.Text(), UTC()))
    return sa.select(sa.literal(kind), key, sa.cast(number.scalar_subquery(), sa.BigInteger), text, moment)


_SIGNS, _COUNTS = sa.bindparam("signs", type_=sa.Boolean), sa.bindparam("counts", type_=sa.Boolean)


@cache
def _news(dialect: str, facts: frozenset[str]) -> sa.CompoundSelect[*tuple[object, ...]]:
    """Build the statement: rows of a kind, and of an id, a number, a text and a moment what the kind has.

    What is not asked for each time is kept out by its parameters, and costs the database nothing then: to compile a
    statement for each way to ask takes some 20 ms of a young process.
    """
    null = sa.null()
    first, second = changes.SINCE[dialect].subquery().columns
    parts = [
        _number("hosts", sa.select(sa.func.count()).select_from(hosts)),
        _number("host_change", sa.select(sa.func.coalesce(sa.func.max(hosts.c.changed), 0))),
        _number("aggregate_change", sa.select(sa.func.coalesce(sa.func.max(aggregates.c.changed), 0))),
        sa.select(sa.literal("ledger"), first, second, null, null),
        sa.select(sa.literal("sign"), hosts.c.name, null, null, hosts.c.last_seen).where(_SIGNS),
    ]
    for fact in sorted(facts):
        counted = COUNTED[fact].where(_COUNTS)
        parts.append(counted.with_only_columns(sa.literal(fact), *counted.selected_columns, null))
    if facts:
        done = sa.or_(servers.c.host.is_not(None), servers.c.deleted_at.is_not(None))
        placed = among(dialect, servers.c.id, sa.bindparam("placed"))
        parts.append(sa.select(sa.literal("written"), servers.c.id, null, null, null).where(_COUNTS, placed, done))
    return sa.union_all(*parts)


async def news(
    session: Session,
    seen: int,
    *,
    signs: bool = False,
    facts: Set[str] = frozenset(),
    counts: bool = True,
    placed: Iterable[str] = (),
) -> News:
    """Read whether hosts or aggregates changed, and what of the ledger did after `seen`; 0 asks for all of it.

    With `signs` also when hosts gave a sign of life, and with `counts` what goes on on the hosts, of the `facts` of
    `COUNTED` that anybody wants to know, and which of the servers that were just `placed` are counted there: as of one
    moment, so that each is counted once.
    """
    asked: dict[str, object] = {"seen": seen, "signs": signs}
    if facts:
        asked |= {"counts": counts, "placed": several(session.dialect, placed if counts else ())}
    numbers: dict[str, int] = {}
    ledger: list[tuple[str | None, int]] = []
    marks: dict[str, datetime] = {}
    activity = Activity()
    statement = _news(session.dialect, frozenset(facts))
    for kind, key, number, text, moment in await session.rows(statement, asked):
        if kind == "ledger":
            ledger.append((key, number))
        elif kind == "sign":
            marks[key] = moment
        elif kind == "written":
            activity.written.add(key)
        elif kind in COUNTED:
            activity.take(kind, key, number, text)
        else:
            numbers[kind] = number
    changed, following = changes.read_since(ledger, seen)
    return News(
        **numbers,
        ledger=changed,
        next_ledger=following,
        signs=marks if signs else None,
        activity=activity if facts and counts else None,
    )


async def hosts_since(session: Session, seen: int) -> tuple[list[HostRow], int]:
    """Fetch hosts that changed after `seen`, in the order they first appeared, and count them all."""
    count = await session.scalar(sa.select(sa.func.count()).select_from(hosts))
    statement = sa.select(hosts).where(hosts.c.changed > seen).order_by(hosts.c.number)
    return await session.all(statement, of=HostRow), int(count)


_IDS: sa.BindParameter[object] = sa.bindparam("ids", expanding=True)
_TREES = sa.select(providers.c.id, providers.c.root_id).where(
    providers.c.root_id.in_(sa.select(providers.c.root_id).where(providers.c.id.in_(_IDS)))
)
_COUNTED = sa.select(allocations.c.provider_id, sa.func.count(allocations.c.consumer_id.distinct())).group_by(
    allocations.c.provider_id
)
_COUNTED_AMONG = _COUNTED.where(allocations.c.provider_id.in_(_IDS))
_HELD = (
    sa.select(allocations.c.consumer_id, providers.c.root_id)
    .join(providers, providers.c.id == allocations.c.provider_id)
    .where(allocations.c.consumer_id.in_(_IDS))
)


async def trees(session: Session, provider_ids: Iterable[str] | None) -> dict[str, str]:
    """Return the root of every provider in the trees of these (or of all), by id."""
    if provider_ids is None:
        return _pairs(await session.rows(sa.select(providers.c.id, providers.c.root_id)))
    found: dict[str, str] = {}
    for some in chunks(sorted(provider_ids)):
        found.update(_pairs(await session.rows(_TREES, {"ids": some})))
    return found


async def servers_on(session: Session, provider_ids: Iterable[str] | None) -> dict[str, int]:
    """Count the consumers with a claim, by provider."""
    if provider_ids is None:
        return _pairs(await session.rows(_COUNTED))
    found: dict[str, int] = {}
    for some in chunks(sorted(provider_ids)):
        found.update(_pairs(await session.rows(_COUNTED_AMONG, {"ids": some})))
    return found


async def roots_held(session: Session, consumer_ids: Iterable[str], *, project_id: str | None = None) -> dict[str, str]:
    """Return the root provider of what each consumer holds; with a project, of its consumers alone."""
    found: dict[str, str] = {}
    for some in chunks(sorted(consumer_ids)):
        statement = _HELD
        if project_id is not None:
            statement = statement.join(consumers, consumers.c.id == allocations.c.consumer_id).where(
                consumers.c.project_id == project_id
            )
        found.update(_pairs(await session.rows(statement, {"ids": some})))
    return found


async def nested_held(session: Session, consumer_ids: Iterable[str]) -> dict[str, set[str]]:
    """Return the providers below a root that each consumer holds something of."""
    found: dict[str, set[str]] = {}
    for some in chunks(sorted(consumer_ids)):
        statement = (
            sa.select(allocations.c.consumer_id, allocations.c.provider_id)
            .join(providers, providers.c.id == allocations.c.provider_id)
            .where(allocations.c.consumer_id.in_(some), providers.c.parent_id.is_not(None))
        )
        rows = await session.rows(statement)
        for consumer, provider in rows:
            found.setdefault(consumer, set()).add(provider)
    return found


class EndedBuilds(TypedDict):
    """The builds of an operation that has ended: pairs of a host and whether it worked."""

    id: str
    finished_at: datetime
    builds: list[tuple[str, bool]] | None


async def builds_since(session: Session, since: datetime) -> list[EndedBuilds]:
    """Fetch the builds of operations that ended after `since`."""
    c = operations.c
    statement = sa.select(c.id, c.finished_at, c.data["builds"].label("builds")).where(
        c.finished_at > since, c.kind.in_(("create", "unshelve"))
    )
    return [row for row in await session.all(statement.order_by(c.finished_at), of=EndedBuilds) if row["builds"]]


async def loads_on(session: Session, root_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Return what each consumer holds in the trees of these root providers, by resource class."""
    held: dict[str, dict[str, int]] = {}
    for some in chunks(sorted(root_ids)):
        statement = (
            sa.select(allocations.c.consumer_id, allocations.c.resource_class, allocations.c.used)
            .join(providers, providers.c.id == allocations.c.provider_id)
            .where(providers.c.root_id.in_(some))
        )
        rows = await session.rows(statement)
        for consumer, resource_class, used in rows:
            amounts = held.setdefault(consumer, {})
            amounts[resource_class] = amounts.get(resource_class, 0) + used
    return held


def _pairs(rows: Iterable[tuple[str, T]]) -> dict[str, T]:
    return {row[0]: row[1] for row in rows}


def chunks(ids: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut what there may be much of into what one statement takes."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]
