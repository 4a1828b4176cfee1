"""What the flow program does to packets: who may say what, whom it reaches, and which replies come back."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_hookspecs.networks import Port, Rule
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp
from novakit_net_ovs.flows import GuestVif, Segment, ServiceVif, check, program

sys.path.insert(0, str(Path(__file__).parent))
from switch import Switch

A, B, STRANGER = 5, 6, 9
DHCP, ROUTER, UPLINK = 2, 3, 1
DHCP_MAC, ROUTER_MAC = "fa:16:3e:00:00:02", "fa:16:3e:00:00:03"
A_IP, B_IP, FAR = "10.1.0.10", "10.1.0.11", "192.0.2.9"
SERVICES = (ServiceVif(ofport=DHCP, mac=DHCP_MAC, dhcp=True), ServiceVif(ofport=ROUTER, mac=ROUTER_MAC))
EVERYONE = "ff:ff:ff:ff:ff:ff"
ALL_NODES = "33:33:00:00:00:01"


@attrs.define
class Net:
    """Two guests with rules of their own on one network, its DHCP server, its router and its way out."""

    a: Port
    b: Port
    switch: Switch = attrs.field(init=False)
    draft: Draft = attrs.field(factory=Draft)

    def __attrs_post_init__(self) -> None:
        self.switch = Switch.of(self._program())

    def _program(self) -> list[str]:
        wires = (GuestVif(ofport=A, port=self.a), GuestVif(ofport=B, port=self.b))
        return program([Segment(zone=7, guests=wires, services=SERVICES, uplink=UPLINK)])

    def change(self, **ports: Port) -> None:
        for name, port in ports.items():
            setattr(self, name, port)
        self.switch.load(self._program())

    def tcp(self, sender: int, source: str, to: str, ports: tuple[int, int], **fields: Any) -> list[int]:
        macs = {A_IP: self.a.mac, B_IP: self.b.mac}
        fields = {"dl_src": macs.get(source, ROUTER_MAC), "dl_dst": macs.get(to, ROUTER_MAC)} | fields
        kind = fields.pop("kind", "tcp")
        return self.switch.send(
            sender, f"ip {kind}", nw_src=source, nw_dst=to, tp_src=ports[0], tp_dst=ports[1], **fields
        )


def net(a: Sequence[Rule] = (), b: Sequence[Rule] = ()) -> Net:
    draft = Draft()
    network = draft.network()
    return Net(draft.port(network, A_IP, a), draft.port(network, B_IP, b), draft=draft)


def test_who_asks_gets_the_reply_and_nobody_else_gets_in() -> None:
    one = net(a=OUT)
    assert one.tcp(A, A_IP, FAR, (4000, 80)) == [ROUTER]
    assert one.tcp(ROUTER, FAR, A_IP, (80, 4000)) == [A], "the reply"
    assert one.tcp(A, A_IP, FAR, (4000, 80)) == [ROUTER], "and what follows it"
    assert one.tcp(ROUTER, FAR, A_IP, (80, 4001)) == [], "no connection of the guest's"
    assert one.tcp(ROUTER, FAR, A_IP, (81, 4000)) == []
    assert one.tcp(B, B_IP, A_IP, (80, 4000)) == []


def test_who_is_asked_replies_and_asks_nobody() -> None:
    one = net(a=[allow_tcp(80)])
    assert one.tcp(A, A_IP, FAR, (80, 4000)) == [], "no reply without a question"
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 80)) == [A]
    assert one.tcp(A, A_IP, FAR, (80, 4000)) == [ROUTER], "the reply"
    assert one.tcp(A, A_IP, FAR, (4000, 80)) == []
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 81)) == []
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 80), kind="udp") == []


def test_both_guests_of_a_connection_must_allow_it() -> None:
    for a, b, passes in ((OUT, [allow_tcp(80)], True), (OUT, OUT, False), ([], [allow_tcp(80)], False)):
        one = net(a, b)
        assert one.tcp(A, A_IP, B_IP, (4000, 80)) == ([B] if passes else [])
        assert one.tcp(B, B_IP, A_IP, (80, 4000)) == ([A] if passes else [])


@pytest.mark.parametrize("remote", [True, False])
def test_a_rule_for_some_remotes_is_for_no_others(remote: bool) -> None:
    inward, outward = (
        allow_tcp(80, remotes=[f"{FAR}/32"]),
        Rule(direction="egress", ethertype="IPv4", protocol=6, port_min=80, port_max=80, remotes=(f"{FAR}/32",)),
    )
    far = FAR if remote else "192.0.2.10"
    assert bool(net(a=[inward]).tcp(ROUTER, far, A_IP, (4000, 80))) is remote
    assert bool(net(a=[outward]).tcp(A, A_IP, far, (4000, 80))) is remote


def test_a_rule_that_goes_cuts_what_it_carried_in_both_directions() -> None:
    one = net(a=[allow_tcp(80)])
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 80)) == [A]
    one.change(a=one.draft.change(one.a, rules=(allow_tcp(81),)))
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 80)) == []
    assert one.tcp(A, A_IP, FAR, (80, 4000)) == []
    one.change(a=one.draft.change(one.a, rules=OUT))
    assert one.tcp(A, A_IP, FAR, (80, 4000)) == [], "a rule of the other direction does not carry it"
    assert one.tcp(ROUTER, FAR, A_IP, (4000, 80)) == []


def test_errors_of_a_connection_come_back_and_strangers_do_not() -> None:
    one = net(a=OUT)
    one.tcp(A, A_IP, FAR, (4000, 80))
    asked = (6, A_IP, FAR, 4000, 80)
    error = {"dl_src": ROUTER_MAC, "dl_dst": one.a.mac, "nw_src": "10.1.0.1", "nw_dst": A_IP, "icmp_type": 3}
    assert one.switch.send(ROUTER, "ip icmp", related=asked, **error) == [A]
    assert one.switch.send(ROUTER, "ip icmp", related=(6, A_IP, FAR, 4001, 80), **error) == []
    assert one.tcp(ROUTER, FAR, A_IP, (80, 4000), invalid=True) == []
    assert one.tcp(A, A_IP, FAR, (4000, 80), invalid=True) == []


def test_errors_go_out_for_what_was_let_in() -> None:
    one = net(a=[allow_tcp(80)])
    one.tcp(ROUTER, FAR, A_IP, (4000, 80))
    error = {"dl_src": one.a.mac, "dl_dst": ROUTER_MAC, "nw_src": A_IP, "nw_dst": FAR, "icmp_type": 3}
    assert one.switch.send(A, "ip icmp", related=(6, FAR, A_IP, 4000, 80), **error) == [ROUTER]
    assert one.switch.send(A, "ip icmp", **error) == []


def test_metadata_is_asked_whatever_the_rules_and_nothing_else_of_that_address() -> None:
    one, metadata = net(), "169.254.169.254"
    assert one.tcp(A, A_IP, metadata, (4000, 80)) == [ROUTER]
    assert one.tcp(ROUTER, metadata, A_IP, (80, 4000)) == [A]
    assert one.tcp(A, A_IP, metadata, (4000, 81)) == []
    assert one.tcp(A, A_IP, metadata, (4000, 80), kind="udp") == []
    assert one.tcp(A, A_IP, "169.254.169.253", (4000, 80)) == []


V4 = {"dl_dst": ROUTER_MAC, "nw_dst": FAR, "tp_src": 4000, "tp_dst": 80}
ARP = {"dl_dst": EVERYONE, "arp_op": 1}
V6 = {"dl_dst": ALL_NODES, "ipv6_dst": "ff02::1"}


def claims(mac: str, link_local: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Everything a guest says of itself, each true; its lies differ in one word."""
    nd = {**V6, "dl_src": mac}
    return {
        "ip": ("ip tcp", {**V4, "dl_src": mac, "nw_src": A_IP}),
        "arp": ("arp", {**ARP, "dl_src": mac, "arp_sha": mac, "arp_spa": A_IP}),
        "arp probe": ("arp", {**ARP, "dl_src": mac, "arp_sha": mac, "arp_spa": "0.0.0.0"}),
        "ipv6": ("ipv6 tcp6", {**nd, "dl_dst": ROUTER_MAC, "ipv6_src": link_local, "tp_src": 4000, "tp_dst": 80}),
        "solicitation": (
            "ipv6 icmp6",
            {**nd, "icmp_type": 135, "ipv6_src": link_local, "nd_target": "fe80::9", "nd_sll": mac},
        ),
        "detection": ("ipv6 icmp6", {**nd, "icmp_type": 135, "ipv6_src": "::", "nd_target": link_local}),
        "advertisement": (
            "ipv6 icmp6",
            {**nd, "icmp_type": 136, "ipv6_src": link_local, "nd_target": link_local, "nd_tll": mac},
        ),
        "discover": (
            "ip udp",
            {
                **V4,
                "dl_src": mac,
                "dl_dst": EVERYONE,
                "nw_src": "0.0.0.0",
                "nw_dst": "255.255.255.255",
                "tp_src": 68,
                "tp_dst": 67,
            },
        ),
        "renewal": (
            "ip udp",
            {**V4, "dl_src": mac, "dl_dst": DHCP_MAC, "nw_src": A_IP, "nw_dst": "10.1.0.2", "tp_src": 68, "tp_dst": 67},
        ),
        "report": ("ipv6 icmp6", {**nd, "icmp_type": 143, "ipv6_src": link_local}),
        "router wanted": ("ipv6 icmp6", {**nd, "icmp_type": 133, "ipv6_src": link_local}),
        "router wanted early": ("ipv6 icmp6", {**nd, "icmp_type": 133, "ipv6_src": "::"}),
    }


