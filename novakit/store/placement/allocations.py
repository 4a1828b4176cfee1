"""Who holds how much of what: the rows a change of allocations reads, and the few statements that write it."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypedDict, TypeGuard, cast

import sqlalchemy as sa

from novakit import errors
from novakit.store.engine import Session
from novakit.store.placement.tables import AllocationRow, ConsumerRow, allocations, consumers, inventories, providers
from novakit.store.schema import insert


def _among(column: sa.Column[object]) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam("ids", expanding=True))


_CONSUMERS = sa.select(consumers).where(_among(consumers.c.id)).order_by(consumers.c.id)
_LOCKED_CONSUMERS = _CONSUMERS.with_for_update()
_HELD = sa.select(allocations).where(_among(allocations.c.consumer_id))
_LOCKED_PROVIDERS = sa.select(providers.c.id).where(_among(providers.c.id)).order_by(providers.c.id).with_for_update()
_STOCK = (
    sa.select(
        providers.c.id,
        providers.c.generation,
        providers.c.changed,
        inventories.c.resource_class,
        inventories.c.capacity,
        inventories.c.used,
        inventories.c.min_unit,
        inventories.c.max_unit,
        inventories.c.step_size,
    )
    .select_from(providers.outerjoin(inventories, inventories.c.provider_id == providers.c.id))
    .where(_among(providers.c.id))
)
_KNOWN = (
    sa.select(consumers.c.id, providers.c.root_id)
    .outerjoin(allocations, allocations.c.consumer_id == consumers.c.id)
    .outerjoin(providers, providers.c.id == allocations.c.provider_id)
    .where(consumers.c.id.in_(sa.bindparam("consumers", expanding=True)))
)
_STOCK_AND_KNOWN = sa.union_all(
    _STOCK.add_columns(sa.cast(sa.null(), sa.String).label("consumer_id")),
    _KNOWN.with_only_columns(providers.c.root_id, *[sa.null()] * 8, consumers.c.id),
)
"""The stock, and for each known consumer and what it holds a row with the root provider in the place of a provider."""
_OWNER = ("project_id", "user_id", "type", "generation", "updated_at")
_CHANGE_CONSUMER = (
    sa.update(consumers)
    .where(consumers.c.id == sa.bindparam("key"))
    .values({name: sa.bindparam(f"new_{name}", type_=consumers.c[name].type) for name in _OWNER})
)
_ADD_CONSUMER, _ADD = sa.insert(consumers), sa.insert(allocations)
_REMOVE_CONSUMERS = sa.delete(consumers).where(_among(consumers.c.id))
_CLEAR = sa.delete(allocations).where(_among(allocations.c.consumer_id))
_P: sa.ColumnElement[str] = sa.bindparam("p")
_C: sa.ColumnElement[str] = sa.bindparam("c")
_D = sa.bindparam("d", type_=sa.BigInteger)
_SHIFT = (
    sa.update(inventories)
    .where(inventories.c.provider_id == _P, inventories.c.resource_class == _C)
    .values(used=inventories.c.used + _D)
)


@lru_cache(maxsize=2)
def _add_new_consumer(dialect: str) -> sa.Executable:
    return cast("sa.Executable", insert(dialect, consumers).on_conflict_do_nothing())


def _allowed(amount: sa.ColumnElement[int]) -> tuple[sa.ColumnElement[bool], ...]:
    """Make the conditions under which an inventory allows an amount, as the ledger has them."""
    stock = inventories.c
    return (
        stock.used + amount <= stock.capacity,
        stock.min_unit <= amount,
        stock.max_unit >= amount,
        amount % stock.step_size == 0,
    )


_TAKE = _SHIFT.where(*_allowed(_D))
_WANTED = (
    sa.func.unnest(
        sa.cast(sa.bindparam("classes"), sa.ARRAY(sa.Text)),
        sa.cast(sa.bindparam("amounts"), sa.ARRAY(sa.BigInteger)),
    )
    .table_valued(sa.column("c", sa.Text), sa.column("d", sa.BigInteger), name="wanted")
    .render_derived()
)
_TAKE_TOGETHER = (
    sa.update(inventories)
    .where(inventories.c.provider_id == _P, inventories.c.resource_class == _WANTED.c.c, *_allowed(_WANTED.c.d))
    .values(used=inventories.c.used + _WANTED.c.d)
)
"""Built once: at hundreds of claims a second, building a statement costs as much as running it."""


class _Locked(TypedDict):
    id: str
    generation: int
    changed: int


class LockedProvider(_Locked):
    """A provider that is locked with one of its inventories, or bare where it has none."""

    resource_class: str | None
    capacity: int | None
    used: int | None
    min_unit: int | None
    max_unit: int | None
    step_size: int | None


class LockedStock(_Locked):
    """A provider that is locked with one of its inventories."""

    resource_class: str
    capacity: int
    used: int
    min_unit: int
    max_unit: int
    step_size: int


def has_stock(row: LockedProvider) -> TypeGuard[LockedStock]:
    """Return whether a row is of an inventory, and not of a provider that has none."""
    return row["resource_class"] is not None


class _StockOrKnown(TypedDict):
    """A row of `_STOCK`, or one of `_KNOWN` with the consumer, in which all but the root provider is null."""

    id: str | None
    generation: int | None
    changed: int | None
    resource_class: str | None
    capacity: int | None
    used: int | None
    min_unit: int | None
    max_unit: int | None
    step_size: int | None
    consumer_id: str | None


async def lock_consumers(session: Session, ids: Iterable[str]) -> tuple[list[ConsumerRow], list[AllocationRow]]:
    """Fetch consumers and what they hold, and keep other writers off them."""
    wanted = sorted(set(ids))
    if not wanted:
        return [], []
    statement = _LOCKED_CONSUMERS if session.dialect == "postgresql" else _CONSUMERS
    found = await session.all(statement, {"ids": wanted}, of=ConsumerRow)
    if not found:
        return [], []
    return found, await session.all(_HELD, {"ids": [row["id"] for row in found]}, of=AllocationRow)


async def lock_stock(session: Session, provider_ids: Iterable[str]) -> list[LockedProvider]:
    """Fetch the inventories of providers, a bare row for one without any, and keep other writers off them.

    Providers are locked in the order of their ids, so two writers never wait for each other in a circle.
    """
    wanted = sorted(set(provider_ids))
    if not wanted:
        return []
    if session.dialect == "postgresql":
        await session.execute(_LOCKED_PROVIDERS, {"ids": wanted})
    return await session.all(_STOCK, {"ids": wanted}, of=LockedProvider)


async def lock_stock_for_new(
    session: Session, consumer_ids: Iterable[str], provider_ids: Iterable[str]
) -> tuple[dict[str, str | None], list[LockedProvider]]:
    """Do as `lock_stock` does for consumers that are most likely new.

    Returns beside it those of them that are known, each with the root provider of what it holds, if anything; where
    there are any, nothing need be locked, and nothing be fetched: consumers are locked before any stock.
    """
    asked = sorted(set(consumer_ids))
    if session.dialect == "postgresql":
        # In three: what is read beside a lock may be older than the lock.
        known = {row[0]: row[1] for row in await session.rows(_KNOWN, {"consumers": asked})}
        return known, [] if known else await lock_stock(session, provider_ids)
    values = {"ids": sorted(set(provider_ids)), "consumers": asked}
    known, stock = {}, []
    for row in await session.all(_STOCK_AND_KNOWN, values, of=_StockOrKnown):
        if row["consumer_id"] is None:
            stock.append(cast(LockedProvider, row))
        else:
            known[row["consumer_id"]] = row["id"]
    return known, stock


async def add_consumers(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Record new consumers. Raises Conflict when another writer made one of them meanwhile."""
    if session.dialect == "postgresql":
        # A row that does not exist yet cannot be locked, so two writers may both believe to make it. The second one
        # waits here for the first to commit, and is then told instead of failing with the whole transaction.
        statement = session.insert(consumers).values(list(rows)).on_conflict_do_nothing()
        made = await session.scalars(statement.returning(consumers.c.id))
        if len(made) != len(rows):
            raise errors.Conflict(
                "A consumer was created by another request at the same moment; read it again and retry.",
                kind="placement.concurrent_update",
            )
    else:
        await session.execute(_ADD_CONSUMER, list(rows))


