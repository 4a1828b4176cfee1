"""The change number of providers: what a reader with a copy asks for, to refresh only what moved.

On SQLite, which has one writer at a time, it is one more than the highest so far.
On PostgreSQL it is the transaction's id, so that writers do not wait for one another; a reader then goes on from the
oldest transaction that was still open, and may hear of a change twice but never misses one.
"""

from collections.abc import Iterable

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.placement.tables import deleted_providers, providers
from novakit.store.schema import UTC


def _bigint(expression: sa.ColumnElement[object]) -> sa.ColumnElement[object]:
    return sa.cast(sa.cast(expression, sa.Text), sa.BigInteger)


def _one_more() -> sa.ColumnElement[object]:
    highest, gone = providers.alias(), deleted_providers.alias()
    tops = (sa.select(sa.func.max(one.c.changed)).scalar_subquery() for one in (highest, gone))
    return sa.select(sa.func.max(*(sa.func.coalesce(top, 0) for top in tops)) + 1).correlate(None).scalar_subquery()


_NUMBER = {"postgresql": _bigint(sa.func.pg_current_xact_id()), "sqlite": _one_more()}


def number(session: Session) -> sa.ColumnElement[object]:
    """Return the SQL expression of this transaction's change number."""
    return _NUMBER[session.dialect]


_TOUCH = {
    (dialect, step): sa.update(providers)
    .where(providers.c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(generation=providers.c.generation + step, changed=expression, updated_at=sa.bindparam("now", type_=UTC))
    .returning(providers.c.id, providers.c.changed)
    for dialect, expression in _NUMBER.items()
    for step in (0, 1)
}


async def touch(session: Session, provider_ids: Iterable[str], *, generation: bool = True) -> dict[str, int]:
    """Raise the change number of providers whose inventory, traits, aggregates or usage changed. Returns it by id.

    Their generation grows too, except where the API leaves it alone: aggregates before 1.19, and giving back.
    """
    ids = sorted(set(provider_ids))
    if not ids:
        return {}
    written = {"ids": ids, "now": world.now()}
    rows = await session.rows(_TOUCH[session.dialect, int(generation)], written)
    return {row[0]: row[1] for row in rows}


_SEEN = sa.bindparam("seen", type_=sa.BigInteger)
_TOUCH_AS_SEEN = {
    dialect: sa.update(providers)
    .where(providers.c.id == sa.bindparam("provider"), providers.c.changed == _SEEN)
    .values(generation=providers.c.generation + 1, changed=expression, updated_at=sa.bindparam("now", type_=UTC))
    .returning(providers.c.changed)
    for dialect, expression in _NUMBER.items()
}


async def touch_as_seen(session: Session, provider_id: str, seen: int) -> int | None:
    """Do as `touch` does where a provider has not changed since it had the change number `seen`; else return None."""
    written = {"provider": provider_id, "seen": seen, "now": world.now()}
    rows = await session.rows(_TOUCH_AS_SEEN[session.dialect], written)
    number: int | None = rows[0][0] if rows else None
    return number


_SINCE = sa.union_all(
    *(sa.select(table.c.id, table.c.changed).where(table.c.changed > _SEEN) for table in (providers, deleted_providers))
)
_SNAPSHOT = sa.func.pg_current_snapshot()
_IN_SNAPSHOT = _bigint(sa.func.pg_snapshot_xmax(_SNAPSHOT))
_SINCE_SNAPSHOT = sa.union_all(
    sa.select(sa.null(), _bigint(sa.func.pg_snapshot_xmin(_SNAPSHOT))),
    *(
        sa.select(table.c.id, table.c.changed).where(
            table.c.changed >= _SEEN, sa.or_(table.c.changed < _IN_SNAPSHOT, _SEEN == 0)
        )
        for table in (providers, deleted_providers)
    ),
)
"""A number from the future comes from a dump of another cluster; it counts only for those who ask for everything."""


SINCE = {"postgresql": _SINCE_SNAPSHOT, "sqlite": _SINCE}
"""The question of `since`, by dialect, to be asked with others; `read_since` reads its rows."""


async def since(session: Session, seen: int) -> tuple[dict[str, int], int]:
    """Return the change numbers, by id, of the providers that changed or went away after `seen`; 0 asks for all.

    Beside them is the number to ask with next.
    """
    return read_since(await session.rows(SINCE[session.dialect], {"seen": seen}), seen)


def read_since(rows: Iterable[tuple[str | None, int]], seen: int) -> tuple[dict[str, int], int]:
    """Return what the rows of `SINCE` say, asked with `seen`."""
    changed: dict[str, int] = {}
    following: int | None = None
    for key, number in rows:
        if key is None:
            following = number
        else:
            changed[key] = number
    return changed, max(changed.values(), default=seen) if following is None else following
