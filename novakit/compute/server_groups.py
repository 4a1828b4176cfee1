"""Server groups: servers of a project that shall run together or apart."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from novakit import errors
from novakit.bus import Bus, topics
from novakit.compute.quotas import Quotas
from novakit.context import RequestContext
from novakit.store import Session, Store, quota
from novakit.store.compute import server_groups as rows
from novakit.store.compute import servers


@attrs.frozen
class ServerGroup:
    """One group and those of its servers that are not deleted."""

    row: rows.ServerGroupRow
    members: Sequence[str]


@attrs.define
class ServerGroups:
    """The groups of every project."""

    _store: Store
    _quotas: Quotas
    _bus: Bus

    async def show(self, context: RequestContext, group_id: str) -> ServerGroup:
        """Fetch a group of the caller's project, or any for admins. Raises NotFound."""
        async with self._store.read() as session:
            return (await _loaded(session, [await _visible(session, context, group_id)]))[0]

    async def page(self, project_id: str | None, *, offset: int, limit: int) -> list[ServerGroup]:
        """List the groups of a project, or of all."""
        async with self._store.read() as session:
            return await _loaded(session, await rows.some(session, project_id, offset=offset, limit=limit))

    async def create(
        self,
        context: RequestContext,
        name: str,
        policy: str,
        rules: Mapping[str, object],
        metadata: Mapping[str, str] | None = None,
    ) -> ServerGroup:
        """Make a group. Raises Forbidden above the quota."""
        project = context.project_id or ""
        async with self._store.write() as session:
            await quota.hold(session, "server_groups", [project])
            most = await self._quotas.limit(session, project, "server_groups")
            if quota.exceeds(most, await rows.count(session, project)):
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
        return ServerGroup(made, ())

    async def put(self, context: RequestContext, group_id: str, server_id: str) -> ServerGroup:
        """Make an existing server a member; twice is once, and all its later placements heed the group.

        Raises NotFound unless both are of one project, Forbidden above the quota, Conflict for a server of
        another group, for one that is being changed, and where the group's rule would not hold for where its servers
        stand now.
        """
        async with self._changing(group_id) as session:
            await quota.hold(session, "servers", [context.project_id or ""])
            server = await _server(session, context, server_id)
            group = await _locked(session, context, group_id)
            if server["project_id"] != group["project_id"]:
                raise errors.NotFound(f"Instance {server_id} could not be found in the project of the group.")
            other = await rows.group_of(session, server_id)
            if other is not None and other["id"] != group_id:
                raise errors.Conflict(f"Instance {server_id} is a member of instance group {other['id']} already.")
            if other is None:
                if server["task_state"] is not None:
                    raise errors.Conflict(
                        f"Instance {server_id} is being changed ({server['task_state']}); try again when it is done."
                    )
                members = (await rows.members(session, [group_id])).get(group_id, ())
                (await self._quotas.book(session, context.project_id or "")).admit_members(len(members) + 1)
                await rows.join(session, group_id, [server_id])
                why = await _broken_in(session, dict(group))
                if why:
                    raise errors.Conflict(
                        f"Instance {server_id} cannot join instance group {group_id}: {why}. Choose another group."
                    )
                await _remember(session, server, group_id)
        return await self.show(context, group_id)

    async def take(self, context: RequestContext, group_id: str, server_id: str) -> None:
        """Take a server out of the group; it stays where it is. Raise `NotFound` for one that is no member."""
        async with self._changing(group_id) as session:
            server = await _server(session, context, server_id)
            await _locked(session, context, group_id)
            group = await rows.group_of(session, server_id)
            if group is None or group["id"] != group_id:
                raise errors.NotFound(f"Instance {server_id} is not a member of instance group {group_id}.")
            await rows.leave(session, [server_id])
            await _remember(session, server, None)

    async def change(self, context: RequestContext, group_id: str, **values: object) -> ServerGroup:
        """Change name, policy, rules or metadata of a group; it holds from the next placement on.

        Raises NotFound, and Conflict where its servers already stand otherwise than a hard rule would have it.
        """
        async with self._changing(group_id) as session:
            row = await _locked(session, context, group_id)
            why = await _broken_in(session, {**row, **values})
            if why:
                raise errors.Conflict(
                    f"Instance group {group_id} cannot be changed: {why}. Take servers out of the group first."
                )
            await rows.change(session, group_id, **values)
        return await self.show(context, group_id)

    async def delete(self, context: RequestContext, group_id: str) -> None:
        """Delete a group; its servers stay, and are members of none then. Raise `NotFound`."""
        async with self._changing(group_id) as session:
            await _locked(session, context, group_id)
            for server_id in sorted((await rows.members(session, [group_id])).get(group_id, ())):
                if (server := await servers.lock(session, server_id)) is not None:
                    await _remember(session, server, None)
            await rows.remove(session, group_id)

    @asynccontextmanager
    async def _changing(self, group_id: str) -> AsyncIterator[Session]:
        """Open a transaction, and tell of the change once it is durable."""
        async with self._store.write() as session:
            session.followed_by(lambda: topics.GROUPS_CHANGED.publish(self._bus, topics.GroupChanged(id=group_id)))
            yield session


