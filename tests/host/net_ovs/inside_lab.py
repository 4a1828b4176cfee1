"""The suites over the Open vSwitch driver; run inside a lab by `test_driver`, never on the machine itself."""

import asyncio
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.networks import Applied, NetworkSpec, Topology
from novakit_hookspecs.testing.guests import PacketGuest
from novakit_hookspecs.testing.packets import Pair, WiresPackets
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp
from novakit_net_ovs import OvsNetworks, OvsOptions, novakit_networks, ovsdb

Build = Callable[[], OvsNetworks]


def command(*argv: str) -> str:
    return subprocess.run(argv, check=True, text=True, capture_output=True).stdout


STATE = "/run/alpha"
"""The bridges of a lab belong to one state directory."""

OPTIONS = OvsOptions(sees_all_processes=True)
"""A lab has a PID namespace of its own, and all who use its switch are in there."""


@pytest.fixture
def build() -> Build:
    return lambda: OvsNetworks(OPTIONS, HostContext(host="alpha", state_dir=STATE))


class TestOpenVSwitch(WiresPackets):
    @pytest.fixture
    def build(self) -> Build:
        return lambda: OvsNetworks(OPTIONS, HostContext(host="alpha", state_dir=STATE))

    async def test_a_restarted_switch_is_wired_again(self, driver: OvsNetworks, draft: Draft, pair: Pair) -> None:
        assert pair.first.pings("10.1.0.12")
        restart_switch()
        await driver.apply(draft.topology())
        assert pair.first.pings("10.1.0.12")
        assert pair.first.lease(), "the DHCP server's device was made anew and has to be moved in again"


