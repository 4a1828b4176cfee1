"""What the front and the log are told: limits of connections, shares of the process, size of the log."""

import ipaddress

import attrs

from novakit.config import checks

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen(kw_only=True)
class ConnectionOptions:
    """`[connections]`: how many may be open, and how long each may take; seconds and bytes."""

    total: int = attrs.field(default=8192, validator=checks.positive)
    """Connections open at a time; fewer where the limit of descriptors is lower."""
    per_address: int = attrs.field(default=2048, validator=checks.positive)
    """Connections open at a time from one client address (IPv6: one /64); trusted proxies are exempt."""
    header_within: float = attrs.field(default=10.0, validator=checks.positive)
    """Seconds from the first byte of a request, or from the connection, to the end of its headers."""
    body_within: float = attrs.field(default=20.0, validator=checks.positive)
    """Seconds for the body of a request; each `body_rate` bytes that arrive give one more."""
    body_rate: int = attrs.field(default=4096, validator=checks.positive)
    """Bytes a second that a long body must keep up."""
    idle_within: float = attrs.field(default=75.0, validator=checks.positive)
    """Seconds for which a connection may stay open between two requests."""
    send_within: float = attrs.field(default=60.0, validator=checks.positive)
    """Seconds for which a client may read nothing of an answer that is being sent."""
    descriptors: int = attrs.field(default=65536, validator=checks.positive)
    """What the process raises its own limit of open descriptors to, as far as the system lets it."""
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=checks.networks)
    """Addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def proxies(self) -> tuple[IpNetwork, ...]:
        """Return the trusted proxies as networks."""
        return tuple(ipaddress.ip_network(text) for text in self.trusted_proxies)


@attrs.frozen(kw_only=True)
class SharingOptions:
    """`[sharing]`: requests under way at a time, in all and of one project."""

    ordinary: int = attrs.field(default=256, validator=checks.positive)
    ordinary_each: int = attrs.field(default=64, validator=checks.positive)
    heavy: int = attrs.field(default=8, validator=checks.positive)
    """Lists with details, allocation candidates, dry runs."""
    heavy_each: int = attrs.field(default=4, validator=checks.positive)
    transfer: int = attrs.field(default=64, validator=checks.positive)
    """Uploads and downloads of images."""
    transfer_each: int = attrs.field(default=16, validator=checks.positive)
    waiting_each: int = attrs.field(default=1000, validator=checks.positive)
    """Requests of one project that wait for a place; one more is answered 429."""
    strangers_rate: float = attrs.field(default=200.0, validator=checks.positive)
    """Requests without a good token that are answered in a second, for one client address; others wait."""


@attrs.frozen(kw_only=True)
class LogOptions:
    """`[log]`: how much is kept, and what repeats too often."""

    max_bytes: int = attrs.field(default=100 << 20, validator=checks.positive)
    """Bytes after which the file is put aside as FILE.1 and begun anew."""
    keep: int = attrs.field(default=5, validator=checks.few)
    """How many files put aside are kept, at most a thousand: each is renamed when another one is put aside."""
    repeats: int = attrs.field(default=20, validator=checks.positive)
    """Lines of one kind that are written within `repeats_within`; of further ones only the number is written."""
    repeats_within: float = attrs.field(default=10.0, validator=checks.positive)
    """Seconds over which `repeats` counts."""
