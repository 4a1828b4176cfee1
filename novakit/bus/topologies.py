"""Topologies as messages, and changes of them: of one that the other side has, only what is another now is sent.

The idea: records that did not change are the very same objects, so that what changed is found by identity; where all
ports, networks or routers did not, so is the tuple of them. Rules that many ports share are written once; where only
the rules of ports changed, as they do with each rule more of their security group, nothing else is written of them, and
of a network with other leases and a group with other members nothing but these.
The invariant: a change made of two topologies makes the second one of the first, in its order.
The cost: none within a process, which hands over the second one; else 40 µs for a port that is another, and 0.1 µs for
each port, lease or member beside it that is the same, on each side; a group's members are compared once for all hosts.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import chain, takewhile
from operator import attrgetter, is_
from typing import Any, Generic, TypeVar

import attrs

from novakit_hookspecs.fields import tuple_field
from novakit_hookspecs.networks import AddressGroup, Lease, Network, Port, Router, Rule, Topology
from novakit_hookspecs.plain import to_plain, to_record

T = TypeVar("T")
K = TypeVar("K")
Placed = tuple[tuple[int, T], ...]
"""What is new or another, each with its place in the order that it is in now."""


@attrs.frozen(kw_only=True)
class NewRules:
    """Other rules of ports that are as they were."""

    ports: tuple[str, ...] = tuple_field()
    rules: tuple[Rule, ...] = tuple_field()


@attrs.frozen(kw_only=True)
class NewLeases:
    """Other leases on a network that is as it was."""

    network: str
    leases: tuple[tuple[int, Lease], ...] = tuple_field()
    gone: tuple[tuple[str, str], ...] = tuple_field()
    """Port and address of each that is no more."""


@attrs.frozen(kw_only=True)
class NewMembers:
    """Other members of a group."""

    group: str
    members: tuple[tuple[int, str], ...] = tuple_field()
    gone: tuple[str, ...] = tuple_field()


@attrs.frozen
class NextTopology:
    """A topology that comes after one that the host was given."""

    base: str
    """The name that the host gave to the one before."""
    before: Topology
    now: Topology

    @property
    def revision(self) -> int:
        """Return the revision of what is to be."""
        return self.now.revision


@attrs.frozen(kw_only=True)
class TopologyChange:
    """A `NextTopology` that has come out of another process: what makes it of the one before."""

    base: str
    revision: int
    networks: tuple[tuple[int, Network], ...] = tuple_field()
    leases: tuple[NewLeases, ...] = tuple_field()
    ports: tuple[tuple[int, Port], ...] = tuple_field()
    rules: tuple[NewRules, ...] = tuple_field()
    routers: tuple[tuple[int, Router], ...] = tuple_field()
    groups: tuple[tuple[int, AddressGroup], ...] = tuple_field()
    members: tuple[NewMembers, ...] = tuple_field()
    gone: tuple[str, ...] = tuple_field()
    """Ids of the networks, ports, routers and groups that are no more."""


_ID, _LEASE = attrgetter("id"), attrgetter("port_id", "ip")
_BUT_GROUPS = attrgetter(*(each.name for each in attrs.fields(Topology) if each.name not in ("revision", "groups")))

_PORT = tuple(field.name for field in attrs.fields(Port))
_VALUES = attrgetter(*_PORT)


def with_rules(port: Port, rules: tuple[Rule, ...]) -> Port:
    """Return a port as it is but for its rules."""
    # Not `attrs.evolve`, which checks all fields again and costs eight times as much: one rule more of a security group
    # gives each port in it other rules.
    made = object.__new__(Port)
    for name, value in zip(_PORT, _VALUES(port), strict=True):
        object.__setattr__(made, name, value)
    object.__setattr__(made, "rules", rules)
    return made


def differ_in_members_alone(before: Topology, now: Topology) -> bool:
    """Return whether nothing else than members of groups can be another; all that is the same is the same object."""
    # Not without a group: there is one empty tuple alone, so that the same one says nothing.
    return bool(now.groups) and all(map(is_, _BUT_GROUPS(before), _BUT_GROUPS(now)))


def differ_in_passing_alone(before: Topology, now: Topology) -> bool:
    """Return whether nothing else is another than members of groups and leases, which come and go with any server."""
    if now.ports != before.ports or now.routers != before.routers or len(now.networks) != len(before.networks):
        return False
    pairs = zip(before.networks, now.networks, strict=True)
    return all(was is each or differ_in_leases_alone(was, each) for was, each in pairs)


def change_of(next: NextTopology) -> TopologyChange:
    """Return what makes the next topology of the one before."""
    networks = _differences(next.before.networks, next.now.networks, _ID, differ_in_leases_alone)
    ports = _differences(next.before.ports, next.now.ports, _ID, _is_filtered_anew)
    routers = _differences(next.before.routers, next.now.routers, _ID)
    groups = _differences(next.before.groups, next.now.groups, _ID, _is_joined_anew)
    return TopologyChange(
        base=next.base,
        revision=next.now.revision,
        networks=networks.placed,
        leases=tuple(_new_leases(was, is_now) for was, is_now in networks.partly),
        ports=ports.placed,
        rules=_new_rules(port for _, port in ports.partly),
        routers=routers.placed,
        groups=groups.placed,
        members=tuple(_new_members(_Joining(was, is_now)) for was, is_now in groups.partly),
        gone=(*networks.gone, *ports.gone, *routers.gone, *groups.gone),
    )


def changed(before: Topology, change: NextTopology | TopologyChange) -> Topology:
    """Return what a change makes of a topology; what is as it was is the same object."""
    if isinstance(change, NextTopology):
        return change.now
    rules = {port: each.rules for each in change.rules for port in each.ports}
    leases = {each.network: each for each in change.leases}
    members = {each.group: each for each in change.members}
    networks = _with(before.networks, leases, lambda each: _leased(each, leases[each.id]))
    ports = _with(before.ports, rules, lambda each: with_rules(each, rules[each.id]))
    groups = _with(before.groups, members, lambda each: _joined(each, members[each.id]))
    return Topology(
        revision=change.revision,
        networks=_put(networks, change.networks, change.gone, _ID),
        ports=_put(ports, change.ports, change.gone, _ID),
        routers=_put(before.routers, change.routers, change.gone, _ID),
        groups=_put(groups, change.groups, change.gone, _ID),
    )


@attrs.frozen
class _Differences(Generic[T, K]):
    """What is another object now than before."""

    placed: Placed[T]
    gone: Set[K]
    """Keys of what is no more."""
    partly: Sequence[tuple[T, T]] = ()
    """What is another in one field alone and stands where it stood, each behind what it was."""


def _never(before: object, now: object) -> bool:
    return False


def _differences(
    before: tuple[T, ...], now: tuple[T, ...], key: Callable[[T], K], is_partly: Callable[[T, T], bool] = _never
) -> _Differences[T, K]:
    """Compare by identity; where what is the same stands in another order, all of it is another."""
    if before is now:
        return _Differences((), frozenset())
    start, end = _same_ends(before, now)
    some, others = before[start : len(before) - end], now[start : len(now) - end]
    was, kept = {key(each): each for each in some}, {key(each) for each in others}
    placed: list[tuple[int, T]] = []
    partly: list[tuple[T, T]] = []
    for place, each in enumerate(others):
        former = was.get(key(each))
        if former is each:
            continue
        if former is not None and is_partly(former, each):
            partly.append((former, each))
        else:
            placed.append((place, each))
    gone = was.keys() - kept
    # What has the key of another one at the ends, as members of a group may, would go there, too.
    other = {key(each) for _, each in placed}.union(gone)
    is_alone = other.isdisjoint(map(key, chain(before[:start], before[len(before) - end :])))
    if is_alone and [*map(key, _put(some, placed, gone, key))] == [*map(key, others)]:
        return _Differences(tuple([(start + place, each) for place, each in placed]), gone, partly)
    return _Differences(tuple(enumerate(now)), {*map(key, before)}.difference(map(key, now)))


def _same_ends(before: tuple[T, ...], now: tuple[T, ...]) -> tuple[int, int]:
    """Return how many at the start of both, and of the rest how many at the end, are the same objects."""
    most = min(len(before), len(now))
    start = len([*takewhile(bool, map(is_, before, now))])
    end = len([*takewhile(bool, map(is_, reversed(before), reversed(now)))])
    return start, min(end, most - start)


def _put(
    before: tuple[T, ...], placed: Sequence[tuple[int, T]], gone: Collection[K], key: Callable[[T], K]
) -> tuple[T, ...]:
    other = {key(each) for _, each in placed}.union(gone)
    made = [each for each in before if key(each) not in other] if other else [*before]
    if not placed and len(made) == len(before):
        return before
    for place, each in placed:
        made.insert(place, each)
    return tuple(made)


_Named = TypeVar("_Named", Network, Port, AddressGroup)


def _with(before: tuple[_Named, ...], some: Collection[str], other: Callable[[_Named], _Named]) -> tuple[_Named, ...]:
    """Put others in the places of those with some ids."""
    return tuple([other(each) if each.id in some else each for each in before]) if some else before


_PORT_BUT_RULES = tuple(name for name in _PORT if name != "rules")
_BUT_RULES = attrgetter(*_PORT_BUT_RULES)
_BUT_LEASES = attrgetter(*(field.name for field in attrs.fields(Network) if field.name != "leases"))
_BUT_MEMBERS = attrgetter(*(field.name for field in attrs.fields(AddressGroup) if field.name != "members"))


def _is_filtered_anew(before: Port, now: Port) -> bool:
    return bool(_BUT_RULES(before) == _BUT_RULES(now))


def differ_in_leases_alone(before: Network, now: Network) -> bool:
    """Return whether nothing else than leases is another."""
    return bool(_BUT_LEASES(before) == _BUT_LEASES(now))


def _is_joined_anew(before: AddressGroup, now: AddressGroup) -> bool:
    return bool(_BUT_MEMBERS(before) == _BUT_MEMBERS(now))


def _new_rules(ports: Iterable[Port]) -> tuple[NewRules, ...]:
    by_rules: dict[int, list[Port]] = {}
    for port in ports:
        by_rules.setdefault(id(port.rules), []).append(port)
    return tuple(NewRules(ports=tuple(map(_ID, some)), rules=some[0].rules) for some in by_rules.values())


def _new_leases(before: Network, now: Network) -> NewLeases:
    leases = _differences(before.leases, now.leases, _LEASE)
    return NewLeases(network=now.id, leases=leases.placed, gone=tuple(leases.gone))


def _leased(network: Network, change: NewLeases) -> Network:
    return attrs.evolve(network, leases=_put(network.leases, change.leases, change.gone, _LEASE))


@attrs.frozen(eq=False)
class _Joining:
    """A group before and now, told from others by which objects they are: hosts of a round have the very same ones."""

    before: AddressGroup
    now: AddressGroup

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Joining) and other.before is self.before and other.now is self.now

    def __hash__(self) -> int:
        return hash((id(self.before), id(self.now)))


@lru_cache(maxsize=64)
def _new_members(joining: _Joining) -> NewMembers:
    # Texts that are equal are no others, be they two objects.
    members = _differences(joining.before.members, joining.now.members, str, str.__eq__)
    return NewMembers(group=joining.now.id, members=members.placed, gone=tuple(members.gone))


def _joined(group: AddressGroup, change: NewMembers) -> AddressGroup:
    return attrs.evolve(group, members=_put(group.members, change.members, change.gone, str))


@attrs.define
class _Shared:
    """Rules that are written once; by identity, as comparing equal ones would cost as much as writing them."""

    written: list[object] = attrs.field(factory=list)
    _places: dict[int, int] = attrs.field(factory=dict)

    def place(self, rules: tuple[Rule, ...]) -> int:
        """Return where among them some rules stand."""
        if id(rules) not in self._places:
            self._places[id(rules)] = len(self.written)
            self.written.append(to_plain(rules))
        return self._places[id(rules)]

    def port(self, port: Port) -> dict[str, object]:
        """Write a port with the place of its rules."""
        plain = {
            name: value if isinstance(value, str | bool) else to_plain(value)
            for name, value in zip(_PORT_BUT_RULES, _BUT_RULES(port), strict=True)
        }
        plain["rules"] = self.place(port.rules)
        return plain


_SharedRules = tuple[tuple[Rule, ...], ...]


def _read_shared(plain: Any) -> _SharedRules:
    return to_record(plain, tuple[tuple[Rule, ...], ...], tolerant=True)


def _read_port(plain: Mapping[str, Any], shared: _SharedRules) -> Port:
    return with_rules(to_record({**plain, "rules": ()}, Port, tolerant=True), shared[plain["rules"]])


def write(topology: Topology) -> dict[str, object]:
    """Turn a topology into plain data."""
    shared = _Shared()
    ports = [shared.port(port) for port in topology.ports]
    plain: dict[str, object] = to_plain(attrs.evolve(topology, ports=()))
    return plain | {"ports": ports, "rules": shared.written}


def read(plain: Any) -> Topology:
    """Build the topology again. Raises TypeError, ValueError or LookupError when it is not one."""
    shared = _read_shared(plain["rules"])
    ports = [_read_port(port, shared) for port in plain["ports"]]
    rest = {name: value for name, value in plain.items() if name not in ("ports", "rules")}
    return attrs.evolve(to_record(rest, Topology, tolerant=True), ports=tuple(ports))


def write_change(next: NextTopology) -> dict[str, object]:
    """Turn what is new of a topology into plain data."""
    change = change_of(next)
    shared = _Shared()
    ports = [(place, shared.port(port)) for place, port in change.ports]
    rules = [{"ports": each.ports, "rules": shared.place(each.rules)} for each in change.rules]
    plain: dict[str, object] = to_plain(attrs.evolve(change, ports=(), rules=()))
    return plain | {"ports": ports, "rules": rules, "shared": shared.written}


def read_change(plain: Any) -> TopologyChange:
    """Build the change again. Raises TypeError, ValueError or LookupError when it is not one."""
    shared = _read_shared(plain["shared"])
    ports = tuple((int(place), _read_port(port, shared)) for place, port in plain["ports"])
    rules = tuple(NewRules(ports=tuple(each["ports"]), rules=shared[each["rules"]]) for each in plain["rules"])
    rest = {name: value for name, value in plain.items() if name not in ("ports", "rules", "shared")}
    return attrs.evolve(to_record(rest, TopologyChange, tolerant=True), ports=ports, rules=rules)
