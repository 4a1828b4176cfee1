"""The flow program: computed from the wanted state alone, each flow once, nothing that lets a lie through."""

import re
from collections.abc import Sequence

from novakit_hookspecs.networks import Port, Rule
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp
from novakit_net_ovs.flows import GuestVif, Segment, ServiceVif, program


def table(flows: Sequence[str], number: int) -> list[str]:
    return [flow for flow in flows if flow.startswith(f"table={number},")]


def segment(*ports: Port, **values: object) -> Segment:
    wires = tuple(GuestVif(ofport=number, port=port) for number, port in enumerate(ports, start=5))
    return Segment(**{"zone": 7, "guests": wires} | values)


def drawn(count: int = 1, rules: Sequence[Rule] = OUT) -> tuple[Draft, list[Port]]:
    draft = Draft()
    network = draft.network()
    return draft, [draft.port(network, f"10.1.0.{10 + number}", rules) for number in range(count)]


def test_the_program_is_sorted_and_each_match_is_there_once() -> None:
    _, ports = drawn(3, (*OUT, PING, allow_tcp(1, 1000)))
    flows = program([segment(*ports, services=(ServiceVif(ofport=2, mac="fa:16:3e:00:00:02", dhcp=True),))])
    assert flows == sorted(flows)
    heads = [flow.split(" actions=")[0] for flow in flows]
    assert len(set(heads)) == len(heads), "two flows with one match: which of them counts would be chance"


def test_ports_with_the_same_rules_share_them() -> None:
    _, few = drawn(1, (*OUT, allow_tcp(1, 1000)))
    _, many = drawn(20, (*OUT, allow_tcp(1, 1000)))
    assert len(table(program([segment(*few)]), 31)) == len(table(program([segment(*many)]), 31))


def test_a_member_more_of_a_group_is_a_flow_more_for_each_policy_and_nothing_else() -> None:
    draft = Draft()
    group, network = draft.group("10.1.0.11/32"), draft.network()
    ports = [
        draft.port(network, f"10.1.0.{number}", (*OUT, allow_tcp(80, group=group), *more))
        for number, more in ((11, ()), (12, ()), (13, (PING,)))
    ]
    before = program([segment(*ports)], {group.id: ("10.1.0.11/32",)})
    after = program([segment(*ports)], {group.id: ("10.1.0.11/32", "10.1.0.14/32", "fd00::14/128")})
    new = sorted({*after} - {*before})
    assert not {*before} - {*after}
    assert len(new) == 2 and all("ct_nw_src=10.1.0.14/32" in flow for flow in new)


def test_nothing_is_learned_and_nothing_falls_back_to_a_learning_switch() -> None:
    _, ports = drawn(2)
    text = "\n".join(program([segment(*ports, uplink=1)]))
    assert not re.search(r"NORMAL|FLOOD|learn|ALL\b", text)


def test_a_port_that_is_down_has_no_flow_at_all() -> None:
    draft, (port,) = drawn()
    down = draft.change(port, admin_up=False)
    assert program([segment(down)]) == program([Segment(zone=7)])


def test_every_way_out_of_a_secure_port_names_its_mac() -> None:
    _, (port,) = drawn()
    assert all(port.mac in flow for flow in table(program([segment(port)]), 10))


def test_an_open_port_goes_straight_to_delivery_and_hears_unknown_unicast() -> None:
    draft, (port,) = drawn()
    flows = program([segment(draft.change(port, port_security=False))])
    assert "table=0,priority=100,in_port=5 actions=set_field:0x7->reg6,resubmit(,60)" in flows
    assert "table=60,priority=80,reg6=0x7 actions=set_field:0x5->reg7,resubmit(,80)" in flows


def test_tags_of_a_guest_never_leave_for_a_physical_network() -> None:
    draft, (port,) = drawn()
    flows = program([segment(draft.change(port, port_security=False), uplink=1)])
    assert "table=0,priority=110,in_port=5,vlan_tci=0x1000/0x1000 actions=drop" in flows


def test_a_mac_belongs_to_its_port_before_anybody_with_an_allowed_pair() -> None:
    draft, (owner, thief) = drawn(2)
    thief = draft.change(thief, allowed_pairs=((owner.mac, "10.1.0.10"),))
    flows = program([segment(owner, thief)])
    (delivery,) = [flow for flow in table(flows, 60) if f"dl_dst={owner.mac} " in flow]
    assert "set_field:0x5->reg7" in delivery
    assert "set_field:0x6->reg7" not in delivery


def test_upper_case_macs_are_the_same_macs() -> None:
    draft, (port,) = drawn()
    assert program([segment(draft.change(port, mac=port.mac.upper()))]) == program([segment(port)])


def test_the_dhcp_server_alone_may_answer_as_one() -> None:
    services = (
        ServiceVif(ofport=2, mac="fa:16:3e:00:00:02", dhcp=True),
        ServiceVif(ofport=3, mac="fa:16:3e:00:00:03"),
    )
    flows = program([Segment(zone=7, services=services)])
    marks = {
        int(port): int(mark, 16) for port, mark in re.findall(r"in_port=(\d+) .*set_field:(0x\w+)/", "\n".join(flows))
    }
    assert marks == {2: 0x6, 3: 0x4}
