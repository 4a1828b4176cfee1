"""Topologies as messages."""

import random
from typing import Any

import attrs
import orjson
import pytest

from novakit.bus import topologies
from novakit.bus.topologies import NextTopology
from novakit_hookspecs.networks import Address, AddressGroup, Lease, Network, Port, Router, Rule, Subnet, Topology

NETWORK, SUBNET = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
MEMBERS = tuple(f"10.0.{number >> 8}.{number & 255}/32" for number in range(500))
GROUPS = tuple(AddressGroup(id=f"00000000-0000-4000-c000-{n:012}", members=MEMBERS[n:]) for n in range(4))
RULES = (
    Rule(direction="ingress", ethertype="IPv4", remotes=("192.0.2.9/32",), remote_group=GROUPS[0].id),
    Rule(direction="egress", ethertype="IPv6"),
)


def _port(number: int, rules: tuple[Rule, ...]) -> Port:
    return Port(
        id=f"00000000-0000-4000-8000-{number:012}",
        network_id=NETWORK,
        server_id=f"00000000-0000-4000-9000-{number:012}",
        mac=f"fa:16:3e:00:00:{number:02x}",
        addresses=(Address(ip=f"10.0.0.{number}", subnet_id=SUBNET),),
        allowed_pairs=(("fa:16:3e:00:00:01", "10.1.0.0/16"),),
        rules=rules,
    )


def _topology() -> Topology:
    network = Network(id=NETWORK, segment=7, mtu=1442, subnets=(Subnet(id=SUBNET, cidr="10.0.0.0/16"),))
    ports = (*(_port(number, RULES) for number in range(25)), _port(77, ()), _port(78, RULES[1:]))
    return Topology(revision=9, networks=(network,), ports=ports, groups=GROUPS)


def test_a_topology_crosses_the_bus_unchanged() -> None:
    assert topologies.read(orjson.loads(orjson.dumps(topologies.write(_topology())))) == _topology()


def test_rules_that_ports_share_are_sent_once_and_stay_shared() -> None:
    message = orjson.dumps(topologies.write(_topology()))
    assert message.count(b"192.0.2.9/32") == 1
    ports = topologies.read(orjson.loads(message)).ports
    assert ports[0].rules is ports[24].rules


def test_an_empty_topology_is_one_too() -> None:
    assert topologies.read(topologies.write(Topology(revision=3))) == Topology(revision=3)


@pytest.mark.parametrize("broken", [{"revision": 1}, {"revision": 1, "rules": [], "ports": [{"rules": 4}]}])
def test_what_is_no_topology_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError, LookupError)):
        topologies.read(broken)


def _crossed(next: NextTopology) -> Topology:
    plain = orjson.loads(orjson.dumps(topologies.write_change(next)))
    return topologies.changed(next.before, topologies.read_change(plain))


