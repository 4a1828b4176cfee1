"""Wrong passwords cost time: whoever guesses waits longer with each one, and others do not.

What is counted is a user as seen from one client address, so that a stranger cannot lock a user out from elsewhere,
and the address alone, so that one address cannot try a list of users.
Counts are kept in this process: a restart forgets them, and several API processes count each for itself, so that an
attacker gains as many guesses as there are processes and restarts, which neither he nor the clock makes many of.
"""

import attrs

from novakit import world
from novakit.errors import TooMany

FREE = 5
"""Wrong passwords of one user from one address that cost nothing."""
FREE_OF_ADDRESS = 50
"""Wrong passwords from one address, whoever's."""
LONGEST = 300.0
"""Seconds of the longest pause; the first is one second, and each is twice the one before it."""
FORGOTTEN_AFTER = 900.0
"""Seconds without a wrong password after which all of them are forgotten."""
MOST = 100_000
"""Counts that are kept; beyond them the oldest go."""


@attrs.define
class _Count:
    wrong: int = 0
    last: float = 0.0
    free_at: float = 0.0


@attrs.define
class Attempts:
    """Counts wrong passwords."""

    _counts: dict[tuple[str, str], _Count] = attrs.field(factory=dict)

    def require_turn(self, user: str, address: str) -> None:
        """Go on only where nobody has to wait. Raises TooMany with the seconds that are left."""
        now = world.monotonic()
        found = (self._counts.get((user, address)), self._counts.get(("", address)))
        left = max((count.free_at - now for count in found if count), default=0.0)
        if left > 0:
            seconds = int(left) + 1
            raise TooMany(
                f"Too many wrong passwords came from this address; try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )

    def wrong(self, user: str, address: str) -> None:
        """Note a wrong password."""
        self._note((user, address), FREE)
        self._note(("", address), FREE_OF_ADDRESS)

    def right(self, user: str, address: str) -> None:
        """Forget what a user did wrong before; the address keeps its count, or a good login would buy guesses."""
        self._counts.pop((user, address), None)

    def _note(self, key: tuple[str, str], free: int) -> None:
        now = world.monotonic()
        count = self._counts.pop(key, None)
        if count is None or now - count.last > FORGOTTEN_AFTER:
            count = _Count()
        count.wrong += 1
        count.last = now
        if count.wrong >= free:
            count.free_at = now + min(LONGEST, 2.0 ** min(count.wrong - free, 20))
        while len(self._counts) >= MOST:
            del self._counts[next(iter(self._counts))]
        self._counts[key] = count  # at the end, so that the first ones are the oldest
