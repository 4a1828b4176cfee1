"""The limits of connections, as the configuration gives them."""

import ipaddress
from typing import Any

import attrs

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _positive(instance: object, attribute: Any, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be above 0")


def _networks(instance: object, attribute: Any, value: tuple[str, ...]) -> None:
    for text in value:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise ValueError(f"{attribute.name} takes addresses and networks such as 10.0.0.0/8: {error}") from None


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    """`[connections]`: how many may be open, and how long each may take; seconds and bytes."""

    total: int = attrs.field(default=8192, validator=_positive)
    """Open at a time; fewer where the limit of descriptors is lower."""
    per_address: int = attrs.field(default=2048, validator=_positive)
    """Open at a time from one client address (IPv6: one /64); trusted proxies are exempt."""
    header_within: float = attrs.field(default=10.0, validator=_positive)
    """From the first byte of a request, or from the connection, to the end of its headers."""
    body_within: float = attrs.field(default=20.0, validator=_positive)
    """For the body of a request; each `body_rate` bytes that arrive give a second more."""
    body_rate: int = attrs.field(default=4096, validator=_positive)
    """Bytes a second that a long body must keep up."""
    idle_within: float = attrs.field(default=75.0, validator=_positive)
    """Between two requests."""
    send_within: float = attrs.field(default=60.0, validator=_positive)
    """For which a client may take nothing of an answer that waits for it."""
    descriptors: int = attrs.field(default=65536, validator=_positive)
    """What the process raises its own limit of open descriptors to, as far as the system lets it."""
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=_networks)
    """Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def proxies(self) -> tuple[Network, ...]:
        """Return the trusted proxies as networks."""
        return tuple(ipaddress.ip_network(text) for text in self.trusted_proxies)
