"""Compute hosts as operators see them: services, hypervisors, availability zones."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from novakit import errors
from novakit.bus import Bus, topics
from novakit.calls.plugins import PluginRow
from novakit.disk import Room
from novakit.store import Session, Store
from novakit.store.compute import aggregates, host_loads, host_plugins, hosts, refused_hosts
from novakit.store.compute.hosts import HostRow
from novakit.store.compute.liveness import Liveness
from novakit.store.compute.refused_hosts import RefusedHostRow
from novakit_hookspecs.plain import to_record

DEFAULT_ZONE = "nova"
"""The availability zone of hosts that no aggregate puts into another one."""
UNKNOWN = "UNKNOWN"
"""How a host is that is enabled and has not been heard of, where servers on it are shown."""


@attrs.frozen(kw_only=True)
class Host:
    """One compute host."""

    name: str
    number: int
    service_id: str
    hypervisor_id: str
    enabled: bool
    disabled_reason: str | None
    forced_down: bool
    up: bool
    zone: str
    facts: Mapping[str, Any]
    """What its agent reported: a `HostFacts` record as plain data."""
    updated_at: datetime
    """When it was last heard of."""

    @property
    def status(self) -> str:
        """Return what servers on it are shown as `host_status`: UP, DOWN, MAINTENANCE or UNKNOWN."""
        if self.forced_down:
            return "DOWN"
        return "MAINTENANCE" if not self.enabled else "UP" if self.up else UNKNOWN

    @property
    def hypervisor_hostname(self) -> str:
        """Return what the hypervisor calls itself."""
        return str(self.facts.get("hypervisor_hostname") or self.name)


@attrs.frozen(kw_only=True)
class Load:
    """What the servers of a host add up to."""

    servers: int = 0
    vcpus: int = 0
    ram: int = 0
    """MiB."""
    disk: int = 0
    """GiB."""
    busy: int = 0
    """Servers that something is being done to."""


@attrs.frozen
class Census:
    """How many hosts there are."""

    total: int
    up: int


@attrs.frozen(kw_only=True)
class HostSoftware:
    """With which drivers and plugins the agent of a host was started."""

    host: str
    driver: str
    network: str
    plugins: Sequence[PluginRow]


@attrs.define
class Hosts:
    """Every compute host of the cloud."""

    _store: Store
    _bus: Bus
    liveness: Liveness = attrs.field(factory=Liveness)
    """Seconds without a heartbeat after which a host counts as down."""

    async def every(self) -> list[Host]:
        """List the hosts in the order they first appeared."""
        async with self._store.read() as session:
            rows = await hosts.every(session)
            zones = await _zones(session)
            away = await refused_hosts.every(session)
        return [self._host(row, zones, away.get(row["name"])) for row in rows]

    async def services(self) -> list[Host]:
        """List what there is a compute service of: the hosts, and those that are refused and were never one of them.

        The latter are down and disabled; as nothing of what they report is taken, they are hosts to nobody else.
        """
        known = await self.every()
        async with self._store.read() as session:
            away = await refused_hosts.every(session)
        names, last = {each.name for each in known}, max((each.number for each in known), default=0)
        never = [row for name, row in away.items() if name not in names]
        return [*known, *(_never_joined(row, last + place) for place, row in enumerate(never, 1))]

    async def statuses(self, names: Iterable[str]) -> dict[str, str]:
        """Return how the hosts with these names are, as their servers show it."""
        wanted = sorted(set(names))
        if not wanted:
            return {}
        async with self._store.read() as session:
            rows = await hosts.some(session, wanted)
        return {row["name"]: self._host(row, {}).status for row in rows}

    async def require(self, name: str | None, node: str | None) -> None:
        """Raise `BadRequest` unless there is a host of that name, a hypervisor of that name, and both are the same."""
        async with self._store.read() as session:
            row = None
            if name:
                row = await hosts.host(session, name)
            elif node:
                row = await hosts.with_node(session, node)
        if row is None:
            raise errors.BadRequest(f"Compute host {name or node} could not be found.")
        if node and self._host(row, {}).hypervisor_hostname != node:
            raise errors.BadRequest(f"Compute host {name} with the hypervisor {node} could not be found.")

    async def zones(self) -> dict[str, list[Host]]:
        """Return the hosts of every availability zone, zones by name; the default zone is always there."""
        found: dict[str, list[Host]] = {DEFAULT_ZONE: []}
        async with self._store.read() as session:
            rows = await hosts.every(session)
            zones = await _zones(session)
        for zone in zones.values():
            found.setdefault(zone, [])
        for row in rows:
            host = self._host(row, zones)
            found[host.zone].append(host)
        return dict(sorted(found.items()))

    async def census(self) -> Census:
        """Count the hosts and those of them that are up."""
        async with self._store.read() as session:
            signs = await hosts.signs(session)
        self.liveness.take({row["name"]: row["last_seen"] for row in signs})
        return Census(total=len(signs), up=sum(map(self.liveness.is_up, signs)))

    async def rooms(self) -> dict[str, Room]:
        """Return what hosts last reported of the file systems of their directories; without those that told none."""
        async with self._store.read() as session:
            told = await hosts.rooms(session)
        return {name: to_record(room, Room) for name, room in told.items()}

    async def software(self) -> list[HostSoftware]:
        """Return what each host runs, in the order of their names."""
        async with self._store.read() as session:
            rows = await host_plugins.every(session)
        return [
            HostSoftware(
                host=row["host"],
                driver=row["driver"],
                network=row["network"],
                # An agent of a later version may tell more of a plugin than is known here.
                plugins=[to_record(one, PluginRow, tolerant=True) for one in row["plugins"]],
            )
            for row in rows
        ]

    async def loads(self) -> dict[str, Load]:
        """Sum up the servers of every host that has some."""
        async with self._store.read() as session:
            rows = await host_loads.sums(session)
        return {
            row["host"]: Load(
                servers=row["servers"], vcpus=row["vcpus"], ram=row["ram"], disk=row["disk"], busy=row["busy"]
            )
            for row in rows
        }

    async def servers_on(self, names: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
        """List id and name of the servers of some hosts."""
        found: dict[str, list[tuple[str, str]]] = {}
        async with self._store.read() as session:
            for row in await host_loads.names(session, names):
                found.setdefault(row["host"], []).append((row["id"], row["name"]))
        return found

    async def decide(self, name: str, **values: object) -> None:
        """Record an operator's decision: enabled, disabled_reason, forced_down; raise `NotFound`."""
        async with self._store.write() as session:
            session.followed_by(lambda: topics.HOSTS_CHANGED.publish(self._bus, topics.Changed()))
            if not await hosts.decide(session, name, **values):
                if await refused_hosts.refused_host(session, name) is not None:
                    raise errors.NotFound(f"{_NEVER.format(name)} `novakit guest list` says why it was refused.")
                raise errors.NotFound(f"Compute host {name} could not be found.")

    def _host(self, row: HostRow, zones: Mapping[str, str], away: RefusedHostRow | None = None) -> Host:
        """Make a host of its row; `away` says why it is refused.

        One of another deployment is down. Of two directories under one name, the right one may be up beside the other.
        """
        up, refused = self.liveness.is_up(row), None
        if away is not None and not (away["why"] and up):
            up, refused = False, _reason(away)
        return Host(
            name=row["name"],
            number=row["number"],
            service_id=row["id"],
            hypervisor_id=row["provider_id"],
            enabled=row["enabled"],
            forced_down=row["forced_down"],
            up=up,
            disabled_reason=row["disabled_reason"] or refused,
            zone=zones.get(row["name"], DEFAULT_ZONE),
            facts=row["facts"],
            updated_at=max(row["last_seen"], row["updated_at"]),
        )


