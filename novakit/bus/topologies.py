"""Topologies as messages: the rules that many ports share, and all the remote addresses in them, are written once."""

from operator import attrgetter
from typing import Any

import attrs

from novakit_hookspecs.networks import Port, Rule, Topology
from novakit_hookspecs.plain import to_plain, to_record

_PORT = tuple(field.name for field in attrs.fields(Port))
_VALUES = attrgetter(*_PORT)


def with_rules(port: Port, rules: tuple[Rule, ...]) -> Port:
    """Return a port as it is but for its rules."""
    # Not `attrs.evolve`, which checks all fields again and costs eight times as much: one member more of a security
    # group gives each port in it other rules.
    made = object.__new__(Port)
    for name, value in zip(_PORT, _VALUES(port), strict=True):
        object.__setattr__(made, name, value)
    object.__setattr__(made, "rules", rules)
    return made


def write(topology: Topology) -> dict[str, object]:
    """Turn a topology into plain data."""
    places: dict[int, int] = {}
    shared: list[object] = []
    ports = []
    for port in topology.ports:
        # By identity: comparing equal rules would cost as much as writing them.
        if id(port.rules) not in places:
            places[id(port.rules)] = len(shared)
            shared.append(to_plain(port.rules))
        ports.append(to_plain(attrs.evolve(port, rules=())) | {"rules": places[id(port.rules)]})
    plain: dict[str, object] = to_plain(attrs.evolve(topology, ports=()))
    return plain | {"ports": ports, "rules": shared}


def read(plain: Any) -> Topology:
    """Build the topology again. Raises TypeError, ValueError or LookupError when it is not one."""
    shared = to_record(plain["rules"], tuple[tuple[Rule, ...], ...], tolerant=True)
    ports = [
        attrs.evolve(to_record({**port, "rules": ()}, Port, tolerant=True), rules=shared[port["rules"]])
        for port in plain["ports"]
    ]
    rest = {name: value for name, value in plain.items() if name not in ("ports", "rules")}
    return attrs.evolve(to_record(rest, Topology, tolerant=True), ports=tuple(ports))
