"""Resource providers: trees of things that hold inventory."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from novakit import errors, world
from novakit.left_out import LEFT_OUT, LeftOut
from novakit.store.engine import Session
from novakit.store.placement import changes
from novakit.store.placement.tables import (
    ProviderRow,
    allocations,
    deleted_providers,
    inventories,
    provider_aggregates,
    provider_traits,
    providers,
)

DUPLICATE_NAME = "placement.duplicate_name"
CONCURRENT_UPDATE = "placement.concurrent_update"
_MOVERS = 0x6E6F76616B6974
"""Key of PostgreSQL's advisory lock that those who move trees hold, one at a time; any number that nobody else uses."""


async def provider(session: Session, id: str) -> ProviderRow:
    """Fetch one provider. Raises NotFound when there is none."""
    row = await session.first(sa.select(providers).where(providers.c.id == id), of=ProviderRow)
    if row is None:
        raise _missing(id)
    return row


async def locked(session: Session, id: str, *, generation: int | None = None) -> ProviderRow:
    """Fetch one provider and keep other writers off it.

    Raises NotFound when there is none, Conflict when it is not of the generation that was read before.
    """
    rows = await session.lock(sa.select(providers).where(providers.c.id == id), of=ProviderRow)
    if not rows:
        raise _missing(id)
    if generation is not None and rows[0]["generation"] != generation:
        raise errors.Conflict(
            f"resource provider generation conflict for provider {id}: actual: {rows[0]['generation']}, "
            f"given: {generation}. Resource provider's generation already changed. Please update the generation and "
            "try again.",
            kind=CONCURRENT_UPDATE,
        )
    return rows[0]


def _missing(id: str) -> errors.NotFound:
    return errors.NotFound(f"No resource provider with uuid {id} found")


async def create(session: Session, *, id: str, name: str, parent_id: str | None) -> ProviderRow:
    """Record a new provider, as a root or below `parent_id`.

    Raises Conflict when the id or the name is taken, BadRequest when the parent does not exist.
    """
    refused = f'Unable to create resource provider "{name}", {id}: Object action create failed because: '
    if parent_id == id:
        raise errors.BadRequest(
            f"{refused}parent provider UUID cannot be same as UUID. Please set parent provider UUID to None if there "
            "is no parent."
        )
    root = id
    if parent_id is not None:
        parents = await session.lock(sa.select(providers).where(providers.c.id == parent_id), of=ProviderRow)
        if not parents:
            raise errors.BadRequest(f"{refused}parent provider UUID does not exist.")
        root = parents[0]["root_id"]
    await _check_duplicates(session, id, name)
    now = world.now()
    values = {
        "id": id,
        "name": name,
        "generation": 0,
        "root_id": root,
        "parent_id": parent_id,
        "changed": changes.number(session),
        "created_at": now,
        "updated_at": now,
    }
    # Two requests may both have passed the check above; the second one waits here for the first to commit.
    if not await session.changed(session.insert(providers).values(values).on_conflict_do_nothing()):
        raise _duplicate(f"name: {name}")
    return await provider(session, id)


async def _check_duplicates(session: Session, id: str, name: str) -> None:
    same = sa.select(providers).where(sa.or_(providers.c.id == id, providers.c.name == name))
    found: list[str] = []
    for row in await session.all(same, of=ProviderRow):
        found += [f"uuid: {id}"] if row["id"] == id else []
        found += [f"name: {name}"] if row["name"] == name else []
    if found:
        raise _duplicate(", ".join(sorted(set(found), reverse=True)))


def _duplicate(what: str) -> errors.Conflict:
    return errors.Conflict(f"Conflicting resource provider {what} already exists.", kind=DUPLICATE_NAME)


async def update(
    session: Session, id: str, *, name: str, parent_id: str | LeftOut | None = LEFT_OUT, may_move: bool = True
) -> ProviderRow:
    """Rename a provider and put it below another parent, or make it a root with None.

    Without `may_move` only a root can be given a parent.
    Raises NotFound, Conflict for a name that is taken, BadRequest for a parent that does not exist, is the
    provider itself or stands below it.
    """
    row = await provider(session, id)
    if not isinstance(parent_id, LeftOut) and parent_id != row["parent_id"]:
        await _move(session, id, parent_id, may_move)
    else:
        row = await locked(session, id)
    if name != row["name"]:
        taken = await session.scalar(sa.select(providers.c.id).where(providers.c.name == name))
        if taken is not None:
            raise _duplicate(name)
    values = {"name": name, "changed": changes.number(session), "updated_at": world.now()}
    try:
        await session.execute(sa.update(providers).where(providers.c.id == id).values(values))
    except sa.exc.IntegrityError as error:
        raise _duplicate(name) from error
    return await provider(session, id)


async def _move(session: Session, id: str, parent_id: str | None, may_move: bool) -> None:
    """Move a subtree; movers wait for one another, because each needs two whole trees to stand still."""
    if session.dialect == "postgresql":
        await session.execute(sa.select(sa.func.pg_advisory_xact_lock(_MOVERS)))
    row = await provider(session, id)
    refused = f"Unable to save resource provider {id}: Object action update failed because: "
    if parent_id is None and not may_move:
        raise errors.BadRequest(f"{refused}un-parenting a provider is not currently allowed.")
    new_root = row["id"]
    if parent_id is not None:
        parent = await session.first(sa.select(providers).where(providers.c.id == parent_id), of=ProviderRow)
        if parent is None:
            raise errors.BadRequest(f"{refused}parent provider UUID does not exist.")
        if row["parent_id"] is not None and not may_move:
            raise errors.BadRequest(f"{refused}re-parenting a provider is not currently allowed.")
        new_root = parent["root_id"]
    below = _subtree(row["id"], await _lock_trees(session, row, parent_id, new_root))
    if parent_id in below:
        raise errors.BadRequest(f"{refused}creating loop in the provider tree is not allowed.")
    await session.execute(
        sa.update(providers)
        .where(providers.c.id.in_(sorted(below)))
        .values(root_id=new_root, changed=changes.number(session))
    )
    await session.execute(sa.update(providers).where(providers.c.id == row["id"]).values(parent_id=parent_id))


