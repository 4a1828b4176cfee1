"""What guests are told, and what security groups and anti-spoofing let through."""

import socket
from collections.abc import Callable

import attrs
import pytest

from novakit_hookspecs.networks import NetworkDriver, Rule, ServesMetadata
from novakit_hookspecs.testing.guests import Namespace, PacketGuest, arp, ethernet, link_local, silent, udp, udp6
from novakit_hookspecs.testing.packets.frame import (
    EVERYWHERE,
    SHORT,
    Attach,
    PacketFrame,
    Pair,
    accept,
    established,
    talk,
)
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp, new_id


class GuardsPorts(PacketFrame):
    """The services of a network, its security groups, and its answers to liars."""

    # What a guest is told

    async def test_dhcp_gives_the_address_the_routes_the_name_and_the_mtu(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network(mtu=1400)
        port = draft.port(network, "10.1.0.11")
        guest = guests(port, await driver.apply(draft.topology()), configure=False)
        lease = guest.lease()
        assert lease, "the guest got no lease"
        assert (lease["ip"], lease["mask"], lease["mtu"]) == ("10.1.0.11", "24", "1400")
        assert lease["dns"] == "192.0.2.53"
        assert lease["hostname"] == f"guest-{port.mac[-2:]}"
        assert "0.0.0.0/0 10.1.0.1" in lease["staticroutes"]
        assert "169.254.169.254/32 10.1.0.2" in lease["staticroutes"]

    async def test_dhcp_learns_new_ports_while_it_runs(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network()
        draft.port(network, "10.1.0.11")
        await driver.apply(draft.topology())
        port = draft.port(network, "10.1.0.77")
        guest = guests(port, await driver.apply(draft.topology()), configure=False)
        assert guest.lease().get("ip") == "10.1.0.77"

    async def test_hostile_host_names_do_no_harm(self, driver: NetworkDriver, draft: Draft, guests: Attach) -> None:
        network = draft.network()
        port = draft.port(network, "10.1.0.11")
        topology = draft.topology()
        names = ("a\ndhcp-option=3,6.6.6.6", "x,10.1.0.99", "-" * 300, "", "a b", "é")
        for revision, name in enumerate(names, start=2):
            (known,) = topology.networks
            named = attrs.evolve(known, leases=(attrs.evolve(known.leases[0], hostname=name),))
            applied = await driver.apply(attrs.evolve(topology, revision=revision, networks=(named,)))
            assert not applied.faults
            guest = guests(port, applied, configure=False)
            lease = guest.lease()
            assert lease.get("ip") == "10.1.0.11", f"no lease with the host name {name!r}"
            assert lease["router"] == "10.1.0.1"
            guest.close()

    async def test_metadata_knows_network_and_address_of_who_asks(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        if not isinstance(driver, ServesMetadata):
            pytest.skip("the driver does not serve metadata")
        networks = [draft.network(), draft.network()]  # with the same addresses
        ports = [draft.port(network, "10.1.0.11", ()) for network in networks]  # and no rule at all
        applied = await driver.apply(draft.topology())
        sockets = await driver.metadata_sockets()
        for network, port in zip(networks, ports, strict=True):
            guest = guests(port, applied, metadata="10.1.0.2")
            client = guest.connect("169.254.169.254", 80)
            peer, address = accept(sockets[network.id])
            assert address == "10.1.0.11"
            assert talk(client, peer)

    # Security groups

    async def test_only_what_a_rule_lets_in_comes_in(self, pair: Pair) -> None:
        pair.first.serve_tcp(80)
        pair.second.serve_tcp(80)
        pair.second.serve_tcp(22)
        assert pair.first.reaches("10.1.0.12", 80)
        assert pair.first.pings("10.1.0.12")
        assert not pair.first.reaches("10.1.0.12", 22, SHORT), "port 22 must be closed, as no rule opens it"
        assert not pair.second.reaches("10.1.0.11", 80, SHORT), "a port without rules must let nothing in"
        assert not pair.second.pings("10.1.0.11", SHORT)

    async def test_only_what_a_rule_lets_out_goes_out(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network()
        to_80 = attrs.evolve(allow_tcp(80), direction="egress")
        first = draft.port(network, "10.1.0.11", (to_80,))
        second = draft.port(network, "10.1.0.12", (*OUT, PING, allow_tcp(1, 65535)))
        applied = await driver.apply(draft.topology())
        client, server = guests(first, applied), guests(second, applied)
        server.serve_tcp(80)
        server.serve_tcp(81)
        assert client.reaches("10.1.0.12", 80)
        assert not client.reaches("10.1.0.12", 81, SHORT)
        assert not client.pings("10.1.0.12", SHORT)

    async def test_ranges_and_icmp_types_and_remotes_mean_what_they_say(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network()
        near, far = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.21")
        rules = (
            allow_tcp(1000, 1023),
            allow_tcp(22, remotes=["10.1.0.0/28"]),
            allow_tcp(23, remotes=[]),
            Rule(direction="ingress", ethertype="IPv4", protocol=1, port_min=8, port_max=0, remotes=("10.1.0.21/32",)),
        )
        target = draft.port(network, "10.1.0.30", (*OUT, *rules))
        applied = await driver.apply(draft.topology())
        one, two, server = (guests(port, applied) for port in (near, far, target))
        for number in (999, 1000, 1011, 1023, 1024, 22, 23):
            server.serve_tcp(number)
        assert [one.reaches("10.1.0.30", number, SHORT) for number in (1000, 1011, 1023)] == [True] * 3
        assert [one.reaches("10.1.0.30", number, SHORT) for number in (999, 1024)] == [False] * 2
        assert (one.reaches("10.1.0.30", 22), two.reaches("10.1.0.30", 22, SHORT)) == (True, False)
        assert not one.reaches("10.1.0.30", 23, SHORT), "a rule with a remote group without members must let nobody in"
        assert (two.pings("10.1.0.30"), one.pings("10.1.0.30", SHORT)) == (True, False)

    async def test_members_of_a_remote_group_come_and_go(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network, group = draft.network(), draft.group("10.1.0.11/32", "2001:db8::11/128")
        member, late = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.14")
        target = draft.port(network, "10.1.0.12", (*OUT, allow_tcp(80, group=group)))
        applied = await driver.apply(draft.topology())
        one, two, server = (guests(port, applied) for port in (member, late, target))
        listener = server.serve_tcp(80)
        client = one.connect("10.1.0.12", 80)
        answering, _ = accept(listener)
        assert talk(client, answering)
        assert not two.reaches("10.1.0.12", 80, SHORT), "an address that is not in the remote group must not be let in"
        draft.regroup(group, "10.1.0.11/32", "10.1.0.14/32")
        await driver.apply(draft.topology())
        assert two.reaches("10.1.0.12", 80)
        assert talk(client, answering), "a new member of the group must not end connections of the others"
        draft.regroup(group, "10.1.0.14/32")
        await driver.apply(draft.topology())
        client.send(b"x")
        assert silent(answering), "connections of an address that left the group must end"
        assert (one.reaches("10.1.0.12", 80, SHORT), two.reaches("10.1.0.12", 80)) == (False, True)

    async def test_of_a_group_each_ip_version_lets_in_its_own_members(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network, group = draft.network(), draft.group()
        ports = [draft.port(network, f"10.1.0.{number}") for number in (11, 12)]
        rule = Rule(direction="ingress", ethertype="IPv4", protocol=17, remotes=(), remote_group=group.id)
        target = draft.port(network, "10.1.0.13", (*OUT, rule, attrs.evolve(rule, ethertype="IPv6")))
        applied = await driver.apply(draft.topology())
        one, two, heard = (guests(port, applied) for port in (*ports, target))
        # Known by IPv4 the one, by IPv6 the other; both send both.
        draft.regroup(group, "10.1.0.11/32", f"{link_local(two.port.mac)}/128")
        await driver.apply(draft.topology())
        for sender, marks in ((one, (b"four-of-one", b"six-of-one")), (two, (b"four-of-two", b"six-of-two"))):
            ear, own, far = heard.ear(), sender.port.addresses[0].ip, link_local(heard.port.mac)
            four = udp(own, "10.1.0.13", 5000, 5001, marks[0])
            six = udp6(link_local(sender.port.mac), far, 5000, 5001, marks[1])
            sender.lies(ethernet(sender.port.mac, heard.port.mac, 0x0800, four))
            assert ear.hears(marks[0]) is (sender is one)
            sender.lies(ethernet(sender.port.mac, heard.port.mac, 0x86DD, six))
            assert ear.hears(marks[1]) is (sender is two)

    @pytest.mark.parametrize("speaker", ["client", "server"])
    async def test_a_rule_that_goes_cuts_what_it_carried_and_one_that_comes_back_heals_it(
        self, driver: NetworkDriver, draft: Draft, pair: Pair, speaker: str
    ) -> None:
        client, server = established(pair)
        keeper = pair.second.port
        assert talk(client, server)
        draft.change(keeper, rules=OUT)
        await driver.apply(draft.topology())
        said, heard = (client, server) if speaker == "client" else (server, client)
        said.send(b"x")
        assert silent(heard), f"packets of the {speaker} still arrive"
        draft.change(keeper, rules=(*OUT, allow_tcp(80)))
        await driver.apply(draft.topology())
        heard.settimeout(10)
        assert heard.recv(1) == b"x"

    async def test_the_next_holder_of_an_address_inherits_no_connection(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network()
        asked = draft.port(network, "10.1.0.11", (*OUT, allow_tcp(80)))
        leaver = draft.port(network, "10.1.0.12")
        applied = await driver.apply(draft.topology())
        server, client = guests(asked, applied), guests(leaver, applied)
        listener = server.serve_tcp(80)
        caller = client.connect("10.1.0.11", 80)
        answering, _ = accept(listener)
        assert talk(caller, answering)
        client.close()
        del draft.ports[leaver.id]
        await driver.apply(draft.topology())
        heir = attrs.evolve(leaver, id=new_id())
        draft.ports[heir.id] = heir
        ear = guests(heir, await driver.apply(draft.topology())).ear()
        answering.send(b"words for the dead")
        assert not ear.hears(b"words for the dead")

    async def test_other_changes_leave_connections_alone(self, driver: NetworkDriver, draft: Draft, pair: Pair) -> None:
        client, server = established(pair)
        assert talk(client, server)
        draft.port(pair.network, "10.1.0.50")
        draft.port(draft.network(), "10.1.0.12")
        draft.change(pair.second.port, rules=(*OUT, allow_tcp(80), allow_tcp(443)))
        await driver.apply(draft.topology())
        assert talk(client, server)
        assert talk(server, client)

    async def test_a_new_driver_leaves_connections_alone(
        self, driver: NetworkDriver, draft: Draft, pair: Pair, build: Callable[[], NetworkDriver]
    ) -> None:
        client, server = established(pair)
        successor = build()
        await successor.open()
        try:
            await successor.apply(draft.topology())
            assert talk(client, server)
            assert talk(server, client)
        finally:
            await successor.close()

    async def test_a_port_that_is_down_is_mute_and_deaf(self, driver: NetworkDriver, draft: Draft, pair: Pair) -> None:
        assert pair.first.pings("10.1.0.12")
        draft.change(pair.second.port, admin_up=False)
        await driver.apply(draft.topology())
        assert not pair.first.pings("10.1.0.12", SHORT)
        draft.change(pair.second.port, admin_up=True)
        await driver.apply(draft.topology())
        assert pair.first.pings("10.1.0.12")

    async def test_a_bad_rule_is_a_fault_of_its_port_alone(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        network = draft.network()
        bad = draft.port(network, "10.1.0.10", (*OUT, allow_tcp(80, remotes=["nonsense,actions=NORMAL"])))
        first, second = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.12", (*OUT, PING))
        applied = await driver.apply(draft.topology())
        assert set(applied.faults) == {bad.id}
        one, _ = guests(first, applied), guests(second, applied)
        assert one.pings("10.1.0.12")

    # Lies

    @pytest.fixture
    async def believer(self, driver: NetworkDriver, draft: Draft, pair: Pair) -> PacketGuest:
        """Return the second guest, with rules that let everything in: only what is a lie must not arrive."""
        everything = [Rule(direction="ingress", ethertype=kind) for kind in ("IPv4", "IPv6")]
        draft.change(pair.second.port, rules=(*OUT, *everything))
        await driver.apply(draft.topology())
        return pair.second

    async def test_spoofed_addresses_go_nowhere(self, pair: Pair, believer: PacketGuest) -> None:
        liar, other = pair.first, believer
        own, target, ear = liar.port.mac, other.port.mac, other.ear()
        mark = b"the-mark-of-the-liar"
        web = (0x0800, udp("10.1.0.11", "10.1.0.12", 5000, 80, mark))
        liar.lies(ethernet("fa:16:3e:66:66:66", target, *web))
        liar.lies(ethernet(own, target, 0x0800, udp("10.1.0.99", "10.1.0.12", 5000, 80, mark)))
        liar.lies(ethernet(own, target, 0x88B5, mark))
        liar.lies(ethernet(own, EVERYWHERE, 0x8100, b"\x00\x05\x08\x00" + web[1]))
        assert not ear.hears(mark)
        liar.lies(ethernet(own, target, *web))
        assert ear.hears(mark), "packets with the guest's own addresses must arrive"

    async def test_spoofed_arp_goes_nowhere(self, pair: Pair, believer: PacketGuest) -> None:
        liar, ear = pair.first, believer.ear()
        own = liar.port.mac
        for message in (
            arp(2, own, "10.1.0.1", "10.1.0.12"),
            arp(1, own, "10.1.0.1", "10.1.0.12"),
            arp(2, "fa:16:3e:66:66:66", "10.1.0.1", "10.1.0.12"),
        ):
            liar.lies(ethernet(own, EVERYWHERE, 0x0806, message))
        assert not ear.hears(socket.inet_aton("10.1.0.1"))
        liar.lies(ethernet(own, EVERYWHERE, 0x0806, arp(1, own, "10.1.0.11", "10.1.0.12")))
        assert ear.hears(socket.inet_aton("10.1.0.11")), "packets with the guest's own addresses must arrive"

    async def test_a_guest_cannot_play_dhcp_server_or_ipv6_router(self, pair: Pair, believer: PacketGuest) -> None:
        liar, ear = pair.first, believer.ear()
        offer = udp("10.1.0.11", "255.255.255.255", 67, 68, b"rogue-offer")
        liar.lies(ethernet(liar.port.mac, EVERYWHERE, 0x0800, offer))
        liar.lies(ethernet(liar.port.mac, believer.port.mac, 0x0800, offer))
        head = b"\x60\0\0\0" + b"\0\x10" + b"\x3a\xff" + bytes.fromhex("fe80" + "00" * 13 + "01")
        advertisement = head + bytes.fromhex("ff02" + "00" * 13 + "01") + b"\x86\0\0\0" + b"rogue-router"
        liar.lies(ethernet(liar.port.mac, "33:33:00:00:00:01", 0x86DD, advertisement))
        assert not ear.hears(b"rogue-")

    async def test_allowed_pairs_and_open_ports_may_send_as_others(
        self, driver: NetworkDriver, draft: Draft, pair: Pair
    ) -> None:
        sender, ear, mark = pair.first, pair.second.ear(), b"on-behalf-of"
        draft.change(pair.second.port, rules=(*OUT, Rule(direction="ingress", ethertype="IPv4", protocol=17)))
        draft.change(sender.port, allowed_pairs=((sender.port.mac, "10.1.0.64/26"),))
        await driver.apply(draft.topology())
        sent = (sender.port.mac, pair.second.port.mac, 0x0800)
        sender.lies(ethernet(*sent, udp("10.1.0.99", "10.1.0.12", 5000, 80, mark)))
        assert ear.hears(mark)
        sender.lies(ethernet(*sent, udp("10.1.0.200", "10.1.0.12", 5000, 80, mark)))
        assert not ear.hears(mark)
        draft.change(sender.port, port_security=False)
        await driver.apply(draft.topology())
        sender.lies(ethernet("fa:16:3e:77:77:77", *sent[1:], udp("10.9.9.9", "10.1.0.12", 5000, 80, mark)))
        assert ear.hears(mark)

    async def test_a_guest_does_not_reach_the_host_it_runs_on(self, pair: Pair) -> None:
        host = Namespace(None)
        device = next(name for name in host.run(["ls", "/sys/class/net"]).stdout.split() if name == "lo")
        host.run(["ip", "addr", "replace", "10.1.0.200/32", "dev", device])
        try:
            ear = pair.first.ear()
            asked = arp(1, pair.first.port.mac, "10.1.0.11", "10.1.0.200")
            pair.first.lies(ethernet(pair.first.port.mac, EVERYWHERE, 0x0806, asked))
            assert not ear.hears(socket.inet_aton("10.1.0.200")), "the host's own network stack must not answer guests"
        finally:
            host.run(["ip", "addr", "del", "10.1.0.200/32", "dev", device])
