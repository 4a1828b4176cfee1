"""What deployments that are not on this host any more have left of their networks, told of and removed on request.

The idea: a bridge, a tap and, by its bridge, a namespace name the state directory that they were made for. Where no
process of this machine sees that directory, in whatever mount namespace and root, whoever it was is gone; so is one
whose disk is unmounted and who does not run, hence nothing is removed without an operator's word.
The invariant: what is ours, and what is of a directory that somebody sees, is neither listed nor removed. Nothing is
removed of an owner while a guest is plugged into a tap of it, or somebody else's process runs in one of its namespaces.
A namespace whose owner's directory is not known stays: no process runs in that of a router, in use or not.
The cost: one look at devices, namespaces, bridges and processes, when an operator asks.
"""

import asyncio
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import attrs

from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.hosts import Holding
from novakit_hookspecs.networks import Abandoned
from novakit_net_linux import links, names
from novakit_net_linux.dhcp import DhcpServers
from novakit_net_ovs import ovsdb, processes
from novakit_net_ovs.options import OvsOptions
from novakit_net_ovs.ovsdb import BridgeWiring, Switch
from novakit_net_ovs.ownership import ALIAS, MARK, Ownership

NAMESPACES = Path("/run/netns")


@attrs.define
class Left:
    """What is there of one owner."""

    owner: str
    bridges: list[str] = attrs.field(factory=list)
    """Those that were made for guests are removed, the others given up."""
    bridge_ports: dict[str, str] = attrs.field(factory=dict)
    """By name, what each belonged to; that of a patch between bridges is nothing."""
    taps: dict[str, str] = attrs.field(factory=dict)
    namespaces: list[str] = attrs.field(factory=list)
    servers: dict[str, Path] = attrs.field(factory=dict)
    """By network, where the files of its DHCP server are."""
    processes: dict[str, int] = attrs.field(factory=dict)
    """By network, its DHCP server."""
    in_use: str = ""

    def told(self) -> Abandoned:
        """Write it down for operators."""
        spaces = {name: names.namespace_owner(name) or "" for name in self.namespaces}
        kinds = {"bridge": dict.fromkeys(self.bridges, ""), "bridge-port": self.bridge_ports, "tap": self.taps}
        kinds |= {"namespace": spaces, "process": {f"dnsmasq {pid}": net for net, pid in self.processes.items()}}
        things = [
            Holding(kind=kind, name=name, owner=owner) for kind, some in kinds.items() for name, owner in some.items()
        ]
        return Abandoned(owner=self.owner, things=tuple(things), in_use=self.in_use)


