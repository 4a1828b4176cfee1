"""Whether one more of something fits: how every limit on a number of things is held.

The idea: to count and then to insert are two statements. On SQLite nobody writes between them. On PostgreSQL two
transactions would both count what neither has committed, so whoever counts first takes a lock named after the
resource and its owner, which ends with the transaction; the statement that counts comes after it and sees what those
who held the lock before have committed.
The invariant: `hold` comes before the count, the count before the insert, all in one transaction; and `hold` comes
before rows are locked, so that whoever waits for it holds nothing that its holder may need.
The cost: one round trip on PostgreSQL for all owners of a transaction, and 0 on SQLite.
"""

from collections.abc import Collection, Mapping

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session

UNLIMITED = -1
"""No limit, as the quota APIs of OpenStack write it."""


async def hold(session: Session, resource: str, owners: Collection[str]) -> None:
    """Keep others who count the same resource of these owners waiting until this transaction ends."""
    if len(owners) == 1:
        await session.serialise(_name(resource, next(iter(owners))))
    elif owners:
        await session.serialise_each(_name(resource, owner) for owner in owners)


@attrs.frozen(eq=False)
class ProjectLimits:
    """The limits that were set for projects, in a table of its own for each service; without a row the default holds.

    The table has `project_id`, `resource` and the limit, a number or `UNLIMITED`.
    """

    table: sa.Table
    number: str = "limit"
    """The column of the limit."""
    _of_project: "sa.Select[tuple[object, ...]]" = attrs.field(init=False)
    """Built once, for every create asks it."""

    @_of_project.default
    def _select(self) -> "sa.Select[tuple[object, ...]]":
        return sa.select(self.table.c.resource, self.table.c[self.number]).where(
            self.table.c.project_id == sa.bindparam("project")
        )

    async def of(self, session: Session, project_id: str) -> dict[str, int]:
        """Return what was set for a project, by resource."""
        return dict(await session.rows(self._of_project, {"project": project_id}))

    async def put(self, session: Session, project_id: str, values: Mapping[str, int]) -> None:
        """Set limits of a project; others stay."""
        insert = session.insert(self.table)
        upsert = insert.on_conflict_do_update(
            index_elements=["project_id", "resource"], set_={self.number: insert.excluded[self.number]}
        )
        # In one order, so that two who set the same limits wait for each other and never both.
        named = sorted(values.items())
        rows = [{"project_id": project_id, "resource": name, self.number: limit} for name, limit in named]
        if rows:
            await session.execute(upsert, rows)

    async def reset(self, session: Session, project_id: str) -> None:
        """Give a project the defaults again."""
        await session.execute(sa.delete(self.table).where(self.table.c.project_id == project_id))


def exceeds(limit: int, used: int, more: int = 1) -> bool:
    """Return whether `more` would be too many."""
    return limit != UNLIMITED and used + more > limit


def _name(resource: str, owner: str) -> str:
    return f"quota/{resource}/{owner}"
