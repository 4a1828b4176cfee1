"""Keeps every host's network as it should be: pushes topologies to hosts that are behind, joining requests.

The idea: a topology is a host's whole wanted state, so one push serves everybody who asked before it was read.
What is pushed to a host that answered the last time is what changed since; to one that does not know that any more, and
after each failure, it is the whole. What host and conductor remember for that is memory alone, and may be lost.
Requests for a host join the round that waits; a round waits `GATHER` when somebody waits for it, and longer when it
is only news for others. Hosts that are due are read together, in a number of queries that does not grow with them;
those that were pushed to lately are due at the next beat, which is the same one for all, a beat each `REST`.
The invariant: who calls `ensure` gets a push whose topology was read after the call. One push to a host at a time;
what comes meanwhile is the next round. What a host keeps for strangers is read before the topology, so that what is
adopted in between is in one of them at least; where the reading of the topology says that there is none, that is all.
The cost: a round is 1 reading for all hosts that are due, 2 while there are strangers and 3 where it finds the first,
and 1 call for each; what became of it is 1 statement for all that are recorded together, and where nobody waits for it
and it is the revision alone, it waits for another record, or two beats at most, and is 1 for `TOGETHER` hosts. `SHARE`
keeps the reading to a third of the time. A host that nobody waits for has one push from one beat to the next at most,
and all of them one round but for those that were at rest; a push that somebody waited for is another, and never makes
the news of others a round of their own. Where the news of one port go to hundreds of hosts, as they do in a large
security group, they take a tenth of the time at most (`CALM`), down to one push to a host in `LONGEST`. Only routers
and DHCP, which the new guest asks, hear of it at the next beat in any case.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import attrs
import structlog

from novakit import world
from novakit.bus import RemoteError, RemoteNotFound, Targets, Unreachable
from novakit.bus.topologies import NextTopology, differ_in_members_alone, differ_in_passing_alone
from novakit.calls.host import NOTHING_KEPT, HostCalls, Kept, Wired
from novakit.concurrency.bounded import BoundedMemory
from novakit.conductor.work import Postponed
from novakit.network import Networks
from novakit.store.faults import shown
from novakit_hookspecs.networks import Applied, Topology, Vif

log = structlog.get_logger(__name__)


GATHER = 0.002
"""Seconds a push waits for others to join when somebody waits for it; under load those join that come while it is read,
and a server that is made alone waits for nobody."""
LEISURE = 0.1
"""Seconds it waits when nobody does."""
REST = 1.0
"""Seconds from one beat to the next, between which a host for which nobody waits has one push at most, so that a storm
of changes is few pushes."""
CALM = 9
"""How many times as long as a push took for which nobody waited, from its reading on, its host rests."""
LONGEST = 5.0
"""Seconds it rests at most: so late a member of a security group that is in use may be let in while servers are made
by the hundred."""
TOGETHER = 100
"""Hosts that have news which one statement records: that for a thousand holds everybody up for 16 ms."""
SHARE = 2
"""How many times as long as the reading of topologies took the next reading waits: most time is for other work."""


MOST = 50_000
"""Ports of all hosts together that are remembered to be on them."""
LONGEST_NAME = 255
"""Characters of a name that a host has given, a port's device and a mark, above which its answer is not remembered."""


async def _nothing(hosts: Sequence[str]) -> Mapping[str, Kept]:
    return {}


@attrs.define
class _Round:
    """One push to a host: whoever asks before its topology is read waits for its end."""

    done: asyncio.Future[Applied]
    due: float
    """When it is to begin at the latest, in the loop's time."""
    awaited: bool = False


@attrs.frozen
class _KnownTopology:
    """What a host answered that it has."""

    mark: str
    topology: Topology
    vifs: Mapping[str, Vif]
    is_well: bool
    """Whether it could make all of it."""