@attrs.frozen
class Leavings:
    """Finds what others have left, and removes it."""

    own: Ownership
    switch: Switch
    links: links.Links
    options: OvsOptions

    async def listed(self) -> list[Abandoned]:
        """List it by owner. Raises Refused where nobody can be known to be gone."""
        self._require_sight()
        return [each.told() for each in (await self._found()).values()]

    async def remove(self, owner: str) -> None:
        """Remove all that an owner has left. Raises NotFound and Refused."""
        self._require_sight()
        left = (await self._found()).get(owner)
        if left is None:
            raise NotFound(f"{owner} has left nothing on this host")
        if left.in_use:
            raise Refused(f"what {owner} has left is in use: {left.in_use}")
        for network, files in left.servers.items():
            await DhcpServers(files, self.options.command_timeout).stop(network)
        await self.links.call(links.remove_namespaces, left.namespaces)
        await self._unplug(left)
        await self.links.call(links.remove_links, left.taps)
        for bridge in left.bridges:
            await asyncio.to_thread(shutil.rmtree, self.own.run_dir / bridge, ignore_errors=True)
        for name in left.namespaces:
            for note in self.own.run_dir.glob(f"*/namespaces/{name}"):
                note.unlink(missing_ok=True)

    def _require_sight(self) -> None:
        if not (self.options.sees_all_processes or processes.all_are_there()):
            raise Refused(
                "the agent does not see all processes of this machine, so nobody can be known to be gone: start it"
                " outside of containers, or see sees_all_processes of [networks.ovs]"
            )

    async def _unplug(self, left: Left) -> None:
        wiring = await self.switch.wiring()
        # A bridge that somebody else has plugged something into stays, and so does one that leads outside.
        shared = {
            each.bridge
            for name, each in wiring.bridge_ports.items()
            if name not in left.bridge_ports and name != each.bridge
        }
        commands = [["--if-exists", "del-port", name] for name in left.bridge_ports]
        given_up = [each for each in left.bridges if each in shared or not self._is_for_guests(each, wiring)]
        commands += [ovsdb.release_bridge(bridge) for bridge in given_up]
        commands += [["--if-exists", "del-br", bridge] for bridge in left.bridges if bridge not in given_up]
        await self.switch.change(commands)
        await self.links.call(links.set_outside_addresses, dict.fromkeys(given_up))

    def _is_for_guests(self, bridge: str, wiring: BridgeWiring) -> bool:
        if bridge in wiring.for_guests:
            return True
        # One that was made before bridges were marked is given up after a reboot, which loses its files, if empty.
        plugged = [each for each in wiring.bridge_ports.values() if each.bridge == bridge]
        return (self.own.run_dir / bridge).is_dir() or any(ovsdb.OWNER in each.external_ids for each in plugged)

    async def _found(self) -> dict[str, Left]:
        wiring, devices, namespaces = await asyncio.gather(
            self.switch.wiring(), self.links.call(links.devices), self.links.call(links.namespaces)
        )
        taps = [name for name in devices if names.is_tap(name)]
        marks, plugged = await self.links.call(links.marks, taps), await self.links.call(links.opened, taps)
        found = _LeftByOwner()
        _see_bridges(wiring, found)
        _see_taps(wiring, marks, found)
        await self._see_namespaces(wiring, namespaces, found)
        found.of.pop(self.own.directory, None)
        for owner in await asyncio.to_thread(processes.seen, [each for each in found.of if _is_directory(each)]):
            del found.of[owner]
        for left in found.of.values():
            left.in_use = await asyncio.to_thread(_use, left, plugged)
        return found.of

    async def _see_namespaces(self, wiring: BridgeWiring, there: Iterable[str], found: "_LeftByOwner") -> None:
        noted = {path.name: path.parent.parent.name for path in self.own.run_dir.glob("*/namespaces/*")}
        ours = self.own.namespaces()
        for name in there:
            if names.namespace_owner(name) is None or name in ours:
                continue
            bridges = {noted[name]} if name in noted else await self._bridges_of(name, wiring)
            owners = [wiring.directories[bridge] for bridge in bridges if bridge in wiring.directories]
            found.left(owners[0] if owners else name).namespaces.append(name)
        homes = {path: path.parent.parent for path in self.own.run_dir.glob("*/dhcp/*")}
        for path, files in homes.items():
            if files == self.own.files:
                continue
            owner = wiring.directories.get(files.name) or names.dhcp_namespace(path.name)
            left = found.left(owner)
            left.servers[path.name] = files
            if pid := DhcpServers(files, self.options.command_timeout).process(path.name):
                left.processes[path.name] = pid

    async def _bridges_of(self, namespace: str, wiring: BridgeWiring) -> set[str]:
        """Name the bridges that devices in a namespace are plugged into."""
        try:
            inside = await self.links.call_inside(namespace, links.devices)
        except (OSError, links.LinkFailed):
            return set()
        return {wiring.bridge_ports[name].bridge for name in inside if name in wiring.bridge_ports}


@attrs.frozen
class _LeftByOwner:
    of: dict[str, Left] = attrs.field(factory=dict)

    def left(self, owner: str) -> Left:
        return self.of.setdefault(owner, Left(owner))


def _see_bridges(wiring: BridgeWiring, found: _LeftByOwner) -> None:
    for bridge, directory in wiring.directories.items():
        left = found.left(directory)
        left.bridges.append(bridge)
        for name, each in wiring.bridge_ports.items():
            if each.bridge == bridge and ovsdb.OWNER in each.external_ids:
                left.bridge_ports[name] = each.external_ids[ovsdb.OWNER]
        patches = {names.patch(*pair) for other in wiring.bridges for pair in ((bridge, other), (other, bridge))}
        left.bridge_ports |= dict.fromkeys(patches & wiring.bridge_ports.keys(), "")


def _see_taps(wiring: BridgeWiring, marks: Mapping[str, tuple[str, bool]], found: _LeftByOwner) -> None:
    for name, (mark, up) in marks.items():
        plug = wiring.bridge_ports.get(name)
        if plug is not None:
            if directory := wiring.directories.get(plug.bridge):
                found.left(directory).taps[name] = plug.external_ids.get(ovsdb.OWNER, "")
        elif mark.startswith(MARK) and len(mark) < ALIAS:  # one that was cut off says of nobody for certain
            found.left(mark.removeprefix(MARK)).taps[name] = ""
        elif not mark and up:
            found.left(name).taps[name] = ""


def _use(left: Left, plugged: Collection[str]) -> str:
    """Return what uses something of an owner; empty where nothing does."""
    if taps := sorted(plugged & left.taps.keys()):
        return f"a guest is plugged into {', '.join(taps[:3])}; end it first"
    own = {*left.processes.values()}
    if own and not _is_directory(left.owner):
        # Nothing says whose it is, so whoever runs it may live.
        return f"process {min(own)} is a DHCP server, and nothing says whose; end it first"
    if used := processes.use({name: NAMESPACES / name for name in left.namespaces}, own):
        return used
    if left.namespaces and not _is_directory(left.owner):
        # Of a tap one sees whether a guest has it open; a router works in the kernel, and nobody is seen at it.
        name = left.namespaces[0]
        return f"perhaps, as nothing says whose the namespace {name} is; if it is nobody's, run: ip netns delete {name}"
    return ""


def _is_directory(owner: str) -> bool:
    """Return whether a state directory is known; else the owner is called by what is there."""
    return owner.startswith("/")
