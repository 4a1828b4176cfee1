"""The user that a guest's emulator runs as: a number of its own for each guest, which no account has.

A guest that has taken its emulator over then is nobody: it owns no file, and may neither signal nor read the
emulators of other guests, which one user for all of them would let it.
"""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

FIRST = 1_900_000_000
"""Above the numbers of accounts, of containers' users (subuid) and of systemd's, and below 2^31."""
COUNT = 1 << 16
"""As many as one container's range of users has; more guests than any host runs."""


def unused(guest: str, used: Collection[int], first: int = FIRST) -> int:
    """Return a number from `first` on that is not in `used`.

    It begins at a place that depends on the guest: a number is not given to the next guest as soon as it is free, and
    two services of one host, which do not know of each other, seldom give the same.
    Raises ValueError when all are used.
    """
    at = int.from_bytes(hashlib.sha256(guest.encode()).digest()[:8], "big")
    for step in range(COUNT):
        if (number := first + (at + step) % COUNT) not in used:
            return number
    raise ValueError(f"the {COUNT} users from {first} on are all given to guests")


def unmapped(first: int = FIRST, maps: Path = Path("/proc/self/uid_map")) -> bool:
    """Return whether this process, root in a container perhaps, cannot become one of these users."""
    for line in maps.read_text().splitlines():
        begin, _, count = map(int, line.split())
        if begin <= first and first + COUNT <= begin + count:
            return False
    return True


def may_be_given() -> bool:
    """Return whether this process may start others as another user."""
    return os.geteuid() == 0