async def _lock_trees(session: Session, row: ProviderRow, parent_id: str | None, new_root: str) -> list[ProviderRow]:
    """Keep other writers off both trees and read them again: what they did while we waited counts."""
    both = sa.select(providers).where(providers.c.root_id.in_([row["root_id"], new_root])).order_by(providers.c.id)
    await session.lock(both, of=ProviderRow)
    rows = await session.all(both, of=ProviderRow)
    roots = {one["id"]: one["root_id"] for one in rows}
    if roots.get(row["id"]) != row["root_id"] or (parent_id is not None and roots.get(parent_id) != new_root):
        raise errors.Conflict(
            f"The trees of resource provider {row['id']} were changed by another request at the same moment; read them "
            "again and retry.",
            kind=CONCURRENT_UPDATE,
        )
    return rows


def _subtree(id: str, rows: Sequence[ProviderRow]) -> set[str]:
    children: dict[str | None, list[str]] = {}
    for row in rows:
        children.setdefault(row["parent_id"], []).append(row["id"])
    found, todo = {id}, [id]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo.extend(below)
    return found


async def delete(session: Session, id: str) -> None:
    """Remove a provider with its inventories, traits and aggregates.

    Raises NotFound, Conflict while it has children or something is allocated from it.
    """
    if not await session.lock(sa.select(providers).where(providers.c.id == id), of=ProviderRow):
        raise errors.NotFound(f"No resource provider with uuid {id} found for delete")
    if await session.scalar(sa.select(providers.c.id).where(providers.c.parent_id == id).limit(1)):
        raise errors.Conflict(
            f"Unable to delete parent resource provider {id}: It has child resource providers.",
            kind="placement.resource_provider.cannot_delete_parent",
        )
    if await session.scalar(sa.select(allocations.c.consumer_id).where(allocations.c.provider_id == id).limit(1)):
        raise errors.Conflict(
            f"Unable to delete resource provider {id}: Resource provider has allocations.",
            kind="placement.resource_provider.inuse",
        )
    await remove(session, [id])


async def remove(session: Session, ids: Sequence[str]) -> None:
    """Remove providers of which nobody holds anything and below which there are none; their roots count as changed."""
    roots = await session.scalars(sa.select(providers.c.root_id).where(providers.c.id.in_(ids)))
    upsert = session.insert(deleted_providers).values(id=sa.bindparam("gone"), changed=changes.number(session))
    await session.execute(
        upsert.on_conflict_do_update(index_elements=["id"], set_={"changed": upsert.excluded.changed}),
        [{"gone": id} for id in ids],
    )
    for table in (inventories, provider_traits, provider_aggregates):
        await session.execute(sa.delete(table).where(table.c.provider_id.in_(ids)))
    await session.execute(sa.delete(providers).where(providers.c.id.in_(ids)))
    await changes.touch(session, set(roots).difference(ids), generation=False)


async def search(
    session: Session,
    *,
    id: str | None = None,
    name: str | None = None,
    in_tree: str | None = None,
    resources: Mapping[str, int] | None = None,
    member_of: Sequence[set[str]] = (),
    not_member_of: set[str] = frozenset(),  # type: ignore[assignment]
    required: Sequence[set[str]] = (),
    forbidden: set[str] = frozenset(),  # type: ignore[assignment]
) -> list[ProviderRow]:
    """List the providers that match all that is given.

    `resources` are amounts that must still fit, each of `member_of` and `required` a set of which one must be there.
    """
    wanted: list[sa.ColumnElement[bool]] = []
    if id is not None:
        wanted.append(providers.c.id == id)
    if name is not None:
        wanted.append(providers.c.name == name)
    if in_tree is not None:
        asked = providers.alias()
        wanted.append(providers.c.root_id == sa.select(asked.c.root_id).where(asked.c.id == in_tree).scalar_subquery())
    wanted += [_fits(resource, amount) for resource, amount in (resources or {}).items()]
    wanted += [_has(provider_aggregates.c.aggregate_id, some) for some in member_of]
    wanted += [_has(provider_traits.c.trait, some) for some in required]
    if not_member_of:
        wanted.append(~_has(provider_aggregates.c.aggregate_id, not_member_of))
    if forbidden:
        wanted.append(~_has(provider_traits.c.trait, forbidden))
    return await session.many(
        sa.select(providers).where(*wanted).order_by(providers.c.created_at, providers.c.id), of=ProviderRow
    )


def _has(column: sa.Column[object], values: set[str]) -> sa.ColumnElement[bool]:
    return providers.c.id.in_(sa.select(column.table.c.provider_id).where(column.in_(sorted(values))))


def _fits(resource: str, amount: int) -> sa.ColumnElement[bool]:
    stock = inventories.c
    return providers.c.id.in_(
        sa.select(stock.provider_id).where(
            stock.resource_class == resource,
            stock.capacity - stock.used >= amount,
            stock.min_unit <= amount,
            stock.max_unit >= amount,
            sa.literal(amount, sa.BigInteger) % stock.step_size == 0,
        )
    )
