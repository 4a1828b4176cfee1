"""Quotas: how much a project may have, and whether one more request still fits."""

from collections.abc import Mapping

import attrs

from novakit import errors
from novakit.store import Session, Store, quota
from novakit.store.compute import quotas as rows
from novakit.store.compute import server_groups, servers

DEFAULTS: Mapping[str, int] = {
    "instances": 10,
    "cores": 20,
    "ram": 51200,
    "metadata_items": 128,
    "injected_files": 0,
    "injected_file_content_bytes": 0,
    "injected_file_path_bytes": 0,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
}
"""Limits of a project that nobody changed; `ram` in MiB.

Those of injected files belong to the API before 2.57; no file is injected here, so none is promised.
"""

COUNTED = ("instances", "cores", "ram")
"""What is summed over a project's servers."""


@attrs.define
class Quotas:
    """The limits of every project and what it uses of them."""

    _store: Store
    defaults: Mapping[str, int] = attrs.field(factory=lambda: dict(DEFAULTS))

    async def limits(self, project_id: str) -> dict[str, int]:
        """Return every limit of a project; -1 means no limit."""
        async with self._store.read() as session:
            return {**self.defaults, **await rows.LIMITS.of(session, project_id)}

    async def limit(self, session: Session, project_id: str, name: str) -> int:
        """Return one limit of a project, within a transaction; -1 means no limit."""
        return (await rows.LIMITS.of(session, project_id)).get(name, self.defaults[name])

    async def detail(self, project_id: str) -> dict[str, dict[str, int]]:
        """Return limit, in_use and reserved of every resource; nothing is ever reserved, as usage is what exists."""
        async with self._store.read() as session:
            limits = {**self.defaults, **await rows.LIMITS.of(session, project_id)}
            used = await self._used(session, project_id)
        return {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}

    async def _used(self, session: Session, project_id: str) -> dict[str, int]:
        """Count what belongs to a project as a whole; other limits are of one user, server or group each."""
        used = await servers.usage(session, project_id)
        counted = {name: int(used[name]) for name in COUNTED}
        return {**counted, "server_groups": await server_groups.count(session, project_id)}

    async def change(self, project_id: str, values: Mapping[str, int], *, force: bool = False) -> dict[str, int]:
        """Set limits. Raises BadRequest for one below what is in use, unless forced."""
        async with self._store.write() as session:
            used = await self._used(session, project_id)
            for name, limit in values.items():
                if not force and -1 < limit < used.get(name, 0):
                    raise errors.BadRequest(
                        f"Quota limit {limit} for {name} must be greater than or equal to already used and reserved "
                        f"{used[name]}."
                    )
            await rows.LIMITS.put(session, project_id, values)
            return {**self.defaults, **await rows.LIMITS.of(session, project_id)}

    async def reset(self, project_id: str) -> None:
        """Give a project the defaults again."""
        async with self._store.write() as session:
            await rows.LIMITS.reset(session, project_id)

    async def book(self, session: Session, project_id: str) -> "Book":
        """Read in a create's own transaction what a project may have and has, to take servers from.

        On a database with several writers the caller first locks what serialises creates of one project.
        """
        limits, used = await rows.standing(session, project_id)
        return Book({**self.defaults, **limits}, dict(used))


@attrs.define
class Book:
    """What one project may have and has, within one transaction."""

    limits: Mapping[str, int]
    used: dict[str, int]

    def most(self, count: int, **each: int) -> int:
        """Return how many servers of `count` still fit, each of so many `instances`, `cores` and `ram`."""
        limited = [name for name, amount in each.items() if amount and self.limits[name] > -1]
        return max(0, min([count, *((self.limits[name] - self.used[name]) // each[name] for name in limited)]))

    def take(self, **wanted: int) -> None:
        """Count `instances`, `cores` and `ram` as used; raise `Forbidden`, naming what is over, if they do not fit."""
        over = sorted(name for name, more in wanted.items() if quota.exceeds(self.limits[name], self.used[name], more))
        if over:
            raise errors.Forbidden(
                f"Quota exceeded for {', '.join(over)}: Requested {_each(wanted, over)}, but already used "
                f"{_each(self.used, over)} of {_each(self.limits, over)} {', '.join(over)}",
                kind="OverQuota",
            )
        for name, more in wanted.items():
            self.used[name] += more

    def most_members(self, count: int, members: int) -> int:
        """Return how many of so many servers a server group with some members may still take; never below 0."""
        limit = self.limits["server_group_members"]
        return min(count, max(limit - members, 0)) if limit > -1 else count

    def admit_members(self, count: int) -> None:
        """Raise `Forbidden` when a server group may not have so many members."""
        if quota.exceeds(self.limits["server_group_members"], 0, count):
            raise errors.Forbidden("Quota exceeded, too many servers in group.", kind="OverQuota")


def _each(values: Mapping[str, object], names: list[str]) -> str:
    return ", ".join(str(values[name]) for name in names)
