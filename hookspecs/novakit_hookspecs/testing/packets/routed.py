"""What goes between networks and out of them: routers and floating addresses."""

from novakit_hookspecs.networks import Network, NetworkDriver, Router
from novakit_hookspecs.testing.guests import Namespace, ethernet, silent, udp
from novakit_hookspecs.testing.packets.frame import SHORT, Attach, PacketFrame, accept, talk
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp


class RoutesPackets(PacketFrame):
    """The ways between networks, and the ways out."""

    # Between networks

    async def test_networks_with_the_same_addresses_do_not_meet(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        open_to_all = (*OUT, PING, allow_tcp(1, 65535))
        networks = [draft.network(), draft.network()]
        ports = [draft.port(network, f"10.1.0.{10 + n}", open_to_all) for n, network in enumerate(networks)]
        twin = draft.port(networks[1], "10.1.0.10", open_to_all)
        applied = await driver.apply(draft.topology())
        one, two, three = (guests(port, applied) for port in (*ports, twin))
        ear = one.ear()
        assert not one.pings("10.1.0.11", SHORT)
        assert two.pings("10.1.0.10"), "a guest on the other network with the same range must be reached there"
        two.lies(ethernet(two.port.mac, one.port.mac, 0x0800, udp("10.1.0.11", "10.1.0.10", 1, 2, b"across")))
        assert not ear.hears(b"across")
        three.close()
        assert not two.pings("10.1.0.10", SHORT), (
            "an address of another network with the same range must not be reached"
        )

    async def test_a_router_joins_networks_and_only_as_the_rules_say(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        left, right = draft.network("10.1.0"), draft.network("10.2.0")
        draft.router([left, right])
        client = draft.port(left, "10.1.0.11")
        server = draft.port(right, "10.2.0.11", (*OUT, allow_tcp(80, remotes=["10.1.0.0/24"])))
        applied = await driver.apply(draft.topology())
        one, two = guests(client, applied), guests(server, applied)
        two.serve_tcp(80)
        two.serve_tcp(81)
        assert one.reaches("10.2.0.11", 80)
        assert not one.reaches("10.2.0.11", 81, SHORT)
        assert one.pings("10.1.0.1"), "the router must answer pings at its own address"

    async def test_a_router_that_goes_leaves_no_way(self, driver: NetworkDriver, draft: Draft, guests: Attach) -> None:
        left, right = draft.network("10.1.0"), draft.network("10.2.0")
        router = draft.router([left, right])
        ports = draft.port(left, "10.1.0.11"), draft.port(right, "10.2.0.11", (*OUT, PING))
        applied = await driver.apply(draft.topology())
        one, _ = (guests(port, applied) for port in ports)
        assert one.pings("10.2.0.11")
        del draft.routers[router.id]
        await driver.apply(draft.topology())
        assert not one.pings("10.2.0.11", SHORT)

    # The way out

    def outside(self, draft: Draft) -> tuple[Network, Network, Router]:
        """Draw a network whose router leads to the physical network `public`, where the host itself is."""
        external = draft.network("203.0.113", dhcp=False, physical_network="public")
        network = draft.network("10.1.0")
        return external, network, draft.router([network], external, "203.0.113.9")

    async def test_the_host_reaches_a_guest_by_its_floating_address(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        _, network, router = self.outside(draft)
        port = draft.port(network, "10.1.0.11", (*OUT, PING, allow_tcp(22)))
        floating = draft.float(router, "203.0.113.50", "10.1.0.11")
        guest = guests(port, await driver.apply(draft.topology()))
        host = Namespace(None)
        listener = guest.serve_tcp(22)
        guest.serve_tcp(23)
        assert host.pings("203.0.113.50")
        assert not host.reaches("203.0.113.50", 23, SHORT)
        client = host.connect("203.0.113.50", 22)
        server, address = accept(listener)
        assert address == "203.0.113.1", "the guest must see the address that the connection comes from"
        assert talk(client, server)
        draft.unfloat(router, floating)
        await driver.apply(draft.topology())
        client.send(b"x")
        assert silent(server), "connections must end when their floating IP is taken away"
        assert not host.reaches("203.0.113.50", 22, SHORT)
        host.close()

    async def test_a_floating_address_moves_to_another_guest(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        _, network, router = self.outside(draft)
        ports = [draft.port(network, f"10.1.0.{n}", (*OUT, allow_tcp(22))) for n in (11, 12)]
        floating = draft.float(router, "203.0.113.50", "10.1.0.11")
        applied = await driver.apply(draft.topology())
        one, two = (guests(port, applied) for port in ports)
        one.serve_tcp(22)
        listener, host = two.serve_tcp(22), Namespace(None)
        assert host.reaches("203.0.113.50", 22)
        draft.unfloat(router, floating)
        draft.float(router, "203.0.113.50", "10.1.0.12")
        await driver.apply(draft.topology())
        client = host.connect("203.0.113.50", 22)
        server, _ = accept(listener)
        assert talk(client, server)
        host.close()

    async def test_guests_go_out_as_the_router_or_as_their_floating_address(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        _, network, router = self.outside(draft)
        plain, known = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.12")
        draft.float(router, "203.0.113.50", "10.1.0.12")
        applied = await driver.apply(draft.topology())
        host = Namespace(None)
        listener = host.serve_tcp(8080, "203.0.113.1")
        for port, seen in ((plain, "203.0.113.9"), (known, "203.0.113.50")):
            client = guests(port, applied).connect("203.0.113.1", 8080)
            server, address = accept(listener)
            assert address == seen
            assert talk(client, server)
        host.close()

    async def test_nobody_outside_reaches_a_fixed_address(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        _, network, router = self.outside(draft)
        port = draft.port(network, "10.1.0.11", (*OUT, PING))
        draft.float(router, "203.0.113.50", "10.1.0.11")
        guests(port, await driver.apply(draft.topology()))
        host = Namespace(None)
        assert host.pings("203.0.113.50")
        host.run(["ip", "route", "add", "10.1.0.0/24", "via", "203.0.113.9"])
        try:
            assert not host.pings("10.1.0.11", SHORT)
        finally:
            host.run(["ip", "route", "del", "10.1.0.0/24"])

    async def test_projects_meet_by_floating_addresses_and_so_do_neighbours(
        self, driver: NetworkDriver, draft: Draft, guests: Attach
    ) -> None:
        external, network, router = self.outside(draft)
        theirs = draft.network("10.1.0")  # the same addresses, another project
        their_router = draft.router([theirs], external, "203.0.113.10")
        client, neighbour = draft.port(network, "10.1.0.11"), draft.port(network, "10.1.0.13", (*OUT, allow_tcp(22)))
        server = draft.port(theirs, "10.1.0.12", (*OUT, allow_tcp(22)))
        draft.float(router, "203.0.113.52", "10.1.0.13")
        draft.float(their_router, "203.0.113.51", "10.1.0.12")
        applied = await driver.apply(draft.topology())
        one, near, far = (guests(port, applied) for port in (client, neighbour, server))
        near.serve_tcp(22)
        far.serve_tcp(22)
        assert one.reaches("203.0.113.51", 22)
        assert one.reaches("203.0.113.52", 22), "a floating IP must be reached from the network of its own guest"
