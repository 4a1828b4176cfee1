"""Whether one more of something fits: how every limit on a number of things is held.

The idea: to count and then to insert are two statements. On SQLite nobody writes between them. On PostgreSQL two
transactions would both count what neither has committed, so whoever counts first takes a lock named after the
resource and its owner, which ends with the transaction; the statement that counts comes after it and sees what those
who held the lock before have committed.
The invariant: `hold` comes before the count, the count before the insert, all in one transaction; and `hold` comes
before rows are locked, so that whoever waits for it holds nothing that its holder may need.
The cost: one round trip on PostgreSQL for all owners of a transaction, and 0 on SQLite.
"""

from collections.abc import Collection

from novakit.store.engine import Session

UNLIMITED = -1
"""No limit, as the quota APIs of OpenStack write it."""


async def hold(session: Session, resource: str, owners: Collection[str]) -> None:
    """Keep others who count the same resource of these owners waiting until this transaction ends."""
    if len(owners) == 1:
        await session.serialise(_name(resource, next(iter(owners))))
    elif owners:
        await session.serialise_each(_name(resource, owner) for owner in owners)


def exceeds(limit: int, used: int, more: int = 1) -> bool:
    """Return whether `more` would be too many."""
    return limit != UNLIMITED and used + more > limit


def _name(resource: str, owner: str) -> str:
    return f"quota/{resource}/{owner}"
