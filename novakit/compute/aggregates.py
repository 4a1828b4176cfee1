"""Host aggregates: operators' groups of hosts, some of them availability zones."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from novakit import errors
from novakit.bus import Bus, topics
from novakit.compute.hosts import DEFAULT_ZONE
from novakit.store import Session, Store
from novakit.store.compute import aggregates as rows
from novakit.store.compute import host_loads, hosts
from novakit.store.compute.aggregates import AggregateRow

ZONE = "availability_zone"


@attrs.frozen(kw_only=True)
class HostAggregate:
    """One aggregate with its hosts."""

    row: AggregateRow
    hosts: list[str]

    @property
    def zone(self) -> str | None:
        """Return which availability zone it is, if it is one."""
        zone: str | None = self.row["metadata"].get(ZONE)
        return zone


@attrs.define
class Aggregates:
    """Every aggregate of the cloud."""

    _store: Store
    _bus: Bus

    async def every(self) -> list[HostAggregate]:
        """List them in the order they were made."""
        async with self._store.read() as session:
            members = await rows.members(session)
            return [HostAggregate(row=row, hosts=members.get(row["id"], [])) for row in await rows.every(session)]

    async def show(self, aggregate_id: int) -> HostAggregate:
        """Fetch one. Raises NotFound."""
        async with self._store.read() as session:
            return await _load(session, aggregate_id)

    async def create(self, name: str, zone: str | None) -> HostAggregate:
        """Make one without hosts. Raises Conflict for a name that is taken."""
        async with self._changing() as session:
            await _refuse_taken(session, name, None)
            row = await rows.add(session, name, {ZONE: zone} if zone else {})
        return HostAggregate(row=row, hosts=[])

    async def update(
        self, aggregate_id: int, *, name: str | None, properties: Mapping[str, str | None]
    ) -> HostAggregate:
        """Rename it and change its metadata; None takes a key away.

        Raises NotFound, and Conflict for a name that is taken or a zone that its hosts cannot change to.
        """
        async with self._changing() as session:
            known = await _load(session, aggregate_id)
            values: dict[str, Any] = {}
            if name is not None and name != known.row["name"]:
                await _refuse_taken(session, name, aggregate_id)
                values["name"] = name
            if properties:
                merged = {**known.row["metadata"], **properties}
                values["metadata"] = {key: value for key, value in merged.items() if value is not None}
                await self._refuse_moves(session, known, values["metadata"].get(ZONE))
            if values:
                await rows.change(session, aggregate_id, **values)
            return await _load(session, aggregate_id)

    async def delete(self, aggregate_id: int) -> None:
        """Delete an empty one; raise `NotFound`, or `BadRequest` while it has hosts."""
        async with self._changing() as session:
            known = await _load(session, aggregate_id)
            if known.hosts:
                raise errors.BadRequest(
                    f"Cannot remove aggregate {aggregate_id}: it is not empty; remove its hosts first."
                )
            await rows.remove(session, aggregate_id)

    async def add_host(self, aggregate_id: int, host: str) -> HostAggregate:
        """Put a host into it. Raises NotFound, or Conflict when it is there or in another zone."""
        async with self._changing() as session:
            known = await _load(session, aggregate_id)
            if await hosts.host(session, host) is None:
                raise errors.NotFound(f"Compute host {host} could not be found.")
            if known.zone is not None:
                await _refuse_other_zone(session, host, known.zone, aggregate_id)
                await _refuse_inhabited(session, host, known.zone)
            if not await rows.add_host(session, aggregate_id, host):
                raise errors.Conflict(f"Aggregate {aggregate_id} already has host {host}.")
            return await _load(session, aggregate_id)

    async def remove_host(self, aggregate_id: int, host: str) -> HostAggregate:
        """Take a host out of it. Raises NotFound, or Conflict when its servers would change zone."""
        async with self._changing() as session:
            known = await _load(session, aggregate_id)
            if host not in known.hosts:
                raise errors.NotFound(f"Cannot remove host {host} in aggregate {aggregate_id}")
            if known.zone not in (None, DEFAULT_ZONE) and known.zone not in await _zones(session, host, aggregate_id):
                await _refuse_inhabited(session, host, DEFAULT_ZONE)
            await rows.remove_host(session, aggregate_id, host)
            return await _load(session, aggregate_id)

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Session]:
        """Open a transaction, and tell of the change once it is durable."""
        async with self._store.write() as session:
            # What one may do depends on the zones of all others.
            await session.serialise("aggregates")
            session.followed_by(lambda: topics.AGGREGATES_CHANGED.publish(self._bus, topics.Changed()))
            yield session

    async def _refuse_moves(self, session: Session, known: HostAggregate, zone: str | None) -> None:
        if zone == known.zone:
            return
        for host in known.hosts:
            if zone is not None:
                await _refuse_other_zone(session, host, zone, known.row["id"])
            await _refuse_inhabited(session, host, zone or DEFAULT_ZONE)


async def _load(session: Session, aggregate_id: int) -> HostAggregate:
    row = await rows.aggregate(session, aggregate_id)
    if row is None:
        raise errors.NotFound(f"Aggregate {aggregate_id} could not be found.")
    return HostAggregate(row=row, hosts=(await rows.members(session, aggregate_id)).get(aggregate_id, []))


async def _refuse_taken(session: Session, name: str, aggregate_id: int | None) -> None:
    if any(row["name"] == name and row["id"] != aggregate_id for row in await rows.every(session)):
        raise errors.Conflict(f"Aggregate {name} already exists.")


async def _zones(session: Session, host: str, besides: int) -> set[str]:
    """Name the zones a host is in through other aggregates."""
    members = await rows.members(session)
    found = (row for row in await rows.every(session) if row["id"] != besides and host in members.get(row["id"], ()))
    return {row["metadata"][ZONE] for row in found if ZONE in row["metadata"]}


async def _refuse_other_zone(session: Session, host: str, zone: str, aggregate_id: int) -> None:
    if others := await _zones(session, host, aggregate_id) - {zone}:
        raise errors.Conflict(
            f"Cannot put host {host} into availability zone {zone}: it is in {', '.join(sorted(others))} already."
        )


async def _refuse_inhabited(session: Session, host: str, zone: str) -> None:
    """Raise `Conflict` when the host has servers that were placed in another zone."""
    if count := await host_loads.outside_zone(session, host, zone, DEFAULT_ZONE):
        raise errors.Conflict(
            f"Host {host} has {count} servers in another availability zone than {zone}; move or delete them first."
        )
