"""The flow program of the integration bridge: what every packet goes through, computed from the wanted state alone.

| table | question |
|---|---|
| 0 | who sent it? |
| 10 | may this NIC claim those addresses? |
| 20, 21 | does a rule let the connection out? |
| 30, 31 | the egress and ingress rules, per policy |
| 60 | for whom is it? |
| 70 to 72 | does a rule let the connection in? |
| 80 | remember the connection, hand the packet over |

The idea: ports with the same rules share a policy, so rules stand in the tables once for each policy, and a port
costs only what is its own: its addresses and the way to it.
The invariant: delivery is by the known addresses of the known ports; nothing is learned from guests, so nothing can
be poisoned. What no flow lets on falls off the end of its table and is dropped. The same state gives the same text,
so that equal programs are known by comparing them.
The cost: about 20 flows for each port with rules for both address families; 0.8 ms for 100 ports, 12 ms for 1,000.
"""

import functools
import ipaddress
from collections.abc import Iterable, Iterator

import attrs

from novakit_hookspecs.networks import Port, Rule
from novakit_net_ovs.rules import CACHED, NO_GROUPS, TRACKED, MembersById, matches, policy_number

CLASSIFY, SPOOF, OUT, OUT_VERDICT, OUT_RULES, IN_RULES, DELIVER, IN, IN_TRACKED, IN_VERDICT, HAND_OVER = (
    0, 10, 20, 21, 30, 31, 60, 70, 71, 72, 80,
)  # fmt: skip
"""Numbers of the tables, as in the list above; the gaps leave room for further ones."""
POLICY, ZONE, TO = "reg5", "reg6", "reg7"
ALLOWED = "reg0=0x1/0x1"
ALLOW = "set_field:0x1/0x1->reg0"
FORGET = "set_field:0x0/0x1->reg0"
FROM_DHCP, FROM_NO_GUEST = 0x2, 0x4
"""Marks in reg0: the packet comes from our DHCP server; it comes from no guest of this host."""
ZONE_BITS = "NXM_NX_REG6[0..15]"
METADATA_IP = "169.254.169.254"
GROUP = "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"


@attrs.frozen(kw_only=True)
class GuestVif:
    """A guest's port and where it is plugged."""

    ofport: int
    port: Port


@attrs.frozen(kw_only=True)
class ServiceVif:
    """A leg of a DHCP server or a router and where it is plugged."""

    ofport: int
    mac: str
    dhcp: bool = False


@attrs.frozen(kw_only=True)
class Segment:
    """One network on this host: who is plugged in, and the way out if it has one."""

    zone: int
    """Number of the network on this host and of its conntrack zone, 1 to 65,535."""
    guests: tuple[GuestVif, ...] = ()
    services: tuple[ServiceVif, ...] = ()
    uplink: int | None = None
    """The patch port to a physical network's bridge."""


def program(segments: Iterable[Segment], groups: MembersById = NO_GROUPS) -> list[str]:
    """Return the whole flow program, sorted, each flow once; `groups` are those that rules name."""
    policies: dict[int, tuple[Rule, ...]] = {}
    flows = set(_fixed())
    for segment in segments:
        numbers = {
            wire.port.id: policy_number(wire.port.rules, policies)
            for wire in segment.guests
            if wire.port.port_security and wire.port.admin_up
        }
        flows.update(_classify(segment, numbers))
        for wire in segment.guests:
            if wire.port.port_security and wire.port.admin_up:
                flows.update(vouched(wire.ofport, wire.port.mac.lower(), _claims(wire.port)))
        flows.update(_deliver(segment, numbers))
    for number, rules in policies.items():
        for rule in rules:
            flows.update(_alone(number, rule) if rule.remote_group is None else _let(number, rule, groups))
    return sorted(flows)


@functools.lru_cache(CACHED)
def _alone(number: int, rule: Rule) -> list[str]:
    return _let(number, rule, NO_GROUPS)


def _let(number: int, rule: Rule, groups: MembersById) -> list[str]:
    """Return the flows by which a policy lets through what a rule does."""
    table = OUT_RULES if rule.direction == "egress" else IN_RULES
    return [_flow(table, 100, f"{match},{POLICY}={number:#x}", ALLOW) for match in matches(rule, groups)]


def _flow(table: int, priority: int, match: str, actions: str) -> str:
    return f"table={table},priority={priority}{',' if match else ''}{match} actions={actions}"


def _go(table: int) -> str:
    return f"resubmit(,{table})"


def _mark(bits: int) -> str:
    return f"set_field:{bits:#x}/{bits:#x}->reg0"


def _marked(bits: int) -> str:
    return f"reg0={bits:#x}/{bits:#x}"


