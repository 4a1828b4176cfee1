"""What hosts measure, as columns `metric_<name>`: as long as it is fresh, and how many of their builds failed.

The idea: agents report measurements with their heartbeat; the newest of each host are copied into columns, and become
NaN when the host has been silent for `max_age`. The failure rate is counted here, from the operations that ended
lately.
The invariant: what is stale is never weighed, and age is told by the clock of this process alone: of reports that are
read together only the distance between them is taken from the database. A host cannot fill memory with names:
`MAX_NAMES` for all hosts together.
The cost: one query for what was reported since the last look, one every 5 s for builds, and neither where no filter
or weigher reads them; 8 bytes for each host and name.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs
import structlog

from novakit import world
from novakit.scheduler.picture.table import HostTable
from novakit.store import Session
from novakit.store.scheduler import host_metrics, picture

log = structlog.get_logger(__name__)

MAX_AGE = 180.0
"""Seconds after which a measurement counts as missing: three reports."""
LATELY = timedelta(hours=24)
"""How far back builds count in a host's failure rate."""
BUILDS_EVERY = 5.0
"""Seconds between looks at the builds that ended."""
MAX_NAMES = 256
"""Different names of all hosts together; each is a column, and hosts make names up."""
_FAILURE_RATE = "failure_rate"
_LATE = timedelta(seconds=60)
"""How much later than it says an operation's end may become visible, clocks included."""
_NAN = float("nan")


@attrs.define
class Measurements:
    """Keeps the columns of measurements; of those that nobody reads nothing is looked up."""

    table: HostTable
    max_age: float = MAX_AGE
    wanted: frozenset[str] = frozenset()
    """The facts that some filter or weigher reads."""
    _told: dict[int, dict[str, float]] = attrs.field(factory=dict)
    """By row: what is in the columns from the host's last report."""
    _until: dict[int, float] = attrs.field(factory=dict)
    """By row: when that stops to count, by the monotonic clock."""
    _due: float | None = None
    """The earliest of these moments."""
    _names: set[str] = attrs.field(factory=set)
    _seen: int = 0
    _builds: "Builds" = attrs.field(factory=lambda: Builds())
    _builds_at: float = -1e9
    _rates: dict[str, float] = attrs.field(factory=dict)

    async def follow(self, session: Session) -> None:
        """Bring the columns up to date, and empty those of hosts that have been silent for too long."""
        if any(name.startswith("metric_") for name in self.wanted):
            await self._follow_reports(session)
            self._drop_stale(world.monotonic())
        if {"metric_failure_rate", "metric_*"} & self.wanted and world.monotonic() - self._builds_at >= BUILDS_EVERY:
            self._builds_at = world.monotonic()
            await self._follow_builds(session)

    def forget(self) -> None:
        """Start over, with the table."""
        self._told.clear()
        self._until.clear()
        self._due, self._seen, self._builds_at = None, 0, -1e9
        self._rates.clear()

    async def _follow_reports(self, session: Session) -> None:
        found, now = await host_metrics.since(session, self._seen), world.monotonic()
        if not found:
            return
        # Whose clock wrote the moments is not ours: what was there before is as old as it lies behind the newest.
        newest = max(one["received_at"] for one in found)
        for one in found:
            self._seen = max(self._seen, one["changed"])
            row = self.table.row(one["host"])
            if row is not None:
                self._put(row, self._bounded(one["metrics"]))
                until = now + self.max_age - (newest - one["received_at"]).total_seconds()
                self._until[row] = until
                self._due = min(self._due or until, until)

    def _bounded(self, metrics: Mapping[str, float]) -> dict[str, float]:
        room = MAX_NAMES - len(self._names)
        new = [name for name in metrics if name not in self._names]
        if len(new) > room:
            log.warning("hosts measure under too many names", most=MAX_NAMES, left_out=sorted(new[room:])[:5])
        self._names.update(new[:room])
        return {name: value for name, value in metrics.items() if name in self._names}

    def _put(self, row: int, metrics: dict[str, float]) -> None:
        gone = dict.fromkeys(self._told.get(row, {}), _NAN)
        if rate := self._rate_of(row):
            gone[_FAILURE_RATE] = rate[0]
        self.table.put(row, **{f"metric_{name}": value for name, value in {**gone, **metrics}.items()})
        self._told[row] = metrics

    def _drop_stale(self, now: float) -> None:
        if self._due is None or now < self._due:
            return
        for row in [row for row, until in self._until.items() if until <= now]:
            self._put(row, {})
            del self._told[row], self._until[row]
        self._due = min(self._until.values(), default=None)

    async def _follow_builds(self, session: Session) -> None:
        """A host that tells a failure rate of its own is believed; of others it is what the store knows of builds."""
        before, self._rates = self._rates, await self._builds.rates(session, world.now())
        for host in before.keys() | self._rates.keys():
            row = self.table.row(host)
            if row is not None and _FAILURE_RATE not in self._told.get(row, {}):
                self.table.put(row, metric_failure_rate=self._rates.get(host, _NAN))

    def _rate_of(self, row: int) -> tuple[float] | None:
        rate = self._rates.get(self.table.names[row])
        return None if rate is None else (rate,)


@attrs.define
class Builds:
    """The builds that ended lately, from the operations they were part of."""

    _ended: deque[tuple[datetime, str, Sequence[tuple[str, bool]]]] = attrs.field(factory=deque)
    """When, which operation, and of each of its builds on which host and whether it worked."""
    _counted: set[str] = attrs.field(factory=set)
    """These operations: what ended lately, and all of the window once a clock was set, is found again."""
    _latest: datetime | None = None

    async def rates(self, session: Session, now: datetime) -> dict[str, float]:
        """Return the share of builds that failed, 0 to 1, by host; hosts without a build are left out."""
        start = now - LATELY
        # A clock that was set back writes ends before the latest one.
        since = max(start, min(self._latest, now) - _LATE) if self._latest else start
        for one in await picture.builds_since(session, since):
            if one["id"] not in self._counted:
                self._counted.add(one["id"])
                self._latest = one["finished_at"]
                self._ended.append((one["finished_at"], one["id"], one["builds"] or ()))
        while self._ended and self._ended[0][0] < start:
            self._counted.discard(self._ended.popleft()[1])
        tally: dict[str, list[int]] = {}
        for _, _, builds in self._ended:
            for host, worked in builds:
                counts = tally.setdefault(host, [0, 0])
                counts[0] += not worked
                counts[1] += 1
        return {host: failed / built for host, (failed, built) in tally.items()}