async def add_new_consumer(session: Session, row: Mapping[str, object]) -> bool:
    """Record a consumer. Returns whether it was new; one that another writer is about to make is waited for."""
    return bool(await session.changed(_add_new_consumer(session.dialect), row))


async def change_consumers(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Write the project, user, type and generation of existing consumers; each row names its consumer as `key`."""
    prepared = [{"key": row["key"], **{f"new_{name}": row[name] for name in _OWNER}} for row in rows]
    await session.execute(_CHANGE_CONSUMER, prepared)


async def remove_consumers(session: Session, ids: Sequence[str]) -> None:
    """Forget consumers that hold nothing any more."""
    await session.execute(_REMOVE_CONSUMERS, {"ids": list(ids)})


async def clear(session: Session, consumer_ids: Sequence[str]) -> None:
    """Delete all allocation rows of consumers."""
    await session.execute(_CLEAR, {"ids": list(consumer_ids)})


async def add(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Write allocation rows."""
    await session.execute(_ADD, list(rows))


async def shift_usage(session: Session, deltas: Sequence[tuple[str, str, int]]) -> None:
    """Add to the used amounts: triples of provider id, resource class and difference."""
    # Sorted, as the providers were locked: rows are always taken in one order.
    await session.execute(_SHIFT, [{"p": p, "c": c, "d": d} for p, c, d in sorted(deltas)])


async def take(session: Session, provider_id: str, amounts: Mapping[str, int]) -> bool:
    """Add to the used amounts of one provider. Returns whether its inventories allowed it; if not, some are written."""
    if session.dialect == "postgresql":
        # PostgreSQL does not say how many rows a statement changed that was run for several.
        values = {"p": provider_id, "classes": list(amounts), "amounts": list(amounts.values())}
        return await session.changed(_TAKE_TOGETHER, values) == len(amounts)
    rows = [{"p": provider_id, "c": c, "d": d} for c, d in amounts.items()]
    return await session.changed_each(_TAKE, rows) == len(rows)


class ConsumerAllocation(AllocationRow):
    """What a consumer holds of a provider, with whose it is and the generations of both."""

    provider_generation: int
    project_id: str
    user_id: str
    type: str | None
    consumer_generation: int


class ProviderAllocation(AllocationRow):
    """What a consumer holds of a provider, with the generation of the consumer."""

    consumer_generation: int


async def of_consumer(session: Session, consumer_id: str) -> list[ConsumerAllocation]:
    """List what a consumer holds, with the generations of the providers and of the consumer."""
    return await session.all(
        sa.select(
            allocations,
            providers.c.generation.label("provider_generation"),
            consumers.c.project_id,
            consumers.c.user_id,
            consumers.c.type,
            consumers.c.generation.label("consumer_generation"),
        )
        .join(consumers, consumers.c.id == allocations.c.consumer_id)
        .join(providers, providers.c.id == allocations.c.provider_id)
        .where(allocations.c.consumer_id == consumer_id),
        of=ConsumerAllocation,
    )


async def of_provider(session: Session, provider_id: str) -> list[ProviderAllocation]:
    """List what is allocated from a provider, with the generations of the consumers."""
    return await session.all(
        sa.select(allocations, consumers.c.generation.label("consumer_generation"))
        .join(consumers, consumers.c.id == allocations.c.consumer_id)
        .where(allocations.c.provider_id == provider_id),
        of=ProviderAllocation,
    )