def link_local(mac: str) -> str:
    digits = [int(part, 16) for part in mac.split(":")]
    words = [digits[0] ^ 2, *digits[1:3], 0xFF, 0xFE, *digits[3:]]
    return "fe80::" + ":".join(f"{high:02x}{low:02x}" for high, low in zip(words[::2], words[1::2], strict=True))


LIES = [
    ("ip", {"nw_src": B_IP}),
    ("ip", {"nw_src": "0.0.0.0"}),
    ("ip", {"dl_src": "of b"}),
    ("ip", {"dl_src": "fa:16:3e:99:99:99"}),
    ("ip", {"vlan_tci": 0x1005}),
    ("arp", {"arp_spa": B_IP}),
    ("arp", {"arp_sha": "of b"}),
    ("arp", {"dl_src": "of b"}),
    ("arp", {"dl_src": "of b", "arp_sha": "of b"}),
    ("arp probe", {"arp_sha": "of b"}),
    ("arp probe", {"arp_op": 2}),
    ("ipv6", {"ipv6_src": "fe80::1"}),
    ("ipv6", {"ipv6_src": "2001:db8::1"}),
    ("ipv6", {"ipv6_src": "::"}),
    ("ipv6", {"dl_src": "of b"}),
    ("solicitation", {"ipv6_src": "fe80::1"}),
    ("solicitation", {"nd_sll": "of b"}),
    ("detection", {"nd_target": "fe80::1"}),
    ("advertisement", {"nd_target": "fe80::1"}),
    ("advertisement", {"nd_tll": "of b"}),
    ("advertisement", {"ipv6_src": "fe80::1"}),
    ("advertisement", {"icmp_type": 134}),
    ("advertisement", {"icmp_type": 137}),
    ("discover", {"tp_src": 67, "tp_dst": 68}),
    ("discover", {"nw_dst": B_IP}),
    ("discover", {"dl_src": "of b"}),
    ("renewal", {"tp_src": 67, "tp_dst": 68}),
    ("renewal", {"nw_src": B_IP}),
    ("report", {"ipv6_src": "fe80::1"}),
    ("router wanted", {"ipv6_src": "fe80::1"}),
    ("router wanted", {"ipv6_src": "2001:db8::1"}),
    ("router wanted", {"dl_src": "of b"}),
    ("router wanted early", {"dl_src": "of b"}),
]


