"""Reading what hosts are to note, and remembering it for as long as nothing of it is another.

The idea: a note is the sum of parts: one for each guest's port, for each network that one is on with the routers there,
for each floating IP that leads to one, and for each security group, those that rules trust included. Guests come and
go all the time; of all else one statement, `surroundings.mark`, says whether anything changed.
The invariant: the part of a port is found by everything that it is made of. Every other part is found by an id, and was
read after the mark that it is remembered under; so while the mark is the same, the part is, too. A note thus says what
it would say if nothing were remembered, whoever changes the database.
The cost: two statements for any number of hosts, one where the mark was read before, and 10 µs for each guest; what is
not remembered costs six statements for networks, four for floating IPs, and two for each step of trust between groups.
What is remembered takes 3 kB for a guest, and 1 kB for each row of what is around them.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import attrs
import orjson

from novakit.concurrency.bounded import BoundedMemory
from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.hosts.noted import NOTHING, NotedNetworks
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.ports import StoredPort, addresses_of
from novakit.store.network.remade import NotedRow
from novakit.store.network.routers import StoredRouter
from novakit.store.network.rows import StoredRow
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import with_subnets
from novakit.store.network.surroundings import NOTED, PASSING, GuestPort, Mark, guest_ports, mark

MOST = 20_000
"""Guests that are remembered, and rows of each kind of what is around them; of more, those that were read last."""

_NotesById = Mapping[str, NotedNetworks]
"""By id."""
_KINDS = tuple(field.name for field in attrs.fields(NotedNetworks))
_KEYS = {"addresses": itemgetter("number", "subnet_id"), "port_groups": itemgetter("port_id", "group_id")}
_BY_AGE = itemgetter("created_at", "id")


def _memory() -> BoundedMemory[NotedNetworks]:
    return BoundedMemory(MOST)


@attrs.frozen
class _Era:
    """What was read around guests since a mark, for as long as that stays the same."""

    mark: Mark
    networks: BoundedMemory[NotedNetworks] = attrs.field(factory=_memory)
    floating_ips: BoundedMemory[NotedNetworks] = attrs.field(factory=_memory)
    groups: BoundedMemory[NotedNetworks] = attrs.field(factory=_memory)


@attrs.frozen
class _NotedGuest:
    """What was read of a guest's port."""

    line: GuestPort
    part: NotedNetworks
    floating_ips: Sequence[str]
    groups: Sequence[str]

    @classmethod
    def of(cls, line: GuestPort) -> "_NotedGuest":
        """Read a line."""
        columns = _noted_values(NOTED, line.columns)
        id, groups = columns["id"], sorted(group for (group,) in _read(line.groups))
        part = NotedNetworks(
            ports=(columns,),
            addresses=tuple(
                {"subnet_id": subnet, "number": number, "port_id": id} for subnet, number in _read(line.addresses)
            ),
            port_groups=tuple({"port_id": id, "group_id": group} for group in groups),
        )
        return cls(line, part, sorted(floating for (floating,) in _read(line.floating_ips)), groups)


@attrs.frozen
class _NotedHost:
    """What was read of one host."""

    guests: Mapping[str, _NotedGuest] = attrs.field(factory=dict)
    """By the port's id."""
    parts: Sequence[NotedNetworks] = ()
    note: NotedNetworks = NOTHING
    """Their sum."""


_UNKNOWN = _NotedHost()


