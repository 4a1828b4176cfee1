"""Servers on their way through the scheduler: those that wait, and those for which a host was chosen."""

import asyncio

import attrs

from novakit import tracing, world
from novakit.calls.decisions import GivenDevice, TriedHost
from novakit.calls.scheduler import Earlier, NextBest, Refusal, Selection
from novakit.scheduler.picture.cells import CellsRequest
from novakit.scheduler.pipeline.record import Decision
from novakit_fit.affinity import Choice
from novakit_fit.trees import GroupShares
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.scheduling import Ask


@attrs.frozen
class Given:
    """What a server holds beside amounts."""

    numa: tuple[Taken, ...] = ()
    """One for each guest cell."""
    devices: tuple[GivenDevice, ...] = ()
    """By address."""


NOTHING = Given()


@attrs.define(eq=False)
class Waiting:
    """A server that waits for its host."""

    ask: Ask
    answer: asyncio.Future[Selection | Refusal]
    asked: Ask
    """As it came, for comparing with the next one."""
    since: float = attrs.field(factory=world.monotonic)
    trace: tracing.Context = attrs.field(factory=tracing.here)
    """Below what the decision's span hangs."""
    earlier: Earlier | None = None
    conflicts: list[TriedHost] = attrs.field(factory=list)

    @property
    def over(self) -> bool:
        """Return whether it was answered, or whoever asked no longer waits."""
        return self.answer.done()


@attrs.define(eq=False)
class Try:
    """A server with the host that was chosen for it, before the claim."""

    waiting: Waiting
    decision: Decision
    row: int
    alternates: tuple[NextBest, ...]
    request: CellsRequest | None = None
    """What it wants of the host's cells and devices."""
    choice: Choice | None = None
    """What the table counts as given to it of cells and devices."""
    shares: GroupShares = ()
    """What the table counts as given to it of the host's providers."""
    given: Given = NOTHING
    """What it holds once it is claimed."""
