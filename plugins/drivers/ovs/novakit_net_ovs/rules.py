"""Security group rules as matches on a connection's first packet.

Open vSwitch keeps that packet's addresses and ports (the "original tuple") with every tracked connection, so the same
match judges every later packet of the connection too, in both directions: a rule that goes cuts what it carried.
"""

import functools
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence

import attrs

from novakit_hookspecs.networks import Rule

TRACKED = "ct_state=+trk-inv"
ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDPLITE = 1, 6, 17, 33, 58, 132, 136
"""Protocol numbers of IANA."""
WITH_PORTS = (TCP, UDP, DCCP, SCTP, UDPLITE)
"""The last three are tracked by the kernel's switch only; the userspace one drops them, rule or no rule."""
CACHED = 4096
"""How many different rules are kept computed: between two topologies of a host nearly all stay the same."""
GROUPS_CACHED = 256
"""How many of those that name a group: each is as long as the group has members, so only the latest ones are kept."""
MembersById = Mapping[str, tuple[str, ...]]
"""The members of groups that rules name, by the group's id."""
NO_GROUPS: MembersById = {}


def port_masks(first: int, last: int) -> list[tuple[int, int]]:
    """Cover a range of ports with the fewest pairs of value and bit mask."""
    pairs = []
    while first <= last:
        size = first & -first or 0x10000
        while first + size - 1 > last:
            size >>= 1
        pairs.append((first, 0x10000 - size))
        first += size
    return pairs


def policy_number(rules: Iterable[Rule], taken: dict[int, tuple[Rule, ...]]) -> int:
    """Return the number of a set of rules: the same rules have the same number on every port and at every time.

    A rule's remote group counts by its id, so the number stays while members come and go.
    `taken` holds the numbers given so far and what they stand for; no rules at all are number 0.
    """
    content, number = _content(tuple(rules))
    if not content:
        return 0
    while taken.setdefault(number, content) != content:
        number = number % 0xFFFFFFFF + 1
    return number


@functools.lru_cache(CACHED)
def _content(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, ...], int]:
    content = tuple(sorted(set(rules), key=repr))
    return content, int.from_bytes(hashlib.blake2s(repr(content).encode(), digest_size=4).digest(), "big") or 1


def matches(rule: Rule, groups: MembersById = NO_GROUPS) -> list[str]:
    """Return the matches that let a rule's connections through, one per remote and port mask.

    Raises ValueError for a group that is not there, and for what is no range or no port.
    """
    if rule.remote_group is None:
        return _alone(rule)
    if rule.remote_group not in groups:
        raise ValueError(f"its remote group {rule.remote_group} is not in the topology")
    return _with_members(rule, groups[rule.remote_group])


@functools.lru_cache(CACHED)
def _alone(rule: Rule) -> list[str]:
    return _matches(rule, ())


@attrs.define(eq=False)
class _Latest:
    """What a rule lets through with the members that its group had the last time."""

    members: tuple[str, ...]
    found: list[str]


@functools.lru_cache(GROUPS_CACHED)
def _latest(rule: Rule) -> _Latest:
    return _Latest((), _matches(rule, ()))


def _with_members(rule: Rule, members: tuple[str, ...]) -> list[str]:
    latest = _latest(rule)
    if latest.members != members:
        latest.found, latest.members = _matches(rule, members), members
    return latest.found


def _matches(rule: Rule, members: tuple[str, ...]) -> list[str]:
    version = 4 if rule.ethertype == "IPv4" else 6
    base = f"{TRACKED},{'ip' if version == 4 else 'ipv6'}"
    remotes = _remotes(rule, members, version)
    return [base + remote + protocol for remote in remotes for protocol in _protocols(rule, version)]


def _remotes(rule: Rule, members: tuple[str, ...], version: int) -> list[str]:
    if rule.remotes is None:
        return [""]
    field = ("ct_nw_" if version == 4 else "ct_ipv6_") + ("src" if rule.direction == "ingress" else "dst")
    return ["" if net.prefixlen == 0 else f",{field}={net}" for net in collapse((*rule.remotes, *members), version)]


def collapse(cidrs: Iterable[str], version: int) -> Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the fewest ranges of one IP version that cover exactly the same addresses."""
    if version == 4:
        return list(
            ipaddress.collapse_addresses(n for n in map(_network, cidrs) if isinstance(n, ipaddress.IPv4Network))
        )
    return list(ipaddress.collapse_addresses(n for n in map(_network, cidrs) if isinstance(n, ipaddress.IPv6Network)))


@functools.lru_cache(4 * CACHED)  # of a large group, all but the member that has just come were there before
def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(cidr, strict=False)


def _protocols(rule: Rule, version: int) -> list[str]:
    if rule.protocol is None:
        return [""]
    # ICMP has a number for each IP version, and clients name either.
    protocol = {ICMP: ICMPV6}.get(rule.protocol, rule.protocol) if version == 6 else rule.protocol
    match = f",ct_nw_proto={protocol}"
    if rule.port_min is None and rule.port_max is None:
        return [match]
    if protocol in (ICMP, ICMPV6):
        kind = "" if rule.port_min is None else f",ct_tp_src={rule.port_min}"
        code = "" if rule.port_max is None else f",ct_tp_dst={rule.port_max}"
        return [match + kind + code]
    if protocol not in WITH_PORTS:
        raise ValueError(f"protocol {protocol} has no ports; name a rule for it without a range")
    first = rule.port_min if rule.port_min is not None else 0
    last = rule.port_max if rule.port_max is not None else 0xFFFF
    return [
        match if mask == 0 else match + f",ct_tp_dst={value:#x}" + ("" if mask == 0xFFFF else f"/{mask:#x}")
        for value, mask in port_masks(first, last)
    ]