def _fixed() -> Iterator[str]:
    """The part that is the same on every host."""
    judge_out, judge_in = _go(OUT_RULES), _go(IN_RULES)
    for table, verdict, own, others in (
        (OUT, OUT_VERDICT, judge_out, judge_in),
        (IN_TRACKED, IN_VERDICT, judge_in, judge_out),
    ):
        # A reply is judged by the rules of the other direction, against the connection's first packet.
        yield _flow(table, 100, "ct_state=+trk+inv", "drop")
        yield _flow(table, 90, "ct_state=+trk+rel", f"{judge_out},{judge_in},{_go(verdict)}")
        yield _flow(table, 80, "ct_state=+trk+rpl", f"{others},{_go(verdict)}")
        yield _flow(table, 70, "ct_state=+trk-rpl", f"{own},{_go(verdict)}")
    yield _flow(OUT_VERDICT, 100, ALLOWED, f"{FORGET},{_go(DELIVER)}")
    yield _flow(IN_VERDICT, 100, ALLOWED, f"{FORGET},{_go(HAND_OVER)}")
    metadata = f"{TRACKED},ip,ct_nw_dst={METADATA_IP},ct_nw_proto=6,ct_tp_dst=80"
    # The metadata service is the cloud's own, so no security group can keep a guest from it.
    yield _flow(OUT_RULES, 100, metadata, ALLOW)

    # What arrives without being tracked: ARP was checked at its sender; a lease is believed from our server alone; and
    # a guest must hear its neighbours (ICMPv6 130 queries, 135, 136 neighbour discovery) and routers (134), which no
    # guest may send.
    yield _flow(IN, 100, "arp", _go(HAND_OVER))
    yield _flow(IN, 100, f"{_marked(FROM_DHCP)},udp,tp_src=67,tp_dst=68", _go(HAND_OVER))
    for kind in (130, 135, 136):
        yield _flow(IN, 100, f"icmp6,icmp_type={kind}", _go(HAND_OVER))
    yield _flow(IN, 100, f"{_marked(FROM_NO_GUEST)},icmp6,icmp_type=134", _go(HAND_OVER))
    yield _flow(IN, 90, "icmp6,icmp_type=134", "drop")
    for family in ("ip", "ipv6"):
        yield _flow(IN, 80, f"{family},ct_state=-trk", f"ct(table={IN_TRACKED},zone={ZONE_BITS})")
        yield _flow(IN, 70, f"{family},ct_state=+trk", _go(IN_TRACKED))
        new = f"{family},ct_state=+trk+new"
        yield _flow(HAND_OVER, 100, new, f"ct(commit,zone={ZONE_BITS}),output:NXM_NX_REG7[]")
    yield _flow(HAND_OVER, 90, "", "output:NXM_NX_REG7[]")


def _classify(segment: Segment, numbers: dict[str, int]) -> Iterator[str]:
    zone = f"set_field:{segment.zone:#x}->{ZONE}"
    for wire in segment.guests:
        port = wire.port
        sent = f"in_port={wire.ofport}"
        if not port.admin_up:
            continue
        if port.port_security or segment.uplink is not None:
            # A tag of the guest's own would carry the packet into another network outside.
            yield _flow(CLASSIFY, 110, f"{sent},vlan_tci=0x1000/0x1000", "drop")
        if port.port_security:
            policy = f"set_field:{numbers[port.id]:#x}->{POLICY}"
            yield _flow(CLASSIFY, 100, sent, f"{zone},{policy},{_go(SPOOF)}")
        else:
            yield _flow(CLASSIFY, 100, sent, f"{zone},{_go(DELIVER)}")
    for service in segment.services:
        mark = _mark(FROM_NO_GUEST | FROM_DHCP if service.dhcp else FROM_NO_GUEST)
        yield _flow(CLASSIFY, 100, f"in_port={service.ofport}", f"{zone},{mark},{_go(DELIVER)}")
    if segment.uplink is not None:
        yield _flow(CLASSIFY, 100, f"in_port={segment.uplink}", f"{zone},{_mark(FROM_NO_GUEST)},{_go(DELIVER)}")


def check(port: Port, groups: MembersById = NO_GROUPS) -> None:
    """Raise `ValueError` when a port's rules, the groups that they name or its addresses make no sense."""
    vouched(1, port.mac.lower(), _claims(port))
    for rule in port.rules:
        matches(rule, groups)


def _claims(port: Port) -> tuple[tuple[str, str], ...]:
    own = [(port.mac.lower(), address.ip) for address in port.addresses]
    return (*own, *((mac.lower(), source) for mac, source in port.allowed_pairs))


