"""Servers as users see them, and what of them is changed without anything being done on a host."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, Literal, TypeVar, cast

import attrs
import structlog

from novakit import errors, world
from novakit.bus import BusError, RemoteError, RemoteNotFound, Targets, topics
from novakit.calls.host import HostCalls
from novakit.compute.patterns import Pattern
from novakit.compute.records import ActionEntry, Event, Server
from novakit.compute.states import ANY, AT_REST, DELETING, Move, check, when
from novakit.context import RequestContext
from novakit.network import Networks, PortInfo, ShownPort
from novakit.network.security_groups import SecurityGroupDetails
from novakit.store import Session, Store, operations
from novakit.store.compute import hosts
from novakit.store.compute import servers as rows
from novakit.store.compute.server_list import ServerQuery as ServerQuery
from novakit.store.compute.server_list import listed
from novakit_hookspecs.facets import trait_of
from novakit_hookspecs.virt import LogsConsole

log = structlog.get_logger(__name__)

T = TypeVar("T")
Editable = Literal["metadata", "tags"]
_TAKEN = itemgetter(*Server._fields)


@attrs.define
class Servers:
    """The servers of the cloud."""

    store: Store
    agents: Targets[HostCalls]
    networks: Networks

    async def show(self, context: RequestContext, server_id: str) -> Server:
        """Return one server. Raises NotFound for one that the caller may not see."""
        async with self.store.read() as session:
            return _server(_visible(await rows.server(session, server_id), context, server_id))

    async def list(
        self, wanted: ServerQuery, addresses: Sequence[Pattern] = (), *, user_data: bool = False
    ) -> Sequence[Server]:
        """Return one page of servers, with their user data or without.

        Each of `addresses` must match a fixed address of the server. Raises BadRequest for a marker that is not there.
        """
        without = () if user_data else ("user_data",)
        return [Server._make(row) for row in await self._listed(wanted, addresses, Server._fields, without)]

    async def names(self, wanted: ServerQuery, addresses: Sequence[Pattern] = ()) -> Sequence[tuple[str, str]]:
        """Return the ids and names of what `list` would give."""
        return [(row.id, row.name) for row in await self._listed(wanted, addresses, ("id", "name"))]

    async def _listed(
        self, wanted: ServerQuery, addresses: Sequence[Pattern], columns: Sequence[str], without: Sequence[str] = ()
    ) -> Sequence[Any]:
        if addresses:
            wanted = attrs.evolve(wanted, ids=await self._with_addresses(addresses, wanted.ids))
        async with self.store.read() as session:
            return await listed(session, wanted, columns, without)

    async def _with_addresses(self, patterns: Sequence[Pattern], ids: Sequence[str] | None) -> Sequence[str]:
        """Name the servers, all or of `ids`, that have an address like each of the patterns."""
        owners = set((await self.networks.owners()).values())
        candidates = owners if ids is None else owners & set(ids)
        nics = await self.networks.addresses_of(sorted(candidates))
        return [
            server_id
            for server_id, ports in nics.items()
            if all(
                any(pattern.matches(address.ip) for port in ports for address in port.addresses) for pattern in patterns
            )
        ]

    async def update(self, context: RequestContext, server_id: str, **values: Any) -> Server:
        """Change name, description, hostname, access addresses, disk configuration, metadata or tags."""
        async with self.store.write() as session:
            row = await locked(session, context, server_id)
            await rows.change(session, server_id, **values)
            session.followed_by(partial(self._tell_changed, server_id))
        return _server({**row, **values, "updated_at": world.now()})

    async def edit(self, context: RequestContext, server_id: str, column: Editable, change: Callable[[T], T]) -> T:
        """Change `metadata` or `tags` by a function of what they are. Returns what they are then.

        Raises Conflict while the server is being built, has failed or is shelved; of metadata also while something is
        being done to it, or it is locked and the caller is no administrator.
        """
        async with self.store.write() as session:
            row = await locked(session, context, server_id)
            if column == "metadata":
                refuse_locked(context, row)
            check(f"update {column}", EDITS[column], server_id, row["vm_state"], row["task_state"])
            value = change(cast(T, row[column]))
            await rows.change(session, server_id, **cast(rows.ServerColumns, {column: value}))
            session.followed_by(partial(self._tell_changed, server_id))
        return value

    async def _tell_changed(self, server_id: str) -> None:
        with suppress(BusError):  # the change is made, and noted with the next report of the server's host
            await topics.SERVERS_CHANGED.publish(self.agents.bus, topics.ServersChanged(servers=[server_id]))

    async def console_log(self, context: RequestContext, server_id: str, max_bytes: int = 1 << 20) -> bytes:
        """Return what the guest printed on its console, the last `max_bytes` of it.

        Raises Conflict for a server without a guest, and on a host whose driver keeps no console log.
        """
        async with self.store.read() as session:
            server = _visible(await rows.server(session, server_id), context, server_id)
            if server["host"] is None:
                raise errors.Conflict(f"Instance {server_id} is not ready")
            await require_facet(session, "os-getConsoleOutput", LogsConsole, server)
        try:
            printed = await self.agents.at(server["host"]).console_log(server_id, max_bytes)
            return printed[max(len(printed) - max_bytes, 0) :]
        except RemoteNotFound as error:
            raise errors.Conflict(f"Instance {server_id} is not ready") from error
        except RemoteError as error:
            # What a host says of itself, such as a path, is for the operator alone.
            log.warning(
                "a console log could not be read",
                server=server_id,
                host=server["host"],
                why=str(error),
                request_id=context.request_id,
            )
            raise errors.NotFound(
                f"Unable to get console log of instance {server_id}: its host could not read it. "
                f"Ask the operator, whose log says why under {context.request_id}."
            ) from error
        except BusError as error:
            raise errors.Unavailable(
                f"The host of instance {server_id} does not answer now; ask again later."
            ) from error

    async def actions(self, context: RequestContext, server_id: str) -> Sequence[ActionEntry]:
        """Return everything that was done to a server, newest first; of a deleted one too."""
        async with self.store.read() as session:
            row = await rows.server(session, server_id, deleted=True)
            if row is None or not (context.is_admin or row["project_id"] == context.project_id):
                raise errors.NotFound(f"Instance {server_id} could not be found.")
            return [_action(each) for each in await operations.of_server(session, server_id)]

    async def ports(self, server_id: str) -> Sequence[PortInfo]:
        """Return the ports of a server."""
        return (await self.networks.ports_of([server_id]))[server_id]

    async def addresses(self, server_ids: Iterable[str]) -> Mapping[str, Sequence[ShownPort]]:
        """Return the ports of servers, with their addresses and security groups alone; none for a server without."""
        return await self.networks.addresses_of(list(server_ids))

    async def security_groups(
        self, server_id: str
    ) -> tuple[Sequence[SecurityGroupDetails], Mapping[str, tuple[str, str]]]:
        """Return the security groups of a server's ports, and name and project of those their rules trust, by id."""
        return await self.networks.security_groups_of(server_id)

    async def add_security_group(self, context: RequestContext, server_id: str, name: str) -> None:
        """Put every port of a server into a security group, at once."""
        await self.show(context, server_id)
        await self.networks.add_security_group(context, server_id, name)

    async def remove_security_group(self, context: RequestContext, server_id: str, name: str) -> None:
        """Take every port of a server out of a security group, at once."""
        await self.show(context, server_id)
        await self.networks.remove_security_group(context, server_id, name)


