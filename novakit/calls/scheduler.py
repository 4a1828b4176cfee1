"""What the scheduler can be asked, over the bus; served by `novakit/scheduler/service.py`.

Several schedulers share the calls, so each of them may come twice, to two of them.
"""

from abc import abstractmethod
from collections.abc import Mapping

import attrs

from novakit.bus.contract import Contract, call
from novakit.bus.repeats import READS, settles
from novakit.calls.capacity import CapacityReport
from novakit.calls.counts import SchedulerCounts
from novakit.calls.decisions import DecisionRecord, GivenDevice
from novakit.calls.plugins import PluginRow
from novakit.calls.traces import SchedulerTrace
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.scheduling import Ask

API, CONDUCTOR = ("api",), ("conductor",)


@attrs.frozen(kw_only=True)
class NextBest:
    """A host that may be tried where the one before it fails."""

    host: str
    node: str
    provider_id: str


@attrs.frozen(kw_only=True)
class Selection:
    """A host, with what the server needs claimed on it."""

    server_id: str
    host: str
    node: str
    provider_id: str
    availability_zone: str
    decision_id: str
    alternates: tuple[NextBest, ...] = ()
    """The next best hosts; nothing is claimed there."""
    numa: tuple[Taken, ...] = ()
    """One for each guest cell: the host's cell, CPUs, pins, pages."""
    devices: tuple[GivenDevice, ...] = ()
    """The PCI devices that the guest is to be handed, by address."""


@attrs.frozen(kw_only=True)
class Refusal:
    """No host: a sentence for the tenant, and one for the operator."""

    server_id: str
    message: str
    detail: str
    decision_id: str


@attrs.frozen(kw_only=True)
class Earlier:
    """What an earlier decision about the same server named as next best, for when its first choice failed."""

    decision_id: str
    hosts: tuple[str, ...]
    """Best first."""


class SchedulerCalls(Contract):
    """What is asked of whichever scheduler has least to do."""

    __slots__ = ()
    target = "scheduler"

    @call(within=60.0, repeat_by=settles("asks"), by=CONDUCTOR)
    @abstractmethod
    async def select(
        self, asks: tuple[Ask, ...], earlier: Mapping[str, Earlier] | None = None
    ) -> tuple[Selection | Refusal, ...]:
        """Choose a host for each server and claim what it needs there; answers come in the order of the asks.

        `earlier` may hold, by server, an earlier decision whose host failed, with its next best hosts.
        Asked again for a server that has its claim, it gives the same host. Raises RemoteBusy when the database
        could not take the claim just now.
        """

    @call(within=30.0, repeat_by=READS, by=API)
    @abstractmethod
    async def dry_run(self, ask: Ask) -> DecisionRecord:
        """Decide without claiming anything."""

    @call(within=30.0, repeat_by=READS, by=API)
    @abstractmethod
    async def capacity(self, ask: Ask, survive: int = 0) -> CapacityReport:
        """Count how many more servers like this one fit, and after the loss of `survive` hosts."""

    @call(within=2.0, repeat_by=READS, by=API)
    @abstractmethod
    async def counts(self) -> SchedulerCounts:
        """Read what this scheduler counted and timed since it started."""

    @call(within=2.0, repeat_by=READS, by=API)
    @abstractmethod
    async def plugins(self) -> tuple[PluginRow, ...]:
        """Read how the plugins stand of which this scheduler is made."""

    @call(within=30.0, repeat_by=READS, by=API)
    @abstractmethod
    async def trace(self, limit: int) -> SchedulerTrace:
        """Write down the hosts and the latest `limit` decisions."""