@attrs.define
class Wiring:
    """Pushes the wanted topology of hosts to their agents."""

    networks: Networks
    hosts: Targets[HostCalls]
    kept: Callable[[Sequence[str]], Awaitable[Mapping[str, Kept]]] = _nothing
    """Says what of the networks of some hosts is to stay though no topology knows of it."""
    on_pushed: Callable[[str], None] = lambda host: None
    """Called with a host that took another topology, but for members of groups; may be set later."""
    _known: BoundedMemory[_KnownTopology] = attrs.field(factory=lambda: BoundedMemory(MOST))
    _waiting: dict[str, _Round] = attrs.field(factory=dict)
    _pushing: dict[str, asyncio.Task[None]] = attrs.field(factory=dict)
    _rested: dict[str, float] = attrs.field(factory=dict)
    """When hosts may be pushed to again for nobody."""
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event)
    _running: bool = False
    _strangers: bool = True
    """Whether there were strangers when topologies were read last."""
    _unrecorded: dict[str, Applied] = attrs.field(factory=dict)
    """What hosts made of news, where nothing of it but the revision is to be recorded."""
    _recording: asyncio.Task[None] | None = None

    def poke(self, hosts: Iterable[str]) -> None:
        """Say that these hosts are behind; their agents get the new topology soon."""
        due = asyncio.get_running_loop().time() + LEISURE
        # With each new server of a large group come hundreds of hosts, which mostly wait already.
        fresh = [host for host in hosts if host not in self._waiting]
        if fresh or not self._running:
            for host in fresh:
                self._join(host, due)
            self._look()

    async def ensure(self, host: str) -> Applied:
        """Wait until the host has all that is committed now. Raises Unreachable or RemoteError when it will not."""
        due = asyncio.get_running_loop().time() + GATHER
        joined = self._join(host, due)
        if not joined.awaited:
            # Not as it was due for nobody, which may be long over where only the rest of the host held it up.
            joined.due, joined.awaited = due, True
        self._look()
        return await asyncio.shield(joined.done)

    def _join(self, host: str, due: float) -> _Round:
        joined = self._waiting.get(host)
        if joined is None:
            joined = self._waiting[host] = _Round(asyncio.get_running_loop().create_future(), due)
        return joined

    def _look(self) -> None:
        """Look what is due, as rounds have come or changed."""
        self._wake.set()
        if not self._running:
            self._running = True
            world.spawn(self._run(), name="wiring")

    async def _run(self) -> None:
        """Begin rounds when they are due, those of several hosts together, until none waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                self._wake.clear()
                began, dues = loop.time(), self._dues()
                wait = min(dues.values()) - began if dues else None
                if wait is None or wait > 0:
                    await self._until_woken(wait)
                    continue
                await self._begin(self._take(dues, began))
                await asyncio.sleep((loop.time() - began) * SHARE)
        finally:
            self._running = False

    async def _until_woken(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    def _dues(self) -> dict[str, float]:
        """Return when those rounds are due that no push to their host holds up."""
        # Not before the rest of the host is over, which may have become longer since the round began to wait.
        return {
            host: each.due if each.awaited else max(each.due, self._rested.get(host, 0))
            for host, each in self._waiting.items()
            if host not in self._pushing
        }

    def _take(self, dues: Mapping[str, float], now: float) -> dict[str, _Round]:
        """Take those of some rounds that are due, and with them all for which somebody waits.

        When nobody waits, those that are due soon go along: one reading of many hosts is cheaper than many readings.
        """
        soon = now if any(self._waiting[host].awaited for host in dues) else now + REST / 2
        taken = {}
        for host, due in dues.items():
            each = self._waiting[host]
            if each.awaited or due <= soon:
                del self._waiting[host]
                taken[host] = each
                # From now on, and not once it is read: who asks meanwhile is not to find the host rested.
                self._rest(host, now + REST / 2 if each.awaited else max(now, due))
        return taken

    def _rest(self, host: str, moment: float) -> None:
        """Let a host rest until the beat after a moment, if it does not rest longer."""
        self._rested[host] = max(self._rested.get(host, 0), (moment // REST + 1) * REST)

    async def _begin(self, rounds: Mapping[str, _Round]) -> None:
        began = asyncio.get_running_loop().time()
        try:
            wanted, kept = await self._read(list(rounds))
        except Exception as error:
            if len(rounds) > 1:
                for host, each in rounds.items():
                    await self._begin({host: each})
                return
            log.error("topologies could not be read", hosts=sorted(rounds), exc_info=error)
            for host, each in rounds.items():
                _fail(each, Postponed(f"The network of {host} is not ready: {shown(error)}"))
            return
        for host, each in rounds.items():
            self._pushing[host] = world.spawn(
                self._push(host, each, wanted[host], kept.get(host, NOTHING_KEPT), began), name=f"wiring/{host}"
            )

    async def _read(self, hosts: Sequence[str]) -> tuple[Mapping[str, Topology], Mapping[str, Kept]]:
        """Read what hosts must be, and what they keep for strangers, where there are any."""
        if not self._strangers:
            built = await self.networks.build(hosts)
            if not built.strangers:
                return built.topologies, {}
        # Before the topologies: what was adopted in between is kept and wanted, never neither.
        kept = await self.kept(hosts)
        built = await self.networks.build(hosts)
        self._strangers = built.strangers
        return built.topologies, kept

    async def _push(self, host: str, current: _Round, topology: Topology, kept: Kept, began: float) -> None:
        try:
            current.done.set_result(await self._apply(host, topology, kept, is_awaited=current.awaited))
        except (RemoteError, Unreachable) as error:
            log.info("host did not take its topology", host=host, why=str(error))
            _fail(current, error)
        except Exception as error:
            log.error("topology of a host could not be pushed", host=host, exc_info=error)
            _fail(current, Postponed(f"The network of {host} is not ready: {shown(error)}"))
        finally:
            if not current.awaited and not _serves(topology):
                ended = asyncio.get_running_loop().time()
                self._rest(host, ended + min(LONGEST - REST, (ended - began) * CALM))
            del self._pushing[host]
            self._wake.set()

    async def _apply(self, host: str, topology: Topology, kept: Kept, *, is_awaited: bool) -> Applied:
        applied, is_passing = await self._give(host, topology, kept)
        if is_passing and not is_awaited:
            self._record_later(host, applied)
        else:
            await self._record(host, applied)
        if applied.revision > topology.revision:
            # The host has seen more than this database has: of a backup, the revisions begin anew above the host's.
            await self.networks.overtake(host, applied.revision)
            self.poke([host])
        for thing, why in applied.faults.items():
            log.warning("part of a host's network is not there", host=host, thing=thing, why=why)
        return applied

    async def _record(self, host: str, applied: Applied) -> None:
        """Record what a host made of its topology, and with it what waits to be recorded of others."""
        self._unrecorded.pop(host, None)
        if self._unrecorded:
            # What comes in the same turn shares a transaction; who waits for this host waits for no more than that.
            world.spawn(self._record_others(), name="wiring/record")
        await self.networks.record_applied(host, applied)

    def _record_later(self, host: str, applied: Applied) -> None:
        self._unrecorded[host] = applied
        if self._recording is None or self._recording.done():
            self._recording = world.spawn(self._record_soon(), name="wiring/record")

    async def _record_soon(self) -> None:
        while waiting := self._unrecorded:
            await asyncio.sleep(REST)
            if waiting is self._unrecorded:  # nobody has recorded it meanwhile
                await self._record_others()

    async def _record_others(self) -> None:
        made, self._unrecorded = [*self._unrecorded.items()], {}
        try:
            # None where somebody has recorded it meanwhile.
            for place in range(0, len(made), TOGETHER):
                await self.networks.record_late(dict(made[place : place + TOGETHER]))
        except Exception as error:  # a border: they are behind then, and are pushed to again
            log.warning("what hosts made of news could not be recorded", hosts=len(made), why=shown(error))

    async def _give(self, host: str, topology: Topology, kept: Kept) -> tuple[Applied, bool]:
        """Have a host apply a topology, and return all that became of it.

        Beside it stands whether nothing of that but the revision can be another than it was recorded the last time.
        """
        known = self._known.pop(host)
        wired: Wired | None = None
        if known is not None:
            # An agent that was replaced by one of an older version has no such call.
            with suppress(RemoteNotFound):
                next = NextTopology(known.mark, known.topology, topology)
                wired = await self.hosts.at(host).change_network(next, kept)
        before: Mapping[str, Vif] = known.vifs if known is not None and wired is not None else {}
        if wired is None:
            wired = await self.hosts.at(host).apply_network(topology, kept)
        # Before anything can fail: of the next push nobody would hear, as it differs in nothing from what the host has.
        if known is None or not differ_in_members_alone(known.topology, topology):
            self.on_pushed(host)
        applied = wired.applied(before)
        # One message of a host is bounded, and what is remembered of many must be, too: it counts as what it tells of.
        if wired.mark and _is_short(wired):
            size = max(len(topology.ports), len(applied.vifs))
            self._known.put(host, _KnownTopology(wired.mark, topology, applied.vifs, not wired.faults), size)
        is_same = known is not None and known.is_well and differ_in_passing_alone(known.topology, topology)
        is_new = wired.vifs or wired.unwired or wired.faults or wired.revision != topology.revision
        return applied, is_same and not is_new


def _is_short(wired: Wired) -> bool:
    """Return whether what is new in an answer may be remembered for its length."""
    named = all(max(len(port), len(vif.device)) <= LONGEST_NAME for port, vif in wired.vifs.items())
    return named and len(wired.mark) <= LONGEST_NAME


def _serves(topology: Topology) -> bool:
    """Return whether a host runs routers or DHCP."""
    return bool(topology.routers) or any(network.dhcp for network in topology.networks)


def _fail(failed: _Round, error: Exception) -> None:
    """End a round with an error, and mark it as looked at: nobody may be waiting."""
    failed.done.set_exception(error)
    failed.done.exception()
