"""What a scheduler reads to keep its picture of the hosts current: a few statements, whatever the number of hosts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import attrs
import orjson
import sqlalchemy as sa

from novakit.store.compute.aggregates import aggregates
from novakit.store.compute.hosts import hosts
from novakit.store.compute.servers import servers
from novakit.store.engine import Row, Session
from novakit.store.operations import operations
from novakit.store.placement import changes
from novakit.store.placement.tables import allocations, consumers, providers

T = TypeVar("T")
CHUNK = 500
"""Ids in one statement; SQLite takes 32,766 parameters, and long lists are slow to compile."""


@attrs.frozen(kw_only=True)
class News:
    """What tells in one statement whether anything of the picture is to be read again."""

    hosts: int
    """How many there are."""
    host_change: int
    aggregate_change: int
    """The latest change number of each kind."""
    ledger: Mapping[str, int]
    """Change numbers, by id, of the providers that changed or went away."""
    next_ledger: int
    """The number to ask with next."""


def _number(kind: str, number: sa.Select[*tuple[object, ...]]) -> sa.Select[*tuple[object, ...]]:
    key = sa.cast(sa.null(), sa.String).label("id")
    number_of = sa.cast(number.scalar_subquery(), sa.BigInteger).label("number")
    return sa.select(sa.literal(kind).label("kind"), key, number_of)


def _news(dialect: str) -> sa.CompoundSelect[*tuple[object, ...]]:
    ledger = changes.SINCE[dialect].subquery()
    first, second = ledger.columns
    return sa.union_all(
        _number("hosts", sa.select(sa.func.count()).select_from(hosts)),
        _number("host_change", sa.select(sa.func.coalesce(sa.func.max(hosts.c.changed), 0))),
        _number("aggregate_change", sa.select(sa.func.coalesce(sa.func.max(aggregates.c.changed), 0))),
        sa.select(sa.literal("ledger").label("kind"), first, second),
    )


_NEWS = {dialect: _news(dialect) for dialect in changes.SINCE}


async def news(session: Session, seen: int) -> News:
    """Read whether hosts or aggregates changed, and what of the ledger did after `seen`; 0 asks for all of it."""
    numbers: dict[str, int] = {}
    ledger: list[tuple[str | None, int]] = []
    for kind, key, number in await session.rows(_NEWS[session.dialect], {"seen": seen}):
        if kind == "ledger":
            ledger.append((key, number))
        else:
            numbers[kind] = number
    changed, following = changes.read_since(ledger, seen)
    return News(**numbers, ledger=changed, next_ledger=following)


async def hosts_since(session: Session, seen: int) -> tuple[list[Row], int]:
    """Fetch hosts that changed after `seen`, in the order they first appeared, and count them all."""
    count = await session.scalar(sa.select(sa.func.count()).select_from(hosts))
    statement = sa.select(hosts).where(hosts.c.changed > seen).order_by(hosts.c.number)
    return await session.all(statement), int(count)


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
    """Give, for every provider in the trees of these (or of all), the id of its root."""
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
    """Give, by consumer, the root provider of what it holds; of one project's consumers only, if named."""
    found: dict[str, str] = {}
    for some in chunks(sorted(consumer_ids)):
        statement = _HELD
        if project_id is not None:
            statement = statement.join(consumers, consumers.c.id == allocations.c.consumer_id).where(
                consumers.c.project_id == project_id
            )
        found.update(_pairs(await session.rows(statement, {"ids": some})))
    return found


_KNOWN = (
    sa.select(consumers.c.id, providers.c.root_id)
    .outerjoin(allocations, allocations.c.consumer_id == consumers.c.id)
    .outerjoin(providers, providers.c.id == allocations.c.provider_id)
    .where(consumers.c.id.in_(_IDS))
)


async def known_consumers(session: Session, consumer_ids: Iterable[str]) -> dict[str, str | None]:
    """Give those of some consumers that the ledger knows, each with the root provider of what it holds, if anything."""
    found: dict[str, str | None] = {}
    for some in chunks(sorted(consumer_ids)):
        found.update((row[0], row[1]) for row in await session.rows(_KNOWN, {"ids": some}))
    return found


async def nested_held(session: Session, consumer_ids: Iterable[str]) -> dict[str, set[str]]:
    """Give, by consumer, the providers below a root that it holds something of."""
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


async def operations_on(session: Session, but: sa.Select[object] | None = None) -> dict[str, int]:
    """Count the servers that something is being done to, by host; leave out those that `but` selects."""
    here = sa.and_(_on_a_host(but), servers.c.task_state.is_not(None))
    counted = sa.select(servers.c.host, sa.func.count()).where(here).group_by(servers.c.host)
    return _pairs(await session.rows(counted))


async def flavors_on(session: Session, but: sa.Select[object] | None = None) -> dict[str, dict[str, int]]:
    """Count the servers of each flavor, by host; leave out those that `but` selects."""
    name = servers.c.flavor["name"].as_string()
    counted = sa.select(servers.c.host, name, sa.func.count()).where(_on_a_host(but)).group_by(servers.c.host, name)
    found: dict[str, dict[str, int]] = {}
    rows = await session.rows(counted)
    for host, flavor, count in rows:
        found.setdefault(host, {})[flavor] = count
    return found


async def images_on(session: Session, but: sa.Select[object] | None = None) -> dict[str, dict[str, int]]:
    """Count the servers whose image has a property, by host and `key=value`; leave out those that `but` selects."""
    # Grouped as text: hosts have few images, so this is few rows, and JSON itself cannot be grouped by on PostgreSQL.
    text = sa.cast(servers.c.image_properties, sa.Text)
    counted = sa.select(servers.c.host, text, sa.func.count()).where(_on_a_host(but)).group_by(servers.c.host, text)
    found: dict[str, dict[str, int]] = {}
    rows = await session.rows(counted)
    for host, properties, count in rows:
        there = found.setdefault(host, {})
        for key, value in orjson.loads(properties).items():
            there[f"{key}={value}"] = there.get(f"{key}={value}", 0) + count
    return found


async def settled(session: Session, server_ids: Iterable[str]) -> set[str]:
    """Return those of some servers of which it is written on which host they are, or that they were deleted."""
    found: set[str] = set()
    for some in chunks(sorted(server_ids)):
        done = sa.or_(servers.c.host.is_not(None), servers.c.deleted_at.is_not(None))
        found.update(await session.scalars(sa.select(servers.c.id).where(servers.c.id.in_(some), done)))
    return found


def _on_a_host(but: sa.Select[object] | None) -> sa.ColumnElement[bool]:
    here = sa.and_(servers.c.deleted_at.is_(None), servers.c.host.is_not(None))
    return here if but is None else sa.and_(here, servers.c.id.not_in(but))


async def builds_since(session: Session, since: datetime) -> list[Row]:
    """Fetch id, finished_at and builds (pairs of host and whether it worked) of operations that ended after `since`."""
    c = operations.c
    statement = sa.select(c.id, c.finished_at, c.data["builds"].label("builds")).where(
        c.finished_at > since, c.kind.in_(("create", "unshelve"))
    )
    return [row for row in await session.all(statement.order_by(c.finished_at)) if row["builds"]]


async def loads_on(session: Session, root_ids: Iterable[str]) -> dict[str, dict[str, int]]:
    """Give, by consumer, the amounts it holds by resource class in the trees of these root providers."""
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