def _reason(away: RefusedHostRow) -> str:
    return f"refused: {away['why'] or _FOREIGN.format(away['deployment'])}"


def _never_joined(away: RefusedHostRow, number: int) -> Host:
    """Make what is shown of a host that is refused and of which there is no row."""
    # Always the same one, made of what is known: whatever the host has said, it must not break the list for all.
    id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{away['deployment']}/{away['host']}"))
    return Host(
        name=away["host"],
        number=number,
        service_id=id,
        hypervisor_id=id,
        enabled=False,
        disabled_reason=_reason(away),
        forced_down=False,
        up=False,
        zone=DEFAULT_ZONE,
        facts={},
        updated_at=away["since"],
    )


_FOREIGN = "the host belongs to deployment {}"
_NEVER = "The host {} never joined this deployment, so it cannot be changed."


async def zone_names(session: Session) -> set[str]:
    """Return the names of all availability zones."""
    return {DEFAULT_ZONE, *(await _zones(session)).values()}


async def _zones(session: Session) -> dict[str, str]:
    """Return the availability zone of every host that an aggregate puts into one."""
    members = await aggregates.members(session)
    found: dict[str, str] = {}
    for row in await aggregates.every(session):
        if zone := row["metadata"].get("availability_zone"):
            found |= dict.fromkeys(members.get(row["id"], ()), zone)
    return found
