"""Which bridges, devices and namespaces of this host are this driver's: several novakits may share one switch.

The idea: a bridge belongs to one state directory, which its external_ids name, so what is plugged into our integration
bridge is ours. What is in no bridge has a mark of its own: a tap an alias, a namespace a file in the run directory,
which a reboot loses together with the namespace.
The invariant: what may be another's is never removed. A device is ours when it is in our bridge or carries our mark;
without either only while it is down, for no guest can use it then: our own death between making and marking it, or
another's, who makes it again. A namespace is ours when its file was written before it was made.
The cost: one look at the devices that are to be removed, none where there is nothing to remove.
"""

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path

import attrs

from novakit_hookspecs.errors import Refused
from novakit_net_linux import links
from novakit_net_linux.dhcp import make_passable
from novakit_net_ovs import ovsdb
from novakit_net_ovs.ovsdb import BridgePort, BridgeWiring, Switch

MARK = "novakit "
"""What the alias of a tap begins with, before the state directory."""
ALIAS = 255
"""Characters that the kernel keeps of a device's alias (IFALIASZ of linux/if.h, without the end)."""


@attrs.frozen
class Ownership:
    """What is one driver's."""

    directory: str
    """The state directory, absolute: who we are."""
    bridge: str
    """The integration bridge."""
    run_dir: Path
    """Where processes' files live; lost at a reboot."""

    @property
    def files(self) -> Path:
        """Return where the files of this bridge's processes and namespaces are."""
        return self.run_dir / self.bridge

    @property
    def mark(self) -> str:
        """Return what the taps that we make carry as an alias."""
        return f"{MARK}{self.directory}"[:ALIAS]

    async def claim(self, switch: Switch, wiring: BridgeWiring, bridges: Collection[str]) -> BridgeWiring:
        """Make bridges ours that are nobody's, and mark ours. Raises Refused when one is another's."""
        if free := [bridge for bridge in bridges if bridge not in wiring.directories]:
            await switch.change([ovsdb.claim_bridge(bridge, self.directory) for bridge in free])
            wiring = await switch.wiring()
            self.require(wiring, free)
        # Only then, for what is another's is not ours to mark.
        wrong = [bridge for bridge in bridges if (bridge == self.bridge) != (bridge in wiring.for_guests)]
        await switch.change([self._mark(bridge) for bridge in wrong])
        return wiring

    def _mark(self, bridge: str) -> list[str]:
        if bridge == self.bridge:
            return ovsdb.mark_for_guests(bridge, self.directory)
        return ovsdb.unmark_for_guests(bridge)

    def require(self, wiring: BridgeWiring, bridges: Iterable[str]) -> None:
        """Raise Refused when one of the bridges is another's."""
        for bridge in bridges:
            owner = wiring.directories.get(bridge, self.directory)
            if owner != self.directory:
                release = f"ovs-vsctl remove Bridge {bridge} external_ids {ovsdb.DIRECTORY}"
                raise Refused(
                    f"the bridge {bridge} belongs to another novakit on this machine, whose state is in {owner}: give"
                    f" this one bridges of its own by integration_bridge and bridge_mappings of [networks.ovs]; or, if"
                    f" that state was moved to {self.directory}, run: {release}"
                )

    def bridge_ports(self, wiring: BridgeWiring) -> list[BridgePort]:
        """Return what we plugged into the integration bridge."""
        return [
            each
            for each in wiring.bridge_ports.values()
            if each.bridge == self.bridge and ovsdb.OWNER in each.external_ids
        ]

    def devices(self, candidates: Iterable[str], wiring: BridgeWiring) -> list[str]:
        """Return which of these devices of the host are ours."""
        return [
            name
            for name, (mark, up) in self._unplugged_elsewhere(candidates, wiring).items()
            if mark == self.mark or name in wiring.bridge_ports or (not mark and not up)
        ]

    def _unplugged_elsewhere(self, candidates: Iterable[str], wiring: BridgeWiring) -> dict[str, tuple[str, bool]]:
        plugged = {name: each.bridge for name, each in wiring.bridge_ports.items()}
        asked = [name for name in candidates if plugged.get(name, self.bridge) == self.bridge]
        return links.marks(asked) if asked else {}

    async def note_namespace(self, name: str) -> None:
        """Remember a namespace as ours, before it is made."""
        await asyncio.to_thread(_touch, self._namespaces / name)

    async def forget_namespaces(self, names: Iterable[str]) -> None:
        """Forget namespaces, after they were removed."""
        for name in names:
            (self._namespaces / name).unlink(missing_ok=True)

    def namespaces(self) -> set[str]:
        """Return the namespaces that we made, whether they are there or not."""
        return _listed(self._namespaces)

    @property
    def _namespaces(self) -> Path:
        return self.files / "namespaces"


def _listed(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _touch(path: Path) -> None:
    # The directory above is that of dnsmasq's files, too, which a user without rights reads.
    make_passable(path.parent)
    path.touch()
