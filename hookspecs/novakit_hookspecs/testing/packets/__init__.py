"""What a network driver that moves real packets must hold: `WiresPackets`.

It runs as root on a host of its own (a machine, or namespaces that a test makes).
Its guests are namespaces at the far end of the ports' taps.
A subclass overrides `build`, as for `NetworkConformance`, whose tests it holds too.
"""

from novakit_hookspecs.testing.packets.frame import Pair
from novakit_hookspecs.testing.packets.guarded import GuardsPorts
from novakit_hookspecs.testing.packets.routed import RoutesPackets

__all__ = ["Pair", "WiresPackets"]


class WiresPackets(GuardsPorts, RoutesPackets):
    """The security groups, the services and the ways out, proven with packets."""
