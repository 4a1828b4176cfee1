"""Server groups: servers of a project that shall run together or apart."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from novakit import errors
from novakit.compute.quotas import Quotas
from novakit.context import RequestContext
from novakit.store import Session, Store, servers
from novakit.store import server_groups as rows
from novakit.store.engine import Row


@attrs.frozen
class Group:
    """One group and those of its servers that are not deleted."""

    row: Row
    members: Sequence[str]


@attrs.define
class ServerGroups:
    """The groups of every project."""

    _store: Store
    _quotas: Quotas

    async def show(self, context: RequestContext, group_id: str) -> Group:
        """Fetch a group of the caller's project, or any for admins; raise `NotFound`."""
        async with self._store.read() as session:
            return (await _loaded(session, [await _visible(session, context, group_id)]))[0]

    async def page(self, project_id: str | None, *, offset: int, limit: int) -> list[Group]:
        """List the groups of a project, or of all."""
        async with self._store.read() as session:
            return await _loaded(session, await rows.some(session, project_id, offset=offset, limit=limit))

    async def create(
        self,
        context: RequestContext,
        name: str,
        policy: str,
        rules: Mapping[str, Any],
        metadata: Mapping[str, str] | None = None,
    ) -> Group:
        """Make a group; raise `Forbidden` above the quota."""
        most = (await self._quotas.limits(context.project_id or ""))["server_groups"]
        async with self._store.write() as session:
            if -1 < most <= len(await rows.some(session, context.project_id, limit=most + 1)):
                raise errors.Forbidden("Quota exceeded, too many server groups.")
            made = await rows.add(
                session,
                project_id=context.project_id,
                user_id=context.user_id,
                name=name,
                policy=policy,
                rules=dict(rules),
                metadata=dict(metadata or {}),
            )
        return Group(made, ())

    async def change(self, context: RequestContext, group_id: str, **values: Any) -> Group:
        """Change name, policy, rules or metadata of a group; it holds from the next placement on.

        Raises `NotFound`, and `Conflict` where its servers already stand otherwise than a hard rule would have it.
        """
        async with self._store.write() as session:
            await _visible(session, context, group_id)
            (row,) = (await rows.policies(session, [group_id], lock=True)).values()
            wanted = {**row, **values}
            places = (await rows.places(session, [group_id])).get(group_id, {})
            why = _broken(wanted["policy"], wanted["rules"].get("max_server_per_host"), places)
            if why:
                raise errors.Conflict(f"Instance group {group_id} cannot be changed so: {why}.")
            await rows.change(session, group_id, **values)
        return await self.show(context, group_id)

    async def delete(self, context: RequestContext, group_id: str) -> None:
        """Delete a group; its servers stay. Raise `NotFound`."""
        async with self._store.write() as session:
            await _visible(session, context, group_id)
            await rows.remove(session, group_id)


def _broken(policy: str, limit: int | None, places: Mapping[str, Collection[str]]) -> str:
    """Say what of a rule the places of a group's members break; nothing when they keep it."""
    if policy == "affinity" and len(places) > 1:
        return f"its servers stand on {len(places)} hosts"
    most = max((len(members) for members in places.values()), default=0)
    allowed = (limit or 1) if policy == "anti-affinity" else limit
    return f"{most} of its servers stand on one host" if allowed is not None and most > allowed else ""


async def _visible(session: Session, context: RequestContext, group_id: str) -> Row:
    row = await rows.show(session, group_id)
    if row is None or not (context.is_admin or row["project_id"] == context.project_id):
        raise errors.NotFound(f"Instance group {group_id} could not be found.")
    return row


async def _loaded(session: Session, found: Sequence[Row]) -> list[Group]:
    members = await rows.members(session, [row["id"] for row in found])
    everyone = [server_id for ids in members.values() for server_id in ids]
    living = await servers.alive(session, everyone)
    return [Group(row, [each for each in members.get(row["id"], ()) if each in living]) for row in found]
