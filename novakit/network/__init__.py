"""The network service: networks, ports, routers, floating IPs, security groups, and what hosts make of them."""

from novakit.network.records import Fixed, NicRequest, PortInfo, Requested, ShownPort
from novakit.network.service import Networks

__all__ = ["Fixed", "Networks", "NicRequest", "PortInfo", "Requested", "ShownPort"]
