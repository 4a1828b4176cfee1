"""The driver: makes the host equal to a topology, step by step, each of which may be repeated after a crash.

The idea: nothing is remembered on disk. A topology is the whole wanted state; the driver works out what that means
here (`plan`), looks at what is there (OVSDB, links, namespaces), and makes the difference. A first start, a change
and the repair after a crash are the same call. What is ours and not another novakit's, `ownership` tells.
The invariant: a tap is shut and without flows until the flows that guard it are installed, so no guest can send
before its rules stand; flows are replaced in one bundle, so no packet meets half of a program. A fault costs the
port, router or network that it belongs to (`faults`), and the rest is made.
The cost: a topology that changes nothing runs no program: one look at links, namespaces and the switch's process
(`_reality`). One in which members of groups alone are others runs ovs-ofctl once for their flows (`_amend`). Any other
runs ovs-vsctl once for all ports and ovs-ofctl once for all flows; working out plan and flows of 100 ports takes 1 ms.
"""

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.errors import Busy, Refused
from novakit_hookspecs.findings import Finding
from novakit_hookspecs.hosts import Holding, HostContext
from novakit_hookspecs.networks import Abandoned, Applied, Topology, Vif
from novakit_net_linux import links, names
from novakit_net_linux.commands import CommandFailed
from novakit_net_linux.dhcp import DhcpServers
from novakit_net_ovs import daemons, examination, ovsdb, plan
from novakit_net_ovs.abandoned import Leavings
from novakit_net_ovs.namespaces import Namespaces
from novakit_net_ovs.options import OvsOptions
from novakit_net_ovs.ovsdb import BridgeWiring, Switch
from novakit_net_ovs.ownership import Ownership
from novakit_net_ovs.taps import Taps

AT_ONCE = 8
"""Zones that are flushed side by side: each is a program."""
METADATA_IP, METADATA_PORT = "169.254.169.254", 80


