"""The plan: what a topology means here, and what cannot be is a fault of that one thing."""

import attrs
import pytest

from novakit_hookspecs.networks import Lease, Port
from novakit_hookspecs.testing.topologies import OUT, Draft, allow_tcp, new_id
from novakit_net_linux import names
from novakit_net_ovs import plan

BRIDGES = {"public": "br-ex"}


def test_names_fit_and_are_recognised() -> None:
    port_id, network_id = new_id(), new_id()
    assert len(names.tap(port_id)) == 15
    assert names.is_tap(names.tap(port_id))
    assert not names.is_tap("tap01234567-89")
    assert names.is_service(names.device(names.ROUTER, port_id))
    assert not names.is_service("qr-01234567-89"), "another network service calls its devices so"
    assert names.namespace_owner(names.dhcp_namespace(network_id)) == network_id
    assert names.namespace_owner("nkd-") is None
    assert names.namespace_owner("qrouter-" + network_id) is None


def test_a_plan_with_other_members_has_their_flows_and_there_is_none_for_members_that_make_no_sense() -> None:
    draft = Draft()
    group = draft.group("10.1.0.11/32")
    port = draft.port(draft.network(), "10.1.0.12", (*OUT, allow_tcp(80, group=group)))
    made, ofports = plan.make(draft.topology(), BRIDGES), {names.tap(port.id): 5}
    draft.regroup(group, "10.1.0.14/32")
    joined = made.joined(draft.topology().groups)
    assert joined is not None and made.groups == {group.id: ("10.1.0.11/32",)}
    assert joined.flows(ofports, "br-int") == plan.make(draft.topology(), BRIDGES).flows(ofports, "br-int")
    assert joined.flows(ofports, "br-int") != made.flows(ofports, "br-int")
    draft.regroup(group, "nonsense")
    assert made.joined(draft.topology().groups) is None and made.joined(()) is None


def test_each_bad_thing_is_its_own_fault() -> None:
    draft = Draft()
    network = draft.network()
    good = draft.port(network, "10.1.0.11")
    bad = [draft.port(network, "10.1.0.12"), draft.port(network, "10.1.0.13")]
    draft.change(bad[0], addresses=(attrs.evolve(bad[0].addresses[0], ip="10.1.0.12,actions=NORMAL"),))
    draft.change(bad[1], allowed_pairs=(("not a mac", "10.1.0.1"),))
    orphan = Port(id=new_id(), network_id=new_id(), server_id=new_id(), mac="fa:16:3e:00:00:01", rules=OUT)
    draft.ports[orphan.id] = orphan
    lost = draft.router([draft.network("10.9.0")])
    del draft.networks[lost.interfaces[0].network_id]
    elsewhere = draft.network("10.8.0", physical_network="moon")
    made = plan.make(draft.topology(), BRIDGES)
    assert set(made.faults) == {*(port.id for port in bad), orphan.id, lost.id, elsewhere.id}
    assert set(made.ports) == {good.id}
    assert "bridge_mappings" in made.faults[elsewhere.id]
    assert {bridge_port.owner for bridge_port in made.bridge_ports.values()} == {good.id, network.id}


@pytest.mark.parametrize(("mtu", "possible"), [(67, False), (68, True), (65521, True), (65522, False)])
def test_an_mtu_that_no_device_takes_costs_its_own_network_alone(mtu: int, possible: bool) -> None:
    draft = Draft()
    odd, plain = draft.network("10.1.0", mtu=mtu), draft.network("10.2.0")
    ports = draft.port(odd, "10.1.0.11"), draft.port(plain, "10.2.0.11")
    made = plan.make(draft.topology(), BRIDGES)
    assert set(made.ports) == {port.id for port in (ports if possible else ports[1:])}
    assert set(made.faults) == (set() if possible else {odd.id, ports[0].id})
    assert possible or f"an MTU of {mtu} is not possible" in made.faults[ports[0].id]


def test_two_ports_whose_devices_would_have_one_name_are_told_apart() -> None:
    draft = Draft()
    network = draft.network(dhcp=False)
    one = draft.port(network, "10.1.0.11")
    twin = attrs.evolve(one, id=one.id[:-12] + "000000000000")
    draft.ports[twin.id] = twin
    made = plan.make(draft.topology(), BRIDGES)
    assert len(made.ports) == 1
    assert set(made.faults) == {one.id, twin.id} - set(made.ports)


