"""Which address this machine reaches others from."""

import socket
from contextlib import suppress

ELSEWHERE = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))
"""Addresses that documentation owns; asking for the way to them sends nothing."""


def own() -> str | None:
    """Return this machine's address towards the default route; None where there is no way out."""
    for there, family in ELSEWHERE:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((there, 9))
            return str(asking.getsockname()[0])
    return None
