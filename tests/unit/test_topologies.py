"""Topologies as messages."""

import orjson
import pytest

from novakit.bus import topologies
from novakit_hookspecs.networks import Address, Network, Port, Rule, Subnet, Topology

NETWORK, SUBNET = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
MEMBERS = tuple(f"10.0.{number >> 8}.{number & 255}/32" for number in range(500))
RULES = (Rule(direction="ingress", ethertype="IPv4", remotes=MEMBERS), Rule(direction="egress", ethertype="IPv6"))


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
    return Topology(revision=9, networks=(network,), ports=ports)


def test_a_topology_crosses_the_bus_unchanged() -> None:
    assert topologies.read(orjson.loads(orjson.dumps(topologies.write(_topology())))) == _topology()


def test_rules_that_ports_share_are_sent_once_and_stay_shared() -> None:
    message = orjson.dumps(topologies.write(_topology()))
    assert message.count(MEMBERS[-1].encode()) == 1
    ports = topologies.read(orjson.loads(message)).ports
    assert ports[0].rules is ports[24].rules


def test_an_empty_topology_is_one_too() -> None:
    assert topologies.read(topologies.write(Topology(revision=3))) == Topology(revision=3)


@pytest.mark.parametrize("broken", [{"revision": 1}, {"revision": 1, "rules": [], "ports": [{"rules": 4}]}])
def test_what_is_no_topology_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError, LookupError)):
        topologies.read(broken)
