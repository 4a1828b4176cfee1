"""The taps of guests: made shut and deaf, and raised once the flows that guard them are installed."""

import attrs

from novakit_net_linux import guard, links
from novakit_net_ovs.options import OvsOptions
from novakit_net_ovs.ovsdb import BridgeWiring
from novakit_net_ovs.ownership import Ownership
from novakit_net_ovs.plan import Plan


@attrs.define
class Taps:
    """The taps of this host's guests, as far as they were seen right."""

    own: Ownership
    links: links.Links
    options: OvsOptions
    _right: dict[str, tuple[int | None, int]] = attrs.field(factory=dict)
    """By name, the index of the device and its MTU."""

    async def make(self, wanted: Plan, wiring: BridgeWiring) -> None:
        """Make the taps that we have not seen right yet, deaf for the host itself before anybody speaks."""
        taps = {
            bridge_port.name: bridge_port for bridge_port in wanted.bridge_ports.values() if bridge_port.kind == "tap"
        }
        here = await self.links.call(links.devices)
        fresh = {
            name: bridge_port.mtu
            for name, bridge_port in taps.items()
            if self._right.get(name) != (here.get(name), bridge_port.mtu)
        }
        if not fresh:
            return
        for name, why in (await self.links.call(links.make_taps, fresh, self.own.mark)).items():
            wanted.drop(taps[name].owner, why)
            fresh.pop(name)
        if wiring.bridges.get(self.options.integration_bridge) == "netdev":
            await guard.shield(fresh, self.options.command_timeout)

    async def shut(self, wanted: Plan) -> list[str]:
        """Name the taps that were made and are not raised yet, and remember them as right."""
        here = await self.links.call(links.devices)
        right = {
            bridge_port.name: (here.get(bridge_port.name), bridge_port.mtu)
            for bridge_port in wanted.bridge_ports.values()
            if bridge_port.kind == "tap"
        }
        shut = [name for name, seen in right.items() if self._right.get(name) != seen]
        self._right = right
        return shut