@attrs.define
class Noting:
    """Reads what hosts are to note."""

    _era: _Era = attrs.field(factory=lambda: _Era(()))
    _hosts: BoundedMemory[_NotedHost] = attrs.field(factory=lambda: BoundedMemory(MOST))

    async def read(
        self, session: Session, hosts: Collection[str], marked: Mark | None = None
    ) -> dict[str, NotedNetworks]:
        """Read what the guests of each host live with; a note that says what the last one said is the same object.

        `marked` is a mark that was read before: what has changed since may be missing in the notes.
        """
        # Before all else: what is read later may be newer than the mark, and is then read again under the next one.
        now = await mark(session) if marked is None else marked
        if now != self._era.mark:
            self._era = _Era(now)
        era = self._era  # another reading may begin a new one meanwhile
        known = {host: self._hosts.get(host) or _UNKNOWN for host in hosts}
        guests: dict[str, dict[str, _NotedGuest]] = {host: {} for host in hosts}
        for line in await guest_ports(session, hosts):
            id = line.columns[0]
            guest = known[line.host].guests.get(id)
            guests[line.host][id] = guest if guest is not None and guest.line == line else _NotedGuest.of(line)
        every = [guest for some in guests.values() for guest in some.values()]
        networks = await _known(session, era.networks, {guest.line.network_id for guest in every}, _on_networks)
        floating = await _known(
            session, era.floating_ips, {id for guest in every for id in guest.floating_ips}, _leading
        )
        groups: dict[str, NotedNetworks] = {}
        wanted = {id for guest in every for id in guest.groups}
        while missing := wanted - groups.keys():
            found = await _known(session, era.groups, missing, _with_rules)
            groups |= found
            wanted = {id for part in found.values() for id in _trusted(part)}
        notes: dict[str, NotedNetworks] = {}
        for host, own in guests.items():
            parts = _parts(own.values(), networks, floating, groups)
            note = known[host].note if known[host].parts == parts else _sum(parts)
            self._hosts.put(host, _NotedHost(own, parts, note), 1 + len(note.ports))
            notes[host] = note
        return notes

    def forget(self, host: str) -> None:
        """Forget a host that will not come back."""
        self._hosts.pop(host)


def _read(text: str | None) -> Sequence[Sequence[Any]]:
    return () if text is None else orjson.loads(text)


def _parts(
    guests: Collection[_NotedGuest], networks: _NotesById, floating: _NotesById, groups: _NotesById
) -> Sequence[NotedNetworks]:
    """Return the parts of one host's note, in an order that is the same while they are."""
    return [
        *(guest.part for guest in guests),
        *(networks[id] for id in dict.fromkeys(guest.line.network_id for guest in guests)),
        *(floating[id] for guest in guests for id in guest.floating_ips),
        *_trusting(dict.fromkeys(id for guest in guests for id in guest.groups), groups),
    ]


async def _known(
    session: Session,
    memory: BoundedMemory[NotedNetworks],
    wanted: Collection[str],
    read: Callable[[Session, Collection[str]], Awaitable[_NotesById]],
) -> dict[str, NotedNetworks]:
    """Return parts by id, and read those that are not remembered."""
    found = {id: part for id in wanted if (part := memory.get(id)) is not None}
    if missing := [id for id in wanted if id not in found]:
        for id, part in (await read(session, missing)).items():
            memory.put(id, part, 1 + sum(len(getattr(part, kind)) for kind in _KINDS))
            found[id] = part
    return found


def _sum(parts: Iterable[NotedNetworks]) -> NotedNetworks:
    """Put parts together, each row once, in an order that is the same whenever it is done."""
    summed: dict[str, tuple[NotedRow, ...]] = {}
    for kind in _KINDS:
        key = _KEYS.get(kind, _BY_AGE)
        found: dict[tuple[object, ...], NotedRow] = {}
        for part in parts:
            for row in getattr(part, kind):
                found.setdefault(key(row), row)
        summed[kind] = tuple(found[place] for place in sorted(found))
    return NotedNetworks(**summed)


def _trusted(part: NotedNetworks) -> list[str]:
    return [row["remote_group_id"] for row in part.rules if row["remote_group_id"]]


def _trusting(wanted: Iterable[str], groups: _NotesById) -> list[NotedNetworks]:
    """Return the parts of groups, of those that they trust, and so on."""
    there = list(wanted)
    known = set(there)
    for id in there:  # which grows meanwhile
        more = [other for other in dict.fromkeys(_trusted(groups[id])) if other not in known]
        known.update(more)
        there += more
    return [groups[id] for id in there]