async def _broken_in(session: Session, group: Mapping[str, Any]) -> str:
    """Return what of a group's rule its members break where they stand now; nothing when they keep it."""
    places = (await rows.places(session, [group["id"]])).get(group["id"], {})
    return _broken(group["policy"], group["rules"].get("max_server_per_host"), places)


def _broken(policy: str, limit: int | None, places: Mapping[str, Collection[str]]) -> str:
    """Return what of a rule the places of a group's members break; nothing when they keep it."""
    if policy == "affinity" and len(places) > 1:
        return f"policy affinity allows its servers one host, and with this change they have {len(places)}"
    most = max((len(members) for members in places.values()), default=0)
    allowed = (limit or 1) if policy == "anti-affinity" else limit
    if allowed is None or most <= allowed:
        return ""
    return f"policy {policy} allows {allowed} of its servers on a host, and with this change one host has {most}"


async def _visible(session: Session, context: RequestContext, group_id: str) -> rows.ServerGroupRow:
    row = await rows.server_group(session, group_id)
    if row is None or not (context.is_admin or row["project_id"] == context.project_id):
        raise errors.NotFound(f"Instance group {group_id} could not be found.")
    return row


async def _locked(session: Session, context: RequestContext, group_id: str) -> rows.ServerGroupRow:
    """Fetch a group, and let nobody place members of it until the transaction ends."""
    await _visible(session, context, group_id)
    found = await rows.policies(session, [group_id], lock=True)
    if group_id not in found:
        raise errors.NotFound(f"Instance group {group_id} could not be found.")
    return found[group_id]


async def _server(session: Session, context: RequestContext, server_id: str) -> servers.ServerRow:
    """Fetch a server, and let nothing begin with it until the transaction ends: what begins later reads its group."""
    row = await servers.lock(session, server_id)
    if row is None or not (context.is_admin or row["project_id"] == context.project_id):
        raise errors.NotFound(f"Instance {server_id} could not be found.")
    return row


async def _remember(session: Session, server: servers.ServerRow, group_id: str | None) -> None:
    """Write into a server's hints which group its later placements heed."""
    hints = {name: value for name, value in server["scheduler_hints"].items() if name != "group"}
    if group_id is not None:
        hints["group"] = group_id
    await servers.change(session, server["id"], scheduler_hints=hints)


async def _loaded(session: Session, found: Sequence[rows.ServerGroupRow]) -> list[ServerGroup]:
    members = await rows.members(session, [row["id"] for row in found])
    everyone = [server_id for ids in members.values() for server_id in ids]
    living = await servers.alive(session, everyone)
    return [ServerGroup(row, [each for each in members.get(row["id"], ()) if each in living]) for row in found]
