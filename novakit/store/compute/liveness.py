"""Which hosts live, judged by the clock of the process that judges.

A host's row holds when its last sign of life was written, by the wall clock of whoever wrote it.
That clock may be stepped, and it is not the clock of who reads, so the moment is only a mark here: a host lives while
its mark keeps changing, and how long it has not changed is measured with the monotonic clock of the process.

What a process sees for the first time is as old as it lies behind the newest mark of all hosts.
The cost: one short statement every few seconds in each process that judges.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
import structlog

from novakit import world
from novakit.errors import kind_in_words
from novakit.store.compute import hosts
from novakit.store.compute.hosts import HostSign
from novakit.store.engine import Session, Store

log = structlog.get_logger(__name__)


@attrs.define
class Liveness:
    """What this process knows of the hosts' signs of life."""

    down_after: float = 60.0
    """Seconds without a sign after which a host counts as down."""
    _marks: dict[str, tuple[datetime, float]] = attrs.field(factory=dict)
    """By host: the last mark, and when it was new here."""

    @property
    def look_every(self) -> float:
        """Seconds between two looks: what may be missing from an age."""
        return min(self.down_after / 8, 5.0)

    async def follow(self, store: Store) -> None:
        """Look at the marks for ever."""
        while True:
            try:
                async with store.read() as session:
                    await self.look(session)
            except Exception as error:
                log.warning("hosts' signs of life could not be read", why=kind_in_words(error))
            await asyncio.sleep(self.look_every)

    async def look(self, session: Session) -> None:
        """Read the marks of all hosts."""
        rows = await hosts.signs(session)
        self.take({row["name"]: row["last_seen"] for row in rows})
        for gone in self._marks.keys() - {row["name"] for row in rows}:
            del self._marks[gone]

    def take(self, found: Mapping[str, datetime]) -> None:
        """Note the marks of some hosts, by name."""
        now = world.monotonic()
        for name, mark in found.items():
            known = self._marks.get(name)
            if known is not None and known[0] != mark:
                self._marks[name] = mark, now
        if new := [name for name in found if name not in self._marks]:
            newest = max(*found.values(), *(mark for mark, _ in self._marks.values()), datetime.min.replace(tzinfo=UTC))
            for name in new:
                self._marks[name] = found[name], now - (newest - found[name]).total_seconds()

    def age(self, name: str) -> float:
        """Return how many seconds ago a host gave its last sign, as far as its marks were noted."""
        return world.monotonic() - self._marks[name][1]

    def silent(self, row: HostSign) -> float:
        """Say for how many seconds a host gave no sign."""
        self.take({row["name"]: row["last_seen"]})
        return self.age(row["name"])

    def is_up(self, row: HostSign) -> bool:
        """Return whether a host lives, by the clock of this process."""
        return self.silent(row) < self.down_after and not row["forced_down"]
