"""How many descriptors this process may have, and how many of them connections may take."""

import resource

RESERVE = 512
"""Descriptors for everything but clients: databases, files, the bus, drivers, and what the kernel has accepted before
anybody could count it (`BACKLOG`)."""
BACKLOG = 256
"""Connections that the kernel keeps until they are accepted; all of them may be accepted in one turn of the loop."""


def raise_limit(wanted: int) -> int:
    """Raise the soft limit to `wanted`, as far as the hard one goes; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if goal > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        return goal
    return soft


def room(total: int, descriptors: int) -> int:
    """Return how many connections fit: `total`, or what the descriptors leave, and never fewer than 32."""
    return max(32, min(total, descriptors - RESERVE))