@pytest.mark.parametrize("seed", range(20))
def test_what_comes_next_crosses_the_bus_as_what_changed_whatever_changed(seed: int) -> None:
    chance = random.Random(seed)
    some = _topology()
    routers = tuple(
        Router(id=f"00000000-0000-4000-a000-{n:012}", interfaces=(), routes=(("10.0.0.0/8", f"10.0.0.{n}"),))
        for n in range(4)
    )
    leases = tuple(
        Lease(port_id=port.id, mac=port.mac, ip=address.ip, hostname="h")
        for port in some.ports
        for address in port.addresses
    )
    networks = tuple(
        attrs.evolve(some.networks[0], id=f"00000000-0000-4000-b000-{n:012}", leases=leases[n:]) for n in range(4)
    )
    before = Topology(revision=1, ports=some.ports, networks=networks, routers=routers, groups=GROUPS)
    rules = (RULES, RULES[:1], (*RULES, *RULES[:1]))
    for revision in range(2, 30):
        ports = [
            attrs.evolve(port, rules=chance.choice(rules)) if chance.random() < 0.3 else port
            for port in before.ports
            if chance.random() < 0.9
        ]
        missing = [port for port in some.ports if port.id not in {each.id for each in ports}]
        for port in chance.sample(missing, len(missing) // 2):
            ports.insert(chance.randrange(len(ports) + 1), attrs.evolve(port, mac=f"fa:16:3e:00:00:{revision:02x}"))
        networks = tuple(
            attrs.evolve(each, leases=_leases(each.leases, leases, chance)) if chance.random() < 0.5 else each
            for each in networks
        )
        groups = tuple(
            attrs.evolve(each, members=_members(each.members, chance)) if chance.random() < 0.5 else each
            for each in (*before.groups, *(each for each in GROUPS if chance.random() < 0.1))
            if chance.random() < 0.9
        )
        now = Topology(
            revision=revision,
            groups=tuple({each.id: each for each in groups}.values()),
            ports=tuple(chance.sample(ports, len(ports)) if chance.random() < 0.2 else ports),
            networks=tuple(each for each in networks if chance.random() < 0.8),
            routers=tuple(chance.sample(routers, 3)),
        )
        if chance.random() < 0.3:
            now = attrs.evolve(before, revision=revision, groups=now.groups)
        made = _crossed(NextTopology("mark", before, now))
        assert made == now
        for name in ("networks", "ports", "routers", "groups"):
            if getattr(now, name) is getattr(before, name):
                assert getattr(made, name) is getattr(before, name)
        before = now


def _leases(before: tuple[Lease, ...], known: tuple[Lease, ...], chance: random.Random) -> tuple[Lease, ...]:
    """Return others: now and then most are, mostly one or two are there or not, and sometimes one has another name."""
    if chance.random() < 0.3:
        return tuple(chance.sample(known, 9))
    leases = {each.ip: each for each in before}
    for each in chance.sample(known, 2):
        if chance.random() < 0.3:
            leases[each.ip] = attrs.evolve(each, hostname="other")
        elif leases.pop(each.ip, None) is None:
            leases[each.ip] = each
    return tuple(leases.values())


def _members(before: tuple[str, ...], chance: random.Random) -> tuple[str, ...]:
    """Return others, some of them equal texts of their own, and some there twice, as on two networks of one range."""
    stays = chance.choice((0.9, 0.9, 1.0))
    members = ["".join([each]) if stays < 1 else each for each in before if chance.random() < stays]
    for number in range(chance.randrange(3)):
        new = chance.choice((f"10.9.{chance.randrange(256)}.{number}/32", *members[:3], *members[-3:]))
        members.insert(chance.randrange(len(members) + 1), new)
    if members and chance.random() < 0.3:
        del members[chance.randrange(len(members))]
    return tuple(chance.sample(members, len(members)) if chance.random() < 0.2 else members)


def test_of_ports_with_other_rules_alone_nothing_but_the_rules_is_written_and_once() -> None:
    before = _topology()
    other = (*RULES, Rule(direction="ingress", ethertype="IPv4", protocol=1))
    ports = tuple(attrs.evolve(port, rules=other) if port.rules is RULES else port for port in before.ports)
    next = NextTopology("mark", before, attrs.evolve(before, revision=10, ports=ports))
    message = orjson.dumps(topologies.write_change(next))
    assert message.count(b"192.0.2.9/32") == 1 and before.ports[0].mac.encode() not in message
    made = _crossed(next)
    assert made == next.now
    assert made.ports[0].rules is made.ports[24].rules and made.ports[0].addresses is before.ports[0].addresses
    assert made.ports[25] is before.ports[25] and made.networks is before.networks


def test_of_a_group_with_another_member_nothing_but_the_member_is_written_and_nothing_else_is_another() -> None:
    before = _topology()
    for members in ((*MEMBERS[:7], "10.9.0.1/32", *MEMBERS[7:]), MEMBERS[1:]):
        groups = (attrs.evolve(GROUPS[0], members=members), *GROUPS[1:])
        next = NextTopology("mark", before, attrs.evolve(before, revision=10, groups=groups))
        message = orjson.dumps(topologies.write_change(next))
        assert message.count(b"/32") == 1 and len(message) < 500
        made = _crossed(next)
        assert made == next.now and made.groups[1] is before.groups[1]
        assert made.networks is before.networks and made.ports is before.ports


def test_the_members_of_a_group_are_compared_once_for_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[object] = []
    real = topologies._differences

    def differences(before: tuple[object, ...], *rest: Any) -> object:
        compared.extend(each for each in before if isinstance(each, str))
        return real(before, *rest)

    monkeypatch.setattr(topologies, "_differences", differences)
    group = attrs.evolve(GROUPS[0], members=(*MEMBERS, "10.9.0.1/32"))
    for revision in range(3):
        before = attrs.evolve(_topology(), revision=revision, groups=GROUPS[:1])
        next = NextTopology("mark", before, attrs.evolve(before, revision=10, groups=(group,)))
        assert _crossed(next) == next.now
    assert len(compared) == len(MEMBERS)


def test_of_a_network_with_another_lease_nothing_but_the_lease_is_written() -> None:
    network = attrs.evolve(
        _topology().networks[0],
        leases=tuple(
            Lease(port_id=_port(n, ()).id, mac=f"fa:16:3e:00:00:{n:02x}", ip=f"10.0.0.{n}", hostname=f"name-{n}")
            for n in range(50)
        ),
    )
    before = Topology(revision=1, networks=(network,))
    fewer = attrs.evolve(network, leases=(*network.leases[:7], *network.leases[8:]))
    for next in (
        NextTopology("mark", before, Topology(revision=2, networks=(fewer,))),
        NextTopology("mark", Topology(revision=2, networks=(fewer,)), before),
    ):
        message = orjson.dumps(topologies.write_change(next))
        assert message.count(b"name-") <= 1 and b"segment" not in message
        assert _crossed(next) == next.now


def test_within_a_process_what_comes_next_is_handed_over_as_it_is() -> None:
    next = NextTopology("mark", Topology(revision=1), _topology())
    assert topologies.changed(next.before, next) is next.now and next.revision == 9