@pytest.mark.parametrize("claim", dict.fromkeys([claim for claim, _ in LIES]))
def test_a_guest_may_say_what_is_true(claim: str) -> None:
    one = net(a=OUT)
    kinds, fields = claims(one.a.mac, link_local(one.a.mac))[claim]
    assert one.switch.send(A, kinds, **fields)


@pytest.mark.parametrize(("claim", "lie"), LIES, ids=lambda value: str(value))
def test_no_lie_of_a_guest_reaches_anybody(claim: str, lie: dict[str, Any]) -> None:
    everything = tuple(
        Rule(direction=way, ethertype=kind) for way in ("egress", "ingress") for kind in ("IPv4", "IPv6")
    )
    one = net(a=everything, b=everything)
    kinds, fields = claims(one.a.mac, link_local(one.a.mac))[claim]
    lie = {name: one.b.mac if value == "of b" else value for name, value in lie.items()}
    assert one.switch.send(A, kinds, **fields | lie) == []


def test_dhcpv6_servers_and_routers_are_ours_alone() -> None:
    everything = (*OUT, Rule(direction="ingress", ethertype="IPv6"))
    one = net(a=everything, b=everything)
    own = {**V6, "dl_src": one.a.mac, "ipv6_src": link_local(one.a.mac)}
    assert one.switch.send(A, "ipv6 udp6", **own, tp_src=547, tp_dst=546) == []
    assert A in one.switch.send(ROUTER, "ipv6 icmp6", **V6, dl_src=ROUTER_MAC, ipv6_src="fe80::3", icmp_type=134)
    offer = {"dl_src": DHCP_MAC, "nw_src": "10.1.0.2", "nw_dst": A_IP, "tp_src": 67, "tp_dst": 68}
    closed = net()
    assert closed.switch.send(DHCP, "ip udp", **offer, dl_dst=closed.a.mac) == [A], "whatever the rules"
    assert closed.switch.send(ROUTER, "ip udp", **offer, dl_dst=closed.a.mac) == [], "of the DHCP server alone"