@functools.lru_cache(CACHED)
def vouched(ofport: int, own: str, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """Return what one port may claim to be; anything else it sends falls off the end of the table."""
    return list(_vouched(ofport, own, pairs))


def _vouched(ofport: int, own: str, pairs: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for mac in dict.fromkeys([own, *(mac for mac, _ in pairs)]):
        yield from _any_address(f"in_port={ofport},dl_src={mac}", mac)
    for mac, source in pairs:
        sent = f"in_port={ofport},dl_src={mac}"
        net = ipaddress.ip_network(source, strict=False)
        shown = str(net.network_address) if net.num_addresses == 1 else str(net)
        if net.version == 4:
            yield _flow(SPOOF, 90, f"{sent},arp,arp_sha={mac},arp_spa={shown}", _go(DELIVER))
            yield _flow(SPOOF, 90, f"{sent},udp,nw_src={shown},tp_src=68,tp_dst=67", _go(DELIVER))
            yield _flow(SPOOF, 80, f"{sent},ip,nw_src={shown}", f"ct(table={OUT},zone={ZONE_BITS})")
        else:
            yield from _vouched_v6(sent, mac, shown)


def _any_address(sent: str, mac: str) -> Iterator[str]:
    """What a port may send before it has an address."""
    yield _flow(SPOOF, 90, f"{sent},arp,arp_op=1,arp_sha={mac},arp_spa=0.0.0.0", _go(DELIVER))
    yield _flow(SPOOF, 90, f"{sent},udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,tp_src=68,tp_dst=67", _go(DELIVER))
    yield _flow(SPOOF, 100, f"{sent},udp,tp_dst=68", "drop")
    yield _flow(SPOOF, 100, f"{sent},udp6,tp_dst=546", "drop")
    yield _flow(SPOOF, 100, f"{sent},icmp6,icmp_type=134", "drop")
    yield _flow(SPOOF, 100, f"{sent},icmp6,icmp_type=137", "drop")
    # Duplicate address detection and group reports come from the unspecified address.
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=143,ipv6_src=::", _go(DELIVER))
    link_local = str(_link_local(mac))
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=135,ipv6_src=::,nd_target={link_local}", _go(DELIVER))
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=133,ipv6_src=::", _go(DELIVER))
    yield from _vouched_v6(sent, mac, link_local)


def _vouched_v6(sent: str, mac: str, source: str) -> Iterator[str]:
    # A router believes who asks for routers, too: it notes the card that the question names for its source.
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=133,ipv6_src={source}", _go(DELIVER))
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=135,ipv6_src=::,nd_target={source}", _go(DELIVER))
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=135,ipv6_src={source},nd_sll={mac}", _go(DELIVER))
    yield _flow(
        SPOOF, 90, f"{sent},icmp6,icmp_type=136,ipv6_src={source},nd_target={source},nd_tll={mac}", _go(DELIVER)
    )
    yield _flow(SPOOF, 90, f"{sent},icmp6,icmp_type=143,ipv6_src={source}", _go(DELIVER))
    # Neighbour messages that claim more than that are not ordinary traffic either.
    yield _flow(SPOOF, 85, f"{sent},icmp6,icmp_type=135", "drop")
    yield _flow(SPOOF, 85, f"{sent},icmp6,icmp_type=136", "drop")
    yield _flow(SPOOF, 80, f"{sent},ipv6,ipv6_src={source}", f"ct(table={OUT},zone={ZONE_BITS})")


def _link_local(mac: str) -> ipaddress.IPv6Address:
    digits = [int(part, 16) for part in mac.split(":")]
    digits[0] ^= 2
    identifier = bytes([*digits[:3], 0xFF, 0xFE, *digits[3:]])
    return ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def _deliver(segment: Segment, numbers: dict[str, int]) -> Iterator[str]:
    wires = [wire for wire in segment.guests if wire.port.admin_up]
    handing = {wire.ofport: _to_guest(wire, numbers) for wire in wires}
    handing |= {service.ofport: _to_anyone(service.ofport) for service in segment.services}
    owners: dict[str, list[int]] = {}
    for service in segment.services:
        owners.setdefault(service.mac.lower(), []).append(service.ofport)
    for wire in wires:
        owners.setdefault(wire.port.mac.lower(), []).append(wire.ofport)
    for mac, ofports in _shared(wires).items():
        owners.setdefault(mac, ofports)
    here = f"{ZONE}={segment.zone:#x}"
    for mac, ofports in owners.items():
        yield _flow(DELIVER, 100, f"{here},dl_dst={mac}", ",".join(handing[ofport] for ofport in ofports))
    way_out = [] if segment.uplink is None else [_to_anyone(segment.uplink)]
    everyone = [handing[ofport] for ofport in sorted(handing)] + way_out
    if everyone:
        yield _flow(DELIVER, 90, f"{here},{GROUP}", ",".join(everyone))
    # Behind an unguarded port may be more MACs than we know of.
    unknown = [handing[wire.ofport] for wire in wires if not wire.port.port_security] + way_out
    if unknown:
        yield _flow(DELIVER, 80, here, ",".join(unknown))


def _shared(wires: list[GuestVif]) -> dict[str, list[int]]:
    """Who may use each further MAC; several may share one, as a virtual router's."""
    users: dict[str, list[int]] = {}
    for wire in wires:
        for mac in dict.fromkeys(mac.lower() for mac, _ in wire.port.allowed_pairs):
            users.setdefault(mac, []).append(wire.ofport)
    return users


def _to_guest(wire: GuestVif, numbers: dict[str, int]) -> str:
    if not wire.port.port_security:
        return _to_anyone(wire.ofport)
    policy = f"set_field:{numbers[wire.port.id]:#x}->{POLICY}"
    return f"set_field:{wire.ofport:#x}->{TO},{policy},{_go(IN)}"


def _to_anyone(ofport: int) -> str:
    return f"set_field:{ofport:#x}->{TO},{_go(HAND_OVER)}"