_EMPTY: Mapping[str, object] = {
    "power_state": 0,
    "host": None,
    "node": None,
    "locked_by": None,
    "locked_reason": None,
    "fault": None,
    "progress": 0,
    "launched_at": None,
    "terminated_at": None,
    "deleted_at": None,
}


EDITS: Mapping[Editable, Move] = {
    "metadata": Move("update metadata", when(AT_REST, None), None, None),
    "tags": Move("update tags", when(AT_REST, ANY, DELETING), None, None),
}
"""The states in which details of a server may be changed, by column."""


def refuse_locked(context: RequestContext, row: rows.ServerRow) -> None:
    """Raise `Conflict` for a locked server, unless the caller is an administrator."""
    if row["locked_by"] and not context.is_admin:
        raise errors.Conflict(f"Instance {row['id']} is locked")


async def require_facet(session: Session, word: str, facet: type, row: rows.ServerRow) -> None:
    """Raise `Conflict` where the driver of the server's host cannot do what `word` is, before anything is begun."""
    host = await hosts.host(session, row["host"]) if row["host"] is not None else None
    if host is None or trait_of(facet) not in host["facts"].get("traits", ()):
        lacking = f"{trait_of(facet)} is not among its traits"
        raise errors.Conflict(f"Cannot '{word}' instance {row['id']}: its host cannot do that, as {lacking}.")


async def locked(session: Session, context: RequestContext, server_id: str) -> rows.ServerRow:
    """Return the row of a server that nobody else writes until the transaction ends.

    Raises NotFound for one that the caller may not see.
    """
    return _visible(await rows.lock(session, server_id), context, server_id)


def _visible(row: rows.ServerRow | None, context: RequestContext, server_id: str) -> rows.ServerRow:
    if row is None or not (context.is_admin or row["project_id"] == context.project_id):
        raise errors.NotFound(f"Instance {server_id} could not be found.")
    return row


def new_server(row: Mapping[str, object]) -> Server:
    """Return a server of the columns that it is inserted with."""
    return _server({**_EMPTY, **row})


def _server(row: Mapping[Any, Any]) -> Server:
    return Server._make(_TAKEN(row))


def _action(row: operations.OperationRow) -> ActionEntry:
    return ActionEntry(
        action=row["kind"],
        server_id=row["server_id"],
        request_id=row["request_id"],
        user_id=row["user_id"],
        project_id=row["project_id"],
        started_at=row["created_at"],
        updated_at=row["updated_at"],
        message="Error" if row["state"] in ("failed", "undoing") else None,
        events=[
            Event(
                name=each["name"],
                started_at=datetime.fromisoformat(each["started_at"]),
                finished_at=datetime.fromisoformat(each["finished_at"]) if "finished_at" in each else None,
                result=each.get("result"),
                host=each.get("host"),
                details=each.get("details"),
            )
            for each in row["events"]
        ],
    )