def test_an_allowed_pair_may_be_used_and_no_other_pair_of_the_two() -> None:
    one = net(a=OUT)
    other = "02:00:00:00:00:01"
    one.change(a=one.draft.change(one.a, allowed_pairs=((other, "10.9.0.0/16"),)))
    assert one.tcp(A, "10.9.1.2", FAR, (1, 2), dl_src=other) == [ROUTER]
    assert one.tcp(A, "10.8.1.2", FAR, (1, 2), dl_src=other) == []
    assert one.tcp(A, "10.9.1.2", FAR, (1, 2), dl_src=one.a.mac) == []
    assert one.tcp(A, A_IP, FAR, (1, 2), dl_src=other) == []


def test_networks_do_not_hear_of_each_other() -> None:
    draft = Draft()
    here, there = draft.network("10.1.0"), draft.network("10.2.0")
    a, c = draft.port(here, A_IP, OUT), draft.port(there, "10.2.0.10", [PING, *OUT])
    switch = Switch.of(
        program(
            [
                Segment(zone=7, guests=(GuestVif(ofport=A, port=a),), uplink=UPLINK),
                Segment(zone=8, guests=(GuestVif(ofport=STRANGER, port=c),)),
            ]
        )
    )
    ping = {"dl_src": a.mac, "nw_src": A_IP, "nw_dst": "10.2.0.10", "icmp_type": 8}
    assert switch.send(A, "ip icmp", **ping, dl_dst=c.mac) == [UPLINK], "a stranger's address, for the way out alone"
    assert switch.send(A, "arp", **ARP, dl_src=a.mac, arp_sha=a.mac, arp_spa=A_IP) == [UPLINK]
    fields = {"nw_src": A_IP, "nw_dst": "10.2.0.10", "tp_src": 1, "tp_dst": 2, "dl_src": a.mac}
    assert switch.send(A, "ip tcp", **fields, dl_dst=ROUTER_MAC) == [UPLINK]
    assert {each.zone for each in switch.connections} == {7}
    reply = {"nw_src": "10.2.0.10", "nw_dst": A_IP, "tp_src": 2, "tp_dst": 1, "dl_src": c.mac, "dl_dst": a.mac}
    assert switch.send(STRANGER, "ip tcp", **reply) == []


def test_multicast_reaches_whom_the_rules_let_it_and_never_its_sender() -> None:
    one = net(a=OUT)
    asking = {**ARP, "dl_src": one.a.mac, "arp_sha": one.a.mac, "arp_spa": A_IP}
    assert one.switch.send(A, "arp", **asking) == [UPLINK, DHCP, ROUTER, B]
    loud = {"dl_src": one.a.mac, "dl_dst": EVERYONE, "nw_src": A_IP, "nw_dst": "10.1.0.255", "tp_src": 1, "tp_dst": 2}
    assert one.switch.send(A, "ip udp", **loud) == [UPLINK, DHCP, ROUTER], "B lets nothing in"


def test_what_one_guest_lets_in_reaches_no_other_one_that_does_not() -> None:
    draft = Draft()
    network = draft.network()
    inward = [Rule(direction="ingress", ethertype="IPv4")]
    rules = {A: OUT, B: inward, STRANGER: (), STRANGER + 1: inward}
    ports = {ofport: draft.port(network, f"10.1.0.{10 + ofport}", own) for ofport, own in rules.items()}
    wires = tuple(GuestVif(ofport=ofport, port=port) for ofport, port in ports.items())
    switch = Switch.of(program([Segment(zone=7, guests=wires)]))
    loud = {"dl_src": ports[A].mac, "dl_dst": EVERYONE, "nw_src": "10.1.0.15", "nw_dst": "10.1.0.255"}
    assert switch.send(A, "ip udp", **loud, tp_src=1, tp_dst=2) == [B, STRANGER + 1]


def test_a_guest_whose_card_is_open_plays_no_ipv6_router_either() -> None:
    everything = (*OUT, Rule(direction="ingress", ethertype="IPv6"))
    one = net(a=everything, b=everything)
    one.change(a=one.draft.change(one.a, port_security=False))
    said = {**V6, "dl_src": one.a.mac, "ipv6_src": link_local(one.a.mac)}
    assert B in one.switch.send(A, "ipv6 udp6", **said, tp_src=1, tp_dst=2)
    assert B not in one.switch.send(A, "ipv6 icmp6", **said, icmp_type=134)