def test_a_bridge_carries_one_network() -> None:
    draft = Draft()
    first = draft.network("203.0.113", physical_network="public")
    second = draft.network("198.51.100", physical_network="public")
    made = plan.make(draft.topology(), BRIDGES)
    assert set(made.faults) == {second.id}
    assert made.uplinks == {first.id: "br-ex"}
    assert made.outside == {"br-ex": "203.0.113.1/24"}


def test_zones_are_stable_and_different() -> None:
    draft = Draft()
    networks = [draft.network() for _ in range(3)]
    draft.networks[networks[2].id] = attrs.evolve(networks[2], segment=networks[0].segment + 65535)
    made = plan.make(draft.topology(), BRIDGES)
    assert len(set(made.zones.values())) == 3
    del draft.networks[networks[2].id]
    fewer = plan.make(draft.topology(), BRIDGES)
    assert all(made.zones[key] == zone for key, zone in fewer.zones.items())


def test_what_is_dropped_later_takes_its_plugs_along() -> None:
    draft = Draft()
    network = draft.network()
    port = draft.port(network, "10.1.0.11")
    made = plan.make(draft.topology(), BRIDGES)
    made.drop(network.id, "no namespace")
    assert made.dhcp_networks() == []
    assert [bridge_port.owner for bridge_port in made.bridge_ports.values()] == [port.id]


def test_nonsense_for_the_dhcp_server_costs_the_network_its_service_only() -> None:
    draft = Draft()
    network = draft.network()
    port = draft.port(network, "10.1.0.11")
    (subnet,) = network.subnets
    draft.networks[network.id] = attrs.evolve(
        network, subnets=(attrs.evolve(subnet, dns_servers=("8.8.8.8,6.6.6.6",)),)
    )
    made = plan.make(draft.topology(), BRIDGES)
    assert set(made.faults) == {network.id}
    assert set(made.ports) == {port.id}
    assert made.dhcp_networks() == []


def test_a_bad_lease_costs_its_port_the_lease_and_nobody_else_anything() -> None:
    draft = Draft()
    network = draft.network()
    draft.port(network, "10.1.0.11")
    topology = draft.topology()
    for mac, ip in (("fa:16:3e:00:00:01\n", "10.1.0.12"), ("fa:16:3e:00:00:01", "10.1.0.12,x")):
        lease = Lease(port_id=new_id(), mac=mac, ip=ip, hostname="x")
        (known,) = topology.networks
        made = plan.make(
            attrs.evolve(topology, networks=(attrs.evolve(known, leases=(*known.leases, lease)),)), BRIDGES
        )
        assert set(made.faults) == {lease.port_id}
        assert [served.leases for served in made.dhcp_networks()] == [known.leases]


def test_a_segment_has_a_zone_of_its_own_number_as_far_as_numbers_go() -> None:
    for segment, zone in ((1, 1), (2, 2), (65535, 65535), (65536, 1), (65537, 2)):
        draft = Draft()
        network = draft.network()
        draft.networks[network.id] = attrs.evolve(network, segment=segment)
        assert plan.make(draft.topology(), BRIDGES).zones == {network.id: zone}


def test_the_devices_of_a_router_have_the_mtu_of_their_networks() -> None:
    draft = Draft()
    inner, external = draft.network(mtu=1400), draft.network("203.0.113", physical_network="public", mtu=1500)
    router = draft.router([inner], external, "203.0.113.9")
    assert router.gateway is not None
    made = plan.make(draft.topology(), BRIDGES)
    (leg,) = router.interfaces
    mtus = {port.name: (port.kind, port.mtu) for port in made.bridge_ports.values() if port.owner == router.id}
    assert mtus == {
        names.device(names.ROUTER, leg.port_id): ("router", 1400),
        names.device(names.GATEWAY, router.gateway.port_id): ("gateway", 1500),
    }
    flows = made.flows({name: number for number, name in enumerate(mtus, start=7)}, "br-int")
    for mac, network in ((leg.mac, inner), (router.gateway.mac, external)):
        (reached,) = [flow for flow in flows if f"dl_dst={mac} " in flow]
        assert f"reg6={made.zones[network.id]:#x}," in reached, "each leg is reached in its own network"
