"""The network service: networks, ports, routers, floating IPs, security groups, and what hosts make of them."""

from novakit.network.records import Ask, Fixed, PortInfo, Requested
from novakit.network.service import Networks

__all__ = ["Ask", "Fixed", "Networks", "PortInfo", "Requested"]