@pytest.mark.parametrize("claim", ["arp", "arp probe", "discover", "renewal", "solicitation", "detection", "report"])
def test_what_a_guest_needs_to_get_an_address_asks_no_rules(claim: str) -> None:
    one = net()
    kinds, fields = claims(one.a.mac, link_local(one.a.mac))[claim]
    assert one.switch.send(A, kinds, **fields)
    for source in ("::", link_local(one.a.mac)):
        asking = {**V6, "dl_src": one.a.mac, "ipv6_src": source, "icmp_type": 133}
        assert ROUTER in one.switch.send(A, "ipv6 icmp6", **asking), "where is a router?"
    joining = {**V6, "dl_src": one.a.mac, "ipv6_src": "::", "icmp_type": 143}
    assert ROUTER in one.switch.send(A, "ipv6 icmp6", **joining)


@pytest.mark.parametrize("kind", [130, 135, 136])
def test_neighbours_are_heard_whatever_the_rules(kind: int) -> None:
    one = net()
    said = {**V6, "dl_src": ROUTER_MAC, "ipv6_src": "fe80::3"}
    assert A in one.switch.send(ROUTER, "ipv6 icmp6", **said, icmp_type=kind)
    assert A not in one.switch.send(ROUTER, "ipv6 icmp6", **said, icmp_type=128)


def test_an_ipv6_address_of_a_guests_own_is_its_own_alone() -> None:
    one = net(a=OUT)
    own = "2001:db8::a"
    one.change(a=one.draft.change(one.a, allowed_pairs=((one.a.mac, own),)))
    asked = {**V6, "dl_src": one.a.mac, "ipv6_src": "::", "icmp_type": 135}
    assert one.switch.send(A, "ipv6 icmp6", **asked, nd_target=own)
    assert not one.switch.send(A, "ipv6 icmp6", **asked, nd_target="2001:db8::b")
    said = {**V6, "dl_src": one.a.mac, "ipv6_src": own, "icmp_type": 136, "nd_tll": one.a.mac}
    assert one.switch.send(A, "ipv6 icmp6", **said, nd_target=own)
    assert not one.switch.send(A, "ipv6 icmp6", **said, nd_target="2001:db8::b")


def test_what_comes_from_outside_meets_the_rules_too() -> None:
    one = net(a=[allow_tcp(80)])
    assert one.tcp(UPLINK, FAR, A_IP, (4000, 80)) == [A]
    assert one.tcp(UPLINK, FAR, B_IP, (4000, 80)) == []
    assert A in one.switch.send(UPLINK, "ipv6 icmp6", **V6, dl_src=ROUTER_MAC, ipv6_src="fe80::3", icmp_type=134)


def test_a_tag_of_a_guests_own_is_dropped_on_a_network_without_a_way_out_too() -> None:
    draft = Draft()
    port = draft.port(draft.network(), A_IP, OUT)
    switch = Switch.of(program([Segment(zone=7, guests=(GuestVif(ofport=A, port=port),), services=SERVICES)]))
    fields = {**V4, "dl_src": port.mac, "nw_src": A_IP}
    assert switch.send(A, "ip tcp", **fields) == [ROUTER]
    assert switch.send(A, "ip tcp", **fields, vlan_tci=0x1005) == []


def test_a_further_mac_reaches_all_who_may_use_it() -> None:
    one = net(a=[allow_tcp(80)], b=[allow_tcp(80)])
    shared = "02:00:00:00:00:01"
    pair = ((shared, "10.9.0.1"),)
    one.change(a=one.draft.change(one.a, allowed_pairs=pair), b=one.draft.change(one.b, allowed_pairs=pair))
    assert one.tcp(ROUTER, FAR, "10.9.0.1", (4000, 80), dl_dst=shared) == [A, B]
    one.change(b=one.draft.change(one.b, allowed_pairs=()))
    assert one.tcp(ROUTER, FAR, "10.9.0.1", (4001, 80), dl_dst=shared) == [A]


def test_addresses_and_rules_that_make_no_sense_are_named_before_anything_is_done() -> None:
    draft = Draft()
    port = draft.port(draft.network(), A_IP, OUT)
    check(port)
    with pytest.raises(ValueError, match=r"10\.9\.0\.300"):
        check(draft.change(port, allowed_pairs=((port.mac, "10.9.0.300"),)))
    odd = Rule(direction="ingress", ethertype="IPv4", protocol=112, port_min=1, port_max=2)
    with pytest.raises(ValueError, match="112 has no ports"):
        check(draft.change(port, allowed_pairs=(), rules=(odd,)))
