"""Walks packets through a flow program as Open vSwitch does: tables, priorities, registers, connection tracking.

It knows the matches and actions our program uses, and refuses any other, so that none is silently let through.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

KINDS = frozenset({"arp", "ip", "ipv6", "udp", "udp6", "tcp", "tcp6", "icmp", "icmp6"})
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "tcp6": 6, "udp6": 17, "icmp6": 58}
_FLOW = re.compile(r"table=(\d+),priority=(\d+)(?:,(\S+))? actions=(\S+)")
_ACTION = re.compile(r"(?:[^,(]|\([^)]*\))+")


@attrs.frozen
class Flow:
    """One flow, parsed."""

    priority: int
    match: tuple[str, ...]
    actions: tuple[str, ...]


@attrs.frozen
class Connection:
    """What is kept of a tracked connection: its zone and its first packet's addresses and ports."""

    zone: int
    original: tuple[Any, ...]


@attrs.define
class Switch:
    """One bridge with a flow program and its connections."""

    tables: dict[int, list[Flow]]
    connections: set[Connection] = attrs.field(factory=set)

    @classmethod
    def of(cls, program: Sequence[str]) -> "Switch":
        switch = cls({})
        switch.load(program)
        return switch

    def load(self, program: Sequence[str]) -> None:
        """Change the program; connections are kept, as in the real switch."""
        self.tables = {}
        for line in program:
            found = _FLOW.fullmatch(line)
            assert found is not None, line
            match = tuple((found[3] or "").split(",")) if found[3] else ()
            flow = Flow(int(found[2]), match, tuple(_ACTION.findall(found[4])))
            self.tables.setdefault(int(found[1]), []).append(flow)
        for flows in self.tables.values():
            flows.sort(key=lambda flow: -flow.priority)

    def send(self, in_port: int, kinds: str, **fields: Any) -> list[int]:
        """Give the ports a packet leaves by; `kinds` are such as `ip tcp`, `related` marks an error of a connection."""
        packet = {"in_port": in_port, "kinds": set(kinds.split()), **fields}
        assert packet["kinds"] <= KINDS
        out: list[int] = []
        self._walk(0, packet, out)
        return sorted(out)

    def _walk(self, table: int, packet: dict[str, Any], out: list[int]) -> None:
        flow = next(
            (flow for flow in self.tables.get(table, ()) if all(matches(each, packet) for each in flow.match)), None
        )
        for action in flow.actions if flow else ():
            name, _, rest = action.replace(":", "(", 1).partition("(") if "(" not in action else action.partition("(")
            if name == "drop":
                return
            if name == "resubmit":
                self._walk(int(rest.strip(",)")), packet, out)
            elif action.startswith("set_field:"):
                value, register = action.removeprefix("set_field:").split("->")
                bits, _, mask = value.partition("/")
                mask = int(mask, 16) if mask else 0xFFFFFFFF
                packet[register] = packet.get(register, 0) & ~mask | int(bits, 16) & mask
            elif name == "ct":
                self._track(rest.rstrip(")"), packet, out)
            elif action == "output:NXM_NX_REG7[]":
                if packet["reg7"] != packet["in_port"]:
                    out.append(packet["reg7"])
            else:
                raise AssertionError(action)

    def _track(self, rest: str, packet: dict[str, Any], out: list[int]) -> None:
        words = rest.split(",")
        assert "zone=NXM_NX_REG6[0..15]" in words
        zone, own = packet["reg6"], tuple_of(packet)
        if "commit" in words:
            self.connections.add(Connection(zone, own))
            return
        here = {each.original for each in self.connections if each.zone == zone}
        state, original = {"trk", "new"}, own
        if (cause := packet.get("related")) is not None and cause in here:
            state, original = {"trk", "rel"}, cause
        elif own in here:
            state = {"trk", "est"}
        elif back(own) in here:
            state, original = {"trk", "est", "rpl"}, back(own)
        if packet.get("invalid"):
            state = {"trk", "inv"}
        (table,) = [int(word.removeprefix("table=")) for word in words if word.startswith("table=")]
        self._walk(table, packet | {"ct_state": state, "original": original}, out)


def tuple_of(packet: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give protocol, source, destination and ports (kind and code of ICMP) as the tracker keeps them."""
    proto = next(PROTOCOLS[kind] for kind in PROTOCOLS if kind in packet["kinds"])
    source = packet.get("nw_src") or packet.get("ipv6_src")
    to = packet.get("nw_dst") or packet.get("ipv6_dst")
    return (proto, source, to, packet.get("tp_src", packet.get("icmp_type", 0)), packet.get("tp_dst", 0))


def back(packet: tuple[Any, ...]) -> tuple[Any, ...]:
    proto, source, to, from_port, to_port = packet
    return (proto, to, source, to_port, from_port)


_ORIGINAL = {
    "ct_nw_proto": 0,
    "ct_nw_src": 1,
    "ct_ipv6_src": 1,
    "ct_nw_dst": 2,
    "ct_ipv6_dst": 2,
    "ct_tp_src": 3,
    "ct_tp_dst": 4,
}


def matches(wanted: str, packet: Mapping[str, Any]) -> bool:
    """Say whether a packet is what one part of a match wants."""
    name, _, value = wanted.partition("=")
    if not value:
        assert name in KINDS, wanted
        return name in packet["kinds"]
    if name == "ct_state":
        state = packet.get("ct_state", set())
        return all((flag in state) is (sign == "+") for sign, flag in re.findall(r"([+-])(\w+)", value))
    if name in _ORIGINAL:
        return "original" in packet and _is(packet["original"][_ORIGINAL[name]], value)
    default = 0 if name.startswith("reg") or name == "vlan_tci" else None
    return _is(packet.get(name, default), value)


def _is(has: Any, value: str) -> bool:
    if has is None:
        return False
    if isinstance(has, int):
        bits, _, mask = value.partition("/")
        keep = int(mask, 0) if mask else 0xFFFFFFFF
        return has & keep == int(bits, 0) & keep
    value, _, mask = value.partition("/")
    if re.fullmatch(r"(\w\w:){5}\w\w", value):
        keep = _mac(mask) if mask else (1 << 48) - 1
        return _mac(has) & keep == _mac(value) & keep
    return ipaddress.ip_address(has) in ipaddress.ip_network(f"{value}/{mask}" if mask else value)


def _mac(text: str) -> int:
    return int(text.replace(":", ""), 16)
