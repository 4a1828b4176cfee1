"""Which client a request is of: the peer, or whom a trusted proxy speaks for."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from aiohttp import web

from novakit.config.connections import IpNetwork


@lru_cache(maxsize=4096)
def bucket(text: str | None) -> str:
    """Return what is counted as one client: an IPv4 address, or the /64 that one IPv6 customer gets."""
    address = _parsed(text)
    if address is None:
        return text or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def is_trusted(text: str | None, proxies: Sequence[IpNetwork]) -> bool:
    """Return whether an address is one of the trusted proxies."""
    address = _parsed(text)
    return address is not None and any(address in network for network in proxies)


def client_of(request: web.BaseRequest, proxies: Sequence[IpNetwork]) -> str:
    """Return the client's address: the peer's, or the last one in X-Forwarded-For that is no trusted proxy.

    The header counts only where the peer is a trusted proxy, and is read from its end: what stands before the first
    address that we cannot vouch for was written by the client itself.
    """
    here = request.remote or "unknown"
    if not proxies or not is_trusted(here, proxies):
        return here
    hops = [one.strip() for line in request.headers.getall("X-Forwarded-For", []) for one in line.split(",")]
    for hop in reversed(hops):
        if _parsed(hop) is None:
            return here
        here = hop
        if not is_trusted(hop, proxies):
            return here
    return here


def forwarded_scheme(request: web.BaseRequest, proxies: Sequence[IpNetwork]) -> str | None:
    """Return the scheme by which the client reached a trusted proxy; None where nobody trusted says so."""
    if not proxies:
        return None
    said = request.headers.get("X-Forwarded-Proto", "").strip().lower()
    return said if said in ("http", "https") and is_trusted(request.remote, proxies) else None


@lru_cache(maxsize=4096)
def _parsed(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
