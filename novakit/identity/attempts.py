"""Wrong passwords cost time: after some free ones, each next one has to wait twice as long as the one before.

The idea: counted are a user together with a client address, so that a stranger cannot lock a user out from elsewhere,
and the address alone, so that one address cannot try a list of users. A user who logged in from an address lately does
not wait for what others do there.

Counts are in the database, so several processes count together and a restart forgets nothing.

The invariant: once the free ones are used up, one password is compared in each pause, however many are sent at once and
to whichever process: the turn is taken by one conditional write before the comparison. Until then as many are compared
at a time as are free.
The cost: 1 statement for a login, 2 where anything is noted of the user or the address; a write for the first one of a
day and for a wrong one.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import attrs
import sqlalchemy as sa
import structlog

from novakit.errors import NovakitError, TooMany
from novakit.store import Store, faults
from novakit.store import login_attempts as table
from novakit.store.login_attempts import FORGOTTEN_AFTER, KNOWN_FOR, LoginAttemptsRow

log = structlog.get_logger(__name__)

FREE = 5
"""Wrong passwords of one user from one address that cost nothing."""
FREE_OF_ADDRESS = 50
"""Wrong passwords from one address, whoever's."""
LONGEST = 300.0
"""Seconds of the longest pause; the first is one second, and each is twice the one before it."""
NOTED_EVERY = timedelta(days=1)
"""How often it is written down that a user is known."""
MOST = 100_000
"""Counts that are kept; beyond them the oldest go."""
TRIMMED_EVERY = 200
"""Wrong passwords of this process after which it looks for counts that are too many."""


@attrs.define
class Attempts:
    """Counts wrong passwords."""

    _store: Store
    _under_way: WeakValueDictionary[str, asyncio.Semaphore] = attrs.field(factory=WeakValueDictionary)
    _noted: int = 0

    @asynccontextmanager
    async def turn(self, user: str, address: str) -> AsyncIterator["Turn"]:
        """Hold a turn to compare one password. Raises TooMany with the seconds until there is one."""
        pair, place = _digest(user, address), _digest("", address)
        free = self._under_way.setdefault(pair, asyncio.Semaphore(FREE))
        async with free:
            async with self._store.read() as session:
                rows = await table.some(session, (pair, place))
                now = await table.clock(session) if rows else None
            if now is not None:
                await self._require(rows, pair, place, now)
            yield Turn(self, pair, place, now is not None and _is_noted(rows.get(pair), now))

    async def _require(self, rows: dict[str, LoginAttemptsRow], pair: str, place: str, now: datetime) -> None:
        """Go on only where nobody has to wait, and take the turn where there is but one. Raises TooMany."""
        if any(row["last_at"] > now for row in rows.values()):
            async with self._store.write() as session:
                await table.bring_back(session, rows, now)
                rows = await table.some(session, (pair, place))
        limited = []
        if pair in rows and rows[pair]["wrong"] >= FREE:
            limited.append((rows[pair], FREE))
        if place in rows and rows[place]["wrong"] >= FREE_OF_ADDRESS and not _is_known(rows.get(pair), now):
            limited.append((rows[place], FREE_OF_ADDRESS))
        limited = [(row, free) for row, free in limited if now - row["last_at"] <= FORGOTTEN_AFTER]
        if left := max((_left(row, free, now) for row, free in limited), default=0.0):
            raise _wait(left)
        if not limited:
            return
        async with self._store.write() as session:
            # In one order, so that two processes which take the same two turns never wait for each other.
            for row, _ in sorted(limited, key=lambda one: str(one[0]["who"])):
                if not await table.take_turn(session, row, now):
                    raise _wait(0.0)

    async def _wrong(self, pair: str, place: str) -> None:
        async with self._store.write() as session:
            now = await table.clock(session)
            await table.count(session, (pair, place), now)
            self._noted += 1
            if self._noted % TRIMMED_EVERY == 0:
                await table.trim(session, MOST)

    async def _right(self, pair: str) -> None:
        """Write down that the user is known here; a login does not fail where that cannot be written."""
        try:
            async with self._store.write() as session:
                await table.clear(session, pair, await table.clock(session))
        except (NovakitError, sa.exc.SQLAlchemyError) as error:
            told = faults.as_answer(error)
            why = str(error)[:300] if told is None else told.message
            log.warning("a login could not be recorded, so the user's wrong passwords still count", why=why)


@attrs.frozen
class Turn:
    """One password that is compared; then exactly one of `right` and `wrong` is called."""

    _attempts: Attempts
    _pair: str
    _place: str
    _is_noted: bool
    """Whether the right password would change nothing that is written down."""

    async def wrong(self) -> None:
        """Note a wrong password."""
        await self._attempts._wrong(self._pair, self._place)

    async def right(self) -> None:
        """Forget what the user did wrong here; the address keeps its count, or a good login would buy guesses."""
        if not self._is_noted:
            await self._attempts._right(self._pair)


def _digest(user: str, address: str) -> str:
    return hashlib.sha256(f"{user}\0{address}".encode(errors="surrogatepass")).hexdigest()


def _is_known(row: LoginAttemptsRow | None, now: datetime) -> bool:
    return row is not None and row["right_at"] is not None and now - row["right_at"] <= KNOWN_FOR


def _is_noted(row: LoginAttemptsRow | None, now: datetime) -> bool:
    return (
        row is not None and row["wrong"] == 0 and row["right_at"] is not None and now - row["right_at"] <= NOTED_EVERY
    )


def _left(row: LoginAttemptsRow, free: int, now: datetime) -> float:
    """Return how many seconds of a count's pause are left."""
    more: int = row["wrong"] - free
    pause = min(LONGEST, 2.0 ** min(more, 20))
    gone: timedelta = now - row["last_at"]
    return max(0.0, pause - gone.total_seconds())


def _wait(left: float) -> TooMany:
    seconds = int(left) + 1
    return TooMany(
        f"Too many wrong passwords came from this address; try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