async def _on_networks(session: Session, ids: Collection[str]) -> _NotesById:
    """Read networks with their DHCP, and the routers on them with all their legs and the networks of these."""
    joined = await rows.find(session, StoredPort, network_id=ids, device_owner=INTERFACE)
    routers = await rows.find(session, StoredRouter, id={leg.device_id for leg in joined}) if joined else []
    legs = await _legs(session, rows.ids(routers)) if routers else []
    dhcp = await rows.find(session, StoredPort, id=[dhcp_port_id(id) for id in ids])
    on = await _Ground.read(session, {*ids, *(leg.network_id for leg in legs)}, [*legs, *dhcp])
    noted_routers = {router.id: _noted(router) for router in routers}
    joining: dict[str, set[str]] = defaultdict(set)
    for leg in joined:
        if leg.device_id in noted_routers:
            joining[leg.network_id].add(leg.device_id)
    legs_of: dict[str, list[StoredPort]] = defaultdict(list)
    for leg in legs:
        legs_of[leg.device_id].append(leg)
    served = {port.id: port for port in dhcp}
    found: dict[str, NotedNetworks] = {}
    for id in ids:
        own = [leg for router in joining[id] for leg in legs_of[router]]
        port = served.get(dhcp_port_id(id))
        part = on.part([id], own if port is None else [*own, port])
        found[id] = attrs.evolve(part, routers=tuple(noted_routers[router] for router in joining[id]))
    return found


async def _legs(session: Session, routers: Collection[str]) -> list[StoredPort]:
    return await rows.find(session, StoredPort, device_id=routers, device_owner=(INTERFACE, GATEWAY))


async def _leading(session: Session, ids: Collection[str]) -> _NotesById:
    """Read floating IPs with their ports."""
    leading = await rows.find(session, StoredFloatingIp, id=ids)
    ports = {
        port.id: port for port in await rows.find(session, StoredPort, id=[row.floating_port_id for row in leading])
    }
    on = await _Ground.read(session, {port.network_id for port in ports.values()}, list(ports.values()))
    found = {}
    for row in leading:
        port = ports.get(row.floating_port_id)
        part = on.part([], [] if port is None else [port])
        found[row.id] = attrs.evolve(part, floating_ips=(_noted(row),))
    return {id: found.get(id, NOTHING) for id in ids}


async def _with_rules(session: Session, ids: Collection[str]) -> _NotesById:
    """Read security groups with their rules."""
    groups = {row.id: (_noted(row),) for row in await rows.find(session, StoredSecurityGroup, id=ids)}
    rules: dict[str, list[NotedRow]] = defaultdict(list)
    for row in await rows.find(session, StoredRule, security_group_id=ids):
        rules[row.security_group_id].append(_noted(row))
    return {id: NotedNetworks(groups=groups.get(id, ()), rules=tuple(rules[id])) for id in ids}


@attrs.frozen
class _Ground:
    """Networks with their subnets, and ports on them with their addresses, each row once."""

    networks: Mapping[str, NotedNetworks]
    """Each with its subnets, by id."""
    ports: Mapping[str, NotedNetworks]
    """Each with its addresses, by id."""

    @classmethod
    async def read(cls, session: Session, network_ids: Collection[str], ports: Sequence[StoredPort]) -> "_Ground":
        """Read them in two statements."""
        cut = await with_subnets(session, network_ids)
        numbers: dict[str, list[NotedRow]] = defaultdict(list)
        for line in await addresses_of(session, rows.ids(ports)):
            numbers[line.port_id].append(_noted(line))
        return cls(
            {
                network.id: NotedNetworks(
                    networks=(_noted(network),), subnets=tuple(_noted(subnet) for subnet in subnets)
                )
                for network, subnets in cut
            },
            {port.id: NotedNetworks(ports=(_noted(port),), addresses=tuple(numbers[port.id])) for port in ports},
        )

    def part(self, networks: Iterable[str], ports: Sequence[StoredPort]) -> NotedNetworks:
        """Return networks, ports and the networks that these are on as one."""
        there = dict.fromkeys([*networks, *(port.network_id for port in ports)])
        on = [self.networks[id] for id in there if id in self.networks]
        return _sum([*on, *(self.ports[port.id] for port in ports)])


def _noted(row: StoredRow) -> NotedRow:
    names = [field.name for field in attrs.fields(type(row)) if field.name not in PASSING]
    return _noted_values(names, [getattr(row, name) for name in names])


def _noted_values(names: Sequence[str], values: Sequence[object]) -> NotedRow:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in zip(names, values, strict=True)
    }