class TestHost:
    @pytest.fixture
    async def driver(self, build: Build) -> AsyncIterator[OvsNetworks]:
        driver = build()
        await driver.open()
        yield driver
        await driver.close()
        last = build()
        await last.open()
        await last.apply(Topology(revision=2**40))
        assert not await last.holdings()
        await last.close()

    def test_the_offer_names_what_the_driver_can_do(self, build: Build) -> None:
        (spec,) = novakit_networks()
        assert isinstance(spec, NetworkSpec)
        assert all(isinstance(build(), facet) for facet in spec.facets)

    async def test_a_killed_dhcp_server_is_back_after_the_next_apply(self, driver: OvsNetworks) -> None:
        draft = Draft()
        port = draft.port(draft.network(), "10.1.0.11")
        applied = await driver.apply(draft.topology())
        pid = await dnsmasq(driver)
        end(pid)
        await driver.apply(draft.topology())
        assert await dnsmasq(driver) != pid
        with PacketGuest(port, applied.vifs[port.id]) as guest:
            assert guest.lease().get("ip") == "10.1.0.11"

    async def test_a_running_dhcp_server_is_taken_over(self, driver: OvsNetworks, build: Build) -> None:
        draft = Draft()
        draft.port(draft.network(), "10.1.0.11")
        topology = draft.topology()
        await driver.apply(topology)
        pid = await dnsmasq(driver)
        await driver.close()
        successor = build()
        await successor.open()
        await successor.apply(topology)
        assert await dnsmasq(successor) == pid
        await successor.close()

    async def test_what_was_broken_behind_our_back_is_mended(self, driver: OvsNetworks) -> None:
        draft = Draft()
        network = draft.network()
        other = draft.network("10.2.0")
        router = draft.router([network, other])
        ports = [draft.port(network, f"10.1.0.{n}", (*OUT, PING)) for n in (11, 12)]
        applied = await driver.apply(draft.topology())
        command("ip", "netns", "del", f"nkd-{network.id}")
        command("ip", "netns", "del", f"nkr-{router.id}")
        command("ip", "link", "del", applied.vifs[ports[0].id].device)
        applied = await driver.apply(draft.topology())
        assert not applied.faults
        with PacketGuest(ports[0], applied.vifs[ports[0].id]) as guest:
            assert guest.lease().get("ip") == "10.1.0.11"
            guest.take("10.1.0.11/24")
            assert guest.pings("10.1.0.1")

    async def test_a_member_more_of_a_group_changes_flows_and_nothing_else(
        self, driver: OvsNetworks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        draft, ran = Draft(), list[str]()
        network, group = draft.network(), draft.group("10.1.0.11/32")
        target = draft.port(network, "10.1.0.12", (*OUT, allow_tcp(80, group=group)))
        late = draft.port(network, "10.1.0.14")
        applied = await driver.apply(draft.topology())
        really = ovsdb.run

        async def noting(argv: Sequence[str], **how: Any) -> str:
            ran.append(argv[0])
            return await really(argv, **how)

        with PacketGuest(target, applied.vifs[target.id]) as server, PacketGuest(late, applied.vifs[late.id]) as client:
            for port, guest in ((target, server), (late, client)):
                guest.take(f"{port.addresses[0].ip}/24")
            server.serve_tcp(80)
            assert not client.reaches("10.1.0.12", 80, 1.0)
            monkeypatch.setattr(ovsdb, "run", noting)
            draft.regroup(group, "10.1.0.11/32", "10.1.0.14/32")
            again = await driver.apply(draft.topology())
            assert (again.revision, again.vifs, again.faults) == (2, applied.vifs, {})
            assert ran == ["ovs-ofctl", "ovs-appctl"]
            assert client.reaches("10.1.0.12", 80)
            draft.regroup(group, "nonsense")
            assert set((await driver.apply(draft.topology())).faults) == {target.id}
            draft.regroup(group, "10.1.0.14/32")
            assert not (await driver.apply(draft.topology())).faults

    async def test_a_dhcp_server_reads_leases_that_come_later_whatever_the_umask(self) -> None:
        driver = OvsNetworks(OvsOptions(run_dir="/run/closed/net-ovs"), HostContext(host="alpha", state_dir=STATE))
        before = os.umask(0o077)
        try:
            await driver.open()
            draft = Draft()
            network = draft.network()
            draft.router([network])
            await driver.apply(draft.topology())
            port = draft.port(network, "10.1.0.11")
            applied = await driver.apply(draft.topology())
            with PacketGuest(port, applied.vifs[port.id]) as guest:
                assert guest.lease().get("ip") == "10.1.0.11"
            await driver.apply(Topology(revision=2**40))
            await driver.close()
        finally:
            os.umask(before)

    async def test_a_changed_mtu_and_mac_reach_the_dhcp_server(self, driver: OvsNetworks) -> None:
        draft = Draft()
        network = draft.network(mtu=1442)
        port = draft.port(network, "10.1.0.11")
        await driver.apply(draft.topology())
        assert network.dhcp is not None
        server = attrs.evolve(network.dhcp, mac="fa:16:3e:00:00:77")
        draft.networks[network.id] = attrs.evolve(network, mtu=1300, dhcp=server)
        applied = await driver.apply(draft.topology())
        assert applied.vifs[port.id].mtu == 1300
        with PacketGuest(port, applied.vifs[port.id]) as guest:
            assert guest.lease().get("mtu") == "1300"
            guest.take("10.1.0.11/24")
            assert guest.pings("10.1.0.2")
            assert "fa:16:3e:00:00:77" in guest.run(["ip", "neigh"]).stdout

    async def test_other_bridges_and_ports_are_left_alone(self, driver: OvsNetworks) -> None:
        command("ovs-vsctl", "add-br", "theirs", "--", "set", "bridge", "theirs", "datapath_type=netdev")
        command(
            "ovs-vsctl", "add-port", "br-int", "their-port", "--", "set", "interface", "their-port", "type=internal"
        )
        try:
            draft = Draft()
            draft.port(draft.network(), "10.1.0.11")
            await driver.apply(draft.topology())
            await driver.apply(Topology(revision=50))
            assert "theirs" in command("ovs-vsctl", "list-br").split()
            assert "their-port" in command("ovs-vsctl", "list-ports", "br-int").split()
        finally:
            command("ovs-vsctl", "del-port", "their-port", "--", "del-br", "theirs")

    async def test_bridges_of_another_state_directory_are_refused_and_left_as_they_are(
        self, driver: OvsNetworks
    ) -> None:
        draft = Draft()
        port = draft.port(draft.network(), "10.1.0.11")
        applied = await driver.apply(draft.topology())
        held, flows = await driver.holdings(), command("ovs-ofctl", "dump-flows", "br-int", "--no-stats")
        other = HostContext(host="beta", state_dir="/run/beta")
        shared = (OvsOptions(), OvsOptions(integration_bridge="br-beta"), OvsOptions(bridge_mappings={}))
        for options, bridge in zip(shared, ("br-int", "br-ex", "br-int"), strict=True):
            with pytest.raises(Refused, match=f"{bridge} belongs to another novakit.*in {STATE}: give.*to /run/beta"):
                await OvsNetworks(options, other).open()
        assert command("ovs-vsctl", "list-br").split() == ["br-ex", "br-int"]
        assert await driver.holdings() == held
        assert command("ovs-ofctl", "dump-flows", "br-int", "--no-stats") == flows
        with PacketGuest(port, applied.vifs[port.id]) as guest:
            assert guest.lease().get("ip") == "10.1.0.11"

    async def test_two_drivers_with_bridges_of_their_own_leave_each_others_guests_alone(
        self, driver: OvsNetworks
    ) -> None:
        options = OvsOptions(integration_bridge="br-beta", bridge_mappings={"public": "br-out"})
        other = OvsNetworks(options, HostContext(host="beta", state_dir="/run/beta"))
        await other.open()
        drafts = (Draft(), Draft())
        held = []
        for draft, one in zip(drafts, (driver, other), strict=True):
            network, external = draft.network(), draft.network("203.0.113", dhcp=False, physical_network="public")
            draft.port(network, "10.1.0.11", (*OUT, PING))
            draft.router([network], external, "203.0.113.9")
            assert not (await one.apply(draft.topology())).faults
            held.append(sorted(map(repr, await one.holdings())))
        assert held[0] == sorted(map(repr, await driver.holdings())), "the second took or told of nothing of the first"
        assert not {*held[0]} & {*held[1]}

        (network, *_), (port,) = drafts[0].networks.values(), drafts[0].ports.values()
        command("ip", "netns", "del", f"nkd-{network.id}")
        await other.apply(Topology(revision=50))
        assert not await other.holdings()
        applied = await driver.apply(drafts[0].topology())
        kinds = Counter(each.kind for each in await driver.holdings())
        assert kinds == {"bridge-port": 4, "tap": 1, "namespace": 2, "process": 1}
        with PacketGuest(port, applied.vifs[port.id]) as guest:
            assert guest.lease().get("ip") == "10.1.0.11"
            guest.take("10.1.0.11/24")
            assert guest.pings("10.1.0.1")
        await other.close()
        command("ovs-vsctl", "del-br", "br-beta", "--", "del-br", "br-out")

    async def test_what_a_lost_deployment_has_left_goes_at_a_word_and_nothing_of_a_living_one(
        self, driver: OvsNetworks, tmp_path: Path
    ) -> None:
        places = {name: tmp_path / name for name in ("lost", "living")}
        held, others = {}, {}
        for number, (name, place) in enumerate(places.items()):
            place.mkdir()
            options = OvsOptions(integration_bridge=f"br-{name}", bridge_mappings={"public": f"out-{name}"[:12]})
            others[name] = OvsNetworks(options, HostContext(host=name, state_dir=str(place)))
            await others[name].open()
            draft = Draft()
            network, external = draft.network(), draft.network(f"203.0.{number}", dhcp=False, physical_network="public")
            port = draft.port(network, "10.1.0.11")
            draft.router([network], external, f"203.0.{number}.9")
            applied = await others[name].apply(draft.topology())
            assert not applied.faults
            held[name] = sorted(map(repr, await others[name].holdings()))
            if name == "lost":
                lost_port, lost_vif = port, applied.vifs[port.id]
        mine = Draft()
        mine.port(mine.network(), "10.1.0.11")
        await driver.apply(mine.topology())
        before = sorted(map(repr, await driver.holdings()))
        up, space = "nkt0000000000ff", "nkr-99999999-0000-4000-8000-000000000001"
        command("ip", "tuntap", "add", up, "mode", "tap")
        command("ip", "link", "set", up, "up")
        command("ip", "netns", "add", space)
        assert {each.owner for each in await driver.abandoned()} == {up, space}, "both others are there"
        await others["lost"].close()
        owner = str(places["lost"])
        places["lost"].rmdir()
        (left,) = [each for each in await driver.abandoned() if each.owner == owner]
        kinds = Counter(each.kind for each in left.things)
        assert kinds == {"bridge": 2, "bridge-port": 6, "tap": 1, "namespace": 2, "process": 1} and not left.in_use
        assert {repr(each) for each in left.things if each.kind in ("tap", "namespace", "process")} <= {*held["lost"]}

        with PacketGuest(lost_port, lost_vif):
            (left,) = [each for each in await driver.abandoned() if each.owner == owner]
            assert left.in_use == f"a guest is plugged into {lost_vif.device}; end it first"
            with pytest.raises(Refused, match="in use: a guest is plugged into"):
                await driver.remove_abandoned(owner)
        sleeper = subprocess.Popen(["ip", "netns", "exec", space, "sleep", "60"])
        try:
            while not any(each.in_use for each in await driver.abandoned()):
                await asyncio.sleep(0.05)
            with pytest.raises(Refused, match=f"process {sleeper.pid} runs in {space}"):
                await driver.remove_abandoned(space)
        finally:
            sleeper.kill()
            sleeper.wait()
        with pytest.raises(Refused, match="nothing says whose"):
            await driver.remove_abandoned(space)
        command("ip", "netns", "delete", space)
        for not_lost in (str(places["living"]), STATE, "/nowhere"):
            with pytest.raises(NotFound):
                await driver.remove_abandoned(not_lost)
        for name in (owner, up):
            await driver.remove_abandoned(name)
        assert not await driver.abandoned()
        assert command("ovs-vsctl", "list-br").split() == ["br-ex", "br-int", "br-living", "out-living", "out-lost"]
        assert not command("ovs-vsctl", "list-ports", "out-lost"), "a bridge that leads outside is given up"
        assert "lost" not in command("ovs-vsctl", "get", "Bridge", "out-lost", "external_ids")
        assert lost_vif.device not in command("ip", "-br", "link") and up not in command("ip", "-br", "link")
        assert not Path("/run/novakit/net-ovs/br-lost").exists()
        assert sorted(map(repr, await driver.holdings())) == before
        assert sorted(map(repr, await others["living"].holdings())) == held["living"]
        await others["living"].apply(Topology(revision=50))
        await others["living"].close()
        command(
            "ovs-vsctl", *(word for name in ("br-living", "out-living", "out-lost") for word in ("--", "del-br", name))
        )

    async def test_nobody_is_taken_for_gone_by_one_who_sees_only_the_processes_of_a_container(
        self, driver: OvsNetworks
    ) -> None:
        tap = "nkt0000000000ff"
        command("ip", "tuntap", "add", tap, "mode", "tap")
        command("ip", "link", "set", tap, "alias", "novakit /run/beta")
        confined = OvsNetworks(OvsOptions(), HostContext(host="alpha", state_dir=STATE))
        await confined.open()
        try:
            assert [each.owner for each in await driver.abandoned()] == ["/run/beta"]
            with pytest.raises(Refused, match="does not see all processes"):
                await confined.abandoned()
            with pytest.raises(Refused, match="does not see all processes"):
                await confined.remove_abandoned("/run/beta")
            assert tap in command("ip", "-br", "link")
        finally:
            await confined.close()
            command("ip", "link", "del", tap)

    async def test_an_empty_integration_bridge_of_a_lost_deployment_goes_after_a_reboot(
        self, driver: OvsNetworks, tmp_path: Path
    ) -> None:
        options = OvsOptions(integration_bridge="br-beta", bridge_mappings={"public": "br-out"})
        lost = OvsNetworks(options, HostContext(host="beta", state_dir=str(tmp_path / "lost")))
        await lost.open()
        await lost.apply(Topology(revision=50))
        await lost.close()
        shutil.rmtree("/run/novakit/net-ovs/br-beta", ignore_errors=True)  # as a reboot does
        (left,) = await driver.abandoned()
        assert {each.name for each in left.things if each.kind == "bridge"} == {"br-beta", "br-out"}
        await driver.remove_abandoned(str(tmp_path / "lost"))
        assert command("ovs-vsctl", "list-br").split() == ["br-ex", "br-int", "br-out"]
        assert "novakit" not in command("ovs-vsctl", "get", "Bridge", "br-out", "external_ids")
        command("ovs-vsctl", "del-br", "br-out")

    async def test_a_dhcp_server_of_nobody_known_is_not_stopped(self, driver: OvsNetworks, tmp_path: Path) -> None:
        options = OvsOptions(integration_bridge="br-beta", bridge_mappings={"public": "br-out"})
        other = OvsNetworks(options, HostContext(host="beta", state_dir=str(tmp_path)))
        await other.open()
        draft = Draft()
        network = draft.network()
        draft.port(network, "10.1.0.11")
        await other.apply(draft.topology())
        server = await dnsmasq(other)
        assert not await driver.abandoned()
        command("ovs-vsctl", "remove", "Bridge", "br-beta", "external_ids", "novakit-directory")
        (left,) = await driver.abandoned()
        assert left.owner == f"nkd-{network.id}" and f"process {server} is a DHCP server" in left.in_use
        with pytest.raises(Refused, match="nothing says whose"):
            await driver.remove_abandoned(left.owner)
        assert await dnsmasq(other) == server
        await other.apply(Topology(revision=50))
        await other.close()
        command("ovs-vsctl", "del-br", "br-beta", "--", "del-br", "br-out")

    async def test_a_router_of_nobody_known_is_not_removed(self, driver: OvsNetworks, tmp_path: Path) -> None:
        options = OvsOptions(integration_bridge="br-beta", bridge_mappings={"public": "br-out"})
        other = OvsNetworks(options, HostContext(host="beta", state_dir=str(tmp_path)))
        await other.open()
        draft = Draft()
        router = draft.router([draft.network(dhcp=False)])
        await other.apply(draft.topology())
        space = f"nkr-{router.id}"
        before = command("ip", "netns", "exec", space, "ip", "-o", "address")
        assert not await driver.abandoned()
        command("ovs-vsctl", "remove", "Bridge", "br-beta", "external_ids", "novakit-directory")
        (left,) = await driver.abandoned()
        assert left.owner == space and f"run: ip netns delete {space}" in left.in_use
        with pytest.raises(Refused, match="nothing says whose"):
            await driver.remove_abandoned(space)
        assert command("ip", "netns", "exec", space, "ip", "-o", "address") == before
        command("ovs-vsctl", "set", "Bridge", "br-beta", f"external_ids:novakit-directory={tmp_path}")
        await other.apply(Topology(revision=50))
        await other.close()
        command("ovs-vsctl", "del-br", "br-beta", "--", "del-br", "br-out")

    async def test_a_tap_in_no_bridge_goes_only_if_no_guest_can_use_it(self, driver: OvsNetworks) -> None:
        up, down, others = (f"nkt{number:012x}" for number in range(3))
        for name in (up, down, others):
            command("ip", "tuntap", "add", name, "mode", "tap")
        command("ip", "link", "set", up, "up")
        command("ip", "link", "set", others, "alias", "novakit /run/beta")
        await driver.apply(Topology(revision=50))
        left = command("ip", "-br", "link")
        assert up in left and others in left and down not in left
        assert not await driver.holdings()
        assert {each.owner for each in await driver.abandoned()} == {up, "/run/beta"}, "it goes at a word alone"
        for name in (up, others):
            command("ip", "link", "del", name)

    async def test_the_gateway_address_outside_comes_and_goes_with_its_network(self, driver: OvsNetworks) -> None:
        command("ip", "addr", "add", "192.0.2.7/24", "dev", "br-ex")
        draft = Draft()
        external = draft.network("203.0.113", dhcp=False, physical_network="public")
        await driver.apply(draft.topology())
        assert "203.0.113.1/24" in command("ip", "addr", "show", "br-ex")
        del draft.networks[external.id]
        await driver.apply(draft.topology())
        addresses = command("ip", "addr", "show", "br-ex")
        assert "203.0.113.1/24" not in addresses
        assert "192.0.2.7/24" in addresses, "that one was not ours"
        command("ip", "addr", "del", "192.0.2.7/24", "dev", "br-ex")

    async def test_a_bridge_with_a_physical_card_keeps_its_real_gateway(self, driver: OvsNetworks) -> None:
        command("ip", "link", "add", "card", "type", "veth", "peer", "name", "elsewhere")
        command("ovs-vsctl", "add-port", "br-ex", "card")
        try:
            draft = Draft()
            draft.network("203.0.113", dhcp=False, physical_network="public")
            await driver.apply(draft.topology())
            assert "203.0.113.1/24" not in command("ip", "addr", "show", "br-ex")
        finally:
            command("ovs-vsctl", "del-port", "br-ex", "card")
            command("ip", "link", "del", "card")

    async def test_without_the_daemons_the_driver_refuses_to_open_and_says_what_to_do(self, build: Build) -> None:
        socket = Path("/run/openvswitch/db.sock")
        socket.rename("/run/openvswitch/aside")
        try:
            with pytest.raises(Refused, match="openvswitch-switch"):
                await build().open()
        finally:
            Path("/run/openvswitch/aside").rename(socket)

    async def test_a_driver_killed_at_any_moment_leaves_nothing_that_the_next_does_not_mend(
        self, driver: OvsNetworks, build: Build
    ) -> None:
        draft = Draft()
        network, external = draft.network(), draft.network("203.0.113", dhcp=False, physical_network="public")
        port = draft.port(network, "10.1.0.11")
        router = draft.router([network], external, "203.0.113.9")
        draft.float(router, "203.0.113.50", "10.1.0.11")
        topology = draft.topology()
        for moment in range(10):
            victim = await asyncio.create_subprocess_exec(sys.executable, VICTIM, stdin=asyncio.subprocess.PIPE,
                                                          stdout=asyncio.subprocess.PIPE)  # fmt: skip
            assert victim.stdin is not None
            assert victim.stdout is not None
            victim.stdin.write(repr(topology).encode() + b"\n")
            await victim.stdin.drain()
            assert await victim.stdout.readline() == b"now\n"
            await asyncio.sleep(0.03 * moment)
            with contextlib.suppress(ProcessLookupError):  # it may have come to its end
                victim.kill()
            await victim.wait()
            if moment % 2:
                applied = await mend(build, Topology(revision=1))
                assert not applied.faults
                assert not await driver.holdings(), f"killed {30 * moment} ms after the start of apply"
        applied = await mend(build, topology)
        assert not applied.faults
        with PacketGuest(port, applied.vifs[port.id]) as guest:
            assert guest.lease().get("ip") == "10.1.0.11"


async def mend(build: Build, topology: Topology) -> Applied:
    """Apply as the successor of a killed driver does."""
    successor = build()
    await successor.open()
    try:
        return await successor.apply(topology)
    finally:
        await successor.close()


VICTIM = str(Path(__file__).with_name("victim.py"))


async def dnsmasq(driver: OvsNetworks) -> int:
    (pid,) = [int(item.name.split()[1]) for item in await driver.holdings() if item.kind == "process"]
    return pid


def end(pid: int) -> None:
    handle = os.pidfd_open(pid)
    signal.pidfd_send_signal(handle, signal.SIGKILL)
    select.select([handle], [], [], 5)
    os.close(handle)


def restart_switch() -> None:
    run = "/run/openvswitch"
    pid = int(Path(f"{run}/ovs-vswitchd.pid").read_text())
    end(pid)
    daemon = ["ovs-vswitchd", f"unix:{run}/db.sock", f"--pidfile={run}/ovs-vswitchd.pid", "--detach", "--no-chdir"]
    command(*daemon, f"--log-file={run}/vswitchd.log")