class OvsNetworks:
    """Wires guests with Open vSwitch."""

    def __init__(self, options: OvsOptions | None, context: HostContext) -> None:
        self._options = options or OvsOptions()
        self._context = context
        self._switch = Switch(self._options.command_timeout)
        self._links = links.Links()
        directory = str(Path(context.state_dir).resolve())
        self._own = Ownership(directory, self._options.integration_bridge, Path(self._options.run_dir))
        self._servers = DhcpServers(self._own.files, self._options.command_timeout)
        self._leavings = Leavings(self._own, self._switch, self._links, self._options)
        self._lock = asyncio.Lock()
        self._applied: Applied | None = None
        self._topology: Topology | None = None
        self._plan = plan.Plan()
        self._ofports: dict[str, int] = {}
        self._mark: tuple[object, ...] = ()
        self._taps = Taps(self._own, self._links, self._options)
        self._namespaces = Namespaces(self._own, self._switch, self._links, self._servers, self._options)
        self._sockets: dict[str, tuple[object, socket.socket]] = {}

    async def prepare_host(self) -> Sequence[str]:
        """Start Open vSwitch's daemons when they are installed and nobody runs them."""
        if os.geteuid() != 0:
            raise Refused("the Open vSwitch network needs root: start the agent as root")
        return await daemons.start_missing()

    async def examine_host(self) -> Sequence[Finding]:
        """Return what of programs, daemons and devices is there."""
        return await examination.examine(self._options, examination.PROGRAMS)

    async def open(self) -> None:
        """Get ready; raise `Refused` with a remedy when the host lacks something."""
        if os.geteuid() != 0:
            raise Refused("the Open vSwitch network needs root: start the agent as root")
        for program, package in examination.PROGRAMS.items():
            if not shutil.which(program):
                raise Refused(f"the program {program} is missing: install the package {package}")
        try:
            wiring = await self._switch.wiring()
            await self._make_bridges(wiring)
        except (CommandFailed, Busy) as error:
            raise Refused(
                f"Open vSwitch does not answer ({error}): start its daemons, usually the service openvswitch-switch"
            ) from error

    async def close(self) -> None:
        """Let go; everything wired stays wired."""
        async with self._lock:
            for _, listener in self._sockets.values():
                listener.close()
            self._sockets.clear()
            self._links.close()

    async def apply(self, topology: Topology) -> Applied:
        """Make the host equal to the topology."""
        async with self._lock:
            if self._applied and topology.revision < self._applied.revision:
                return self._applied
            try:
                if self._applied and await self._amend(self._applied, topology):
                    self._applied = attrs.evolve(self._applied, revision=topology.revision)
                else:
                    self._applied = await self._make(topology)
                return self._applied
            except CommandFailed as error:
                raise Busy(f"the host's network could not be changed now: {error}", retry_after=5.0) from error

    async def metadata_sockets(self) -> Mapping[str, socket.socket]:
        """Return a listening TCP socket for each network id, on which only that network's guests can arrive."""
        async with self._lock:
            wanted = {network.id: names.dhcp_namespace(network.id) for network in self._plan.dhcp_networks()}
            marks = {key: links.namespace_mark(name) for key, name in wanted.items()}
            for key in [key for key, (mark, _) in self._sockets.items() if marks.get(key) != mark]:
                self._sockets.pop(key)[1].close()
            for key, mark in marks.items():
                if mark is not None and key not in self._sockets:
                    listener = await self._links.call_inside(wanted[key], links.listen, METADATA_IP, METADATA_PORT)
                    self._sockets[key] = (mark, listener)
            return {key: listener for key, (_, listener) in self._sockets.items()}

    async def holdings(self) -> Sequence[Holding]:
        """List every tap, namespace, process and bridge port of ours with what it belongs to."""
        wiring, devices, namespaces = await asyncio.gather(
            self._switch.wiring(), self._links.call(links.devices), self._links.call(links.namespaces)
        )
        found = []
        owners = {
            bridge_port.name: bridge_port.external_ids[ovsdb.OWNER] for bridge_port in self._own.bridge_ports(wiring)
        }
        for name, owner in owners.items():
            found.append(Holding(kind="bridge-port", name=name, owner=owner))
        by_tap = {names.tap(port_id): port_id for port_id in self._plan.ports}
        taps = await self._links.call(self._own.devices, [*filter(names.is_tap, devices)], wiring)
        for name in taps:
            found.append(Holding(kind="tap", name=name, owner=owners.get(name) or by_tap.get(name, "")))
        for name in set(namespaces) & self._own.namespaces():
            if room_owner := names.namespace_owner(name):
                found.append(Holding(kind="namespace", name=name, owner=room_owner))
        for network_id in self._servers.known():
            if pid := self._servers.process(network_id):
                found.append(Holding(kind="process", name=f"dnsmasq {pid}", owner=network_id))
        return found

    async def abandoned(self) -> Sequence[Abandoned]:
        """List what deployments that are lost have left on this host; Refused where nobody can be known to be."""
        return await self._leavings.listed()

    async def remove_abandoned(self, owner: str) -> None:
        """Remove what one of them has left."""
        async with self._lock:
            await self._leavings.remove(owner)

    async def _amend(self, applied: Applied, topology: Topology) -> bool:
        """Let in other members of groups; False where anything else is another, or is not there as we made it."""
        before, bridge = self._topology, self._options.integration_bridge
        if before is None or applied.faults:
            return False
        same = attrs.evolve(topology, revision=0, groups=()) == attrs.evolve(before, revision=0, groups=())
        if not same or await self._links.call(self._reality) != self._mark:
            return False
        if topology.groups != before.groups:
            if (joined := self._plan.joined(topology.groups)) is None:
                return False
            self._topology = None
            await self._switch.replace_flows(bridge, joined.flows(self._ofports, bridge))
            self._plan, self._topology = joined, topology
        return True

    def _reality(self) -> tuple[object, ...]:
        """A mark of everything of ours that may vanish without us: switch, taps, namespaces, DHCP servers."""
        there = links.devices()
        taps = tuple(there.get(names.tap(port_id)) for port_id in self._plan.ports)
        networks = [network.id for network in self._plan.dhcp_networks()]
        namespaces = [names.dhcp_namespace(network) for network in networks]
        namespaces += [names.router_namespace(router) for router in self._plan.routers]
        marks = tuple(links.namespace_mark(namespace) for namespace in namespaces)
        return self._switch.identity(), taps, marks, tuple(self._servers.process(network) for network in networks)

    async def _make(self, topology: Topology) -> Applied:
        before, self._topology = self._plan, None
        wanted = plan.make(topology, self._options.bridge_mappings)
        if self._mark[:1] != (self._switch.identity(),):
            # A switch that was started again has no flows of ours, so the next program is installed whole.
            self._switch.forget_flows()
        wiring = found = await self._make_bridges(await self._switch.wiring())
        lost = await self._lost(wanted, wiring)
        await self._taps.make(wanted, wiring)
        wiring = await self._attach(wanted, wiring, lost)
        ofports = self._working(wanted, wiring)
        # Beside a physical card lives the real gateway: its address is not ours to take.
        carded = {
            bridge_port.bridge
            for bridge_port in wiring.bridge_ports.values()
            if bridge_port.type not in ("internal", "patch")
        }
        wanted.outside = {bridge: ip for bridge, ip in wanted.outside.items() if bridge not in carded}
        flows = wanted.flows(ofports, self._options.integration_bridge)
        await self._switch.replace_flows(self._options.integration_bridge, flows)
        await self._forget_connections(before, wanted)
        await self._links.call(links.raise_links, await self._taps.shut(wanted))
        if self._options.external_address:
            bridges = {bridge: wanted.outside.get(bridge) for bridge in self._options.bridge_mappings.values()}
            await self._links.call(links.set_outside_addresses, bridges)
        await self._namespaces.make(before, wanted)
        await self._sweep(wanted, found)
        self._plan, self._ofports = wanted, ofports
        applied = Applied(
            revision=topology.revision,
            vifs={
                port.id: Vif(device=names.tap(port.id), mtu=wanted.networks[port.network_id].mtu)
                for port in wanted.ports.values()
            },
            faults=wanted.faults,
        )
        self._mark = await self._links.call(self._reality)
        self._topology = topology
        return applied

    async def _make_bridges(self, wiring: BridgeWiring) -> BridgeWiring:
        integration = self._options.integration_bridge
        outside = dict.fromkeys(self._options.bridge_mappings.values())
        # An address of ours outside would be another's, too, where two gave one to the same bridge.
        claimed = [integration, *(outside if self._options.external_address else ())]
        self._own.require(wiring, claimed)
        commands: list[list[str]] = []
        missing = [bridge for bridge in (integration, *outside) if bridge not in wiring.bridges]
        if missing:
            kind = await self._datapath(wiring)
            for bridge in missing:
                commands += [["--may-exist", "add-br", bridge], ["set", "Bridge", bridge, f"datapath_type={kind}"]]
                if bridge == integration:
                    # Without it the switch forwards like any other while it has no flows: guests unfiltered.
                    commands.append(["set-fail-mode", bridge, "secure"])
            self._switch.forget_flows()
        commands += [
            line for bridge in outside for line in ovsdb.connect_bridges(integration, bridge, wiring.bridge_ports)
        ]
        if commands:
            await self._switch.change(commands)
            wiring = await self._switch.wiring()
        return await self._own.claim(self._switch, wiring, claimed)

    async def _datapath(self, wiring: BridgeWiring) -> str:
        """Which kind of switch to make: as the bridges that are there, else what the kernel can do."""
        if self._options.datapath != "auto":
            return self._options.datapath
        if wiring.bridges:
            return next(iter(wiring.bridges.values()))
        is_usable = examination.KERNEL_MODULE.exists() and "system" in await self._switch.datapaths()
        return "system" if is_usable else "netdev"

    async def _lost(self, wanted: plan.Plan, wiring: BridgeWiring) -> set[str]:
        """Name the bridge ports that have to be added anew for the switch to make or open their device again.

        Their device is gone, or it is in a namespace, where the switch cannot change it any more.
        """
        here, namespaces = await asyncio.gather(self._links.call(links.devices), self._links.call(links.namespaces))
        somewhere = {
            name for namespace in wanted.namespaces() if namespace.name in namespaces for name in namespace.devices()
        }
        plugged = {
            name: wiring.bridge_ports[name].external_ids for name in wanted.bridge_ports if name in wiring.bridge_ports
        }
        return {
            name
            for name, marks in plugged.items()
            if (name not in here and name not in somewhere)
            or (wanted.bridge_ports[name].internal and dict(marks) != wanted.bridge_ports[name].external_ids())
        }

    async def _attach(self, wanted: plan.Plan, wiring: BridgeWiring, lost: set[str]) -> BridgeWiring:
        """Plug in what is missing and out what is not wanted, in one transaction if that works."""
        integration = self._options.integration_bridge
        removals = [
            ["--if-exists", "del-port", bridge_port.name]
            for bridge_port in self._own.bridge_ports(wiring)
            if not bridge_port.is_for(wanted.bridge_ports.get(bridge_port.name))
        ]
        if lost:
            await self._switch.change([["--if-exists", "del-port", name] for name in sorted(lost)])
            wiring = await self._switch.wiring()
        fresh = [
            item
            for item in wanted.bridge_ports.values()
            if item.name not in wiring.bridge_ports
            or dict(wiring.bridge_ports[item.name].external_ids) != item.external_ids()
        ]
        if not removals and not fresh:
            return wiring
        try:
            await self._switch.change(
                [*removals, *(line for item in fresh for line in ovsdb.add_bridge_port(integration, item))]
            )
        except CommandFailed:
            # All or none failed because of one; which one, only trying each by itself tells.
            await self._switch.change(removals)
            for item in fresh:
                try:
                    await self._switch.change(ovsdb.add_bridge_port(integration, item))
                except CommandFailed as error:
                    wanted.drop(item.owner, str(error))
        return await self._switch.wiring()

    def _working(self, wanted: plan.Plan, wiring: BridgeWiring) -> dict[str, int]:
        """Return the switch's port numbers by device; a port whose device the switch could not open is given up."""
        for item in list(wanted.bridge_ports.values()):
            bridge_port = wiring.bridge_ports.get(item.name)
            if bridge_port is None or bridge_port.ofport < 1:
                wanted.drop(
                    item.owner,
                    f"the switch could not open {item.name}: {bridge_port.error if bridge_port else 'it is gone'}",
                )
        return {
            bridge_port.name: bridge_port.ofport
            for bridge_port in wiring.bridge_ports.values()
            if bridge_port.ofport > 0
        }

    async def _forget_connections(self, before: plan.Plan, wanted: plan.Plan) -> None:
        """Forget the connections of addresses that were given up, so that their next holder does not inherit them."""
        bridge = self._options.integration_bridge
        zones = set(before.zones.values()) - set(wanted.zones.values())
        steps = [self._switch.flush(bridge, zone) for zone in zones]
        for port in before.ports.values():
            zone = before.zones[port.network_id]
            now = wanted.ports.get(port.id)
            kept = {address.ip for address in now.addresses} if now else set()
            if zone not in zones:
                steps += [self._switch.flush(bridge, zone, item.ip) for item in port.addresses if item.ip not in kept]
        for start in range(0, len(steps), AT_ONCE):
            await asyncio.gather(*steps[start : start + AT_ONCE])

    async def _sweep(self, wanted: plan.Plan, found: BridgeWiring) -> None:
        """Remove what is ours and not wanted: namespaces, servers, taps. `found` is what was plugged in before."""
        here = await self._links.call(links.devices)
        await self._namespaces.sweep(wanted)
        left = [
            name for name in here if (names.is_tap(name) or names.is_service(name)) and name not in wanted.bridge_ports
        ]
        if left:
            await self._links.call(links.remove_links, await self._links.call(self._own.devices, left, found))
