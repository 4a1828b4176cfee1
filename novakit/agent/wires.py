"""What a host was told of its network: the latest topologies, which others are made of, and what of them stays.

A change names the topology that it makes another of by a mark, which this process made up and told to whom it answered:
after a restart nobody can name one, and is asked for the whole. Kept is the latest one for each of some conductors: one
that another was made of is not needed any more, as who hears no answer sends the whole.
What stays as it is though the topology knows nothing of it is that of strangers.
The idea: the host remembers the last topology that it applied, in memory and in a file, and puts back into a new one
what belongs to guests that the cloud does not know, before the network driver sees it. Drivers need not know of it.
The invariant: the topology's own ports, networks, routers and groups always win; nothing else is kept than ports of the
guests that were named, the networks they are on, the groups that their rules name, and DHCP and routers on the networks
that were named.
The cost: 2 µs to remember a topology, and 1.3 ms to write one of 100 ports, a moment after a change for many changes at
once: what a power cut right after a build loses is how the guest was wired, not the guest. Where only members of groups
or leases came or went, it is written with the next change of something else, at the latest `PATIENCE` and `SETTLE`
later: each new server of a large group is such a change on each of its hosts, and on the one with DHCP, and nobody
reads them out of the file but who keeps a stranger, whose group nothing else on this host names, or whose network no
cloud knows any more. A kill loses what is not written yet.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

import attrs
import orjson
import structlog

from novakit import durable, world
from novakit.bus import topologies
from novakit.calls.host import Kept, Wired
from novakit.concurrency.threads import to_its_end
from novakit.errors import in_words
from novakit_hookspecs.networks import Applied, Network, Router, Topology, Vif

log = structlog.get_logger(__name__)

SETTLE = 2.0
"""Seconds from a change until the file is written, so that a storm of changes is one write."""
PATIENCE = 10.0
"""Seconds that changes of nothing but members of groups and leases wait for another one before that."""
LATEST = 4
"""Topologies that others can be made of, one for each conductor."""


@attrs.frozen
class AnsweredTopology:
    """A topology as it came, and which ports were wired by the answer."""

    topology: Topology
    vifs: Mapping[str, Vif]


@attrs.define
class Wires:
    """The memory of one host."""

    path: Path
    _last: Topology = attrs.field(factory=lambda: Topology(revision=0))
    _is_written: bool = True
    """Whether the file says what was applied last, but for the revision."""
    _is_urgent: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set where more than members of groups and leases is not written."""
    _writing: asyncio.Task[None] | None = None
    _answered: dict[str, AnsweredTopology] = attrs.field(factory=dict)
    """The latest topologies by their marks, the oldest first."""
    _name: str = attrs.field(factory=world.new_id)
    """What all marks begin with, and those of no other process."""
    _numbers: Iterator[int] = attrs.field(factory=count)

    def open(self) -> None:
        """Read what was remembered; a file that cannot be read is no memory."""
        try:
            self._last = topologies.read(orjson.loads(durable.read(self.path)))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, LookupError) as error:
            log.warning(
                "the file that says how guests were wired cannot be read", file=str(self.path), why=in_words(error)
            )

    def take(self, mark: str) -> AnsweredTopology | None:
        """Give out what was answered under a mark, once; None where it is not known here.

        It is not looked for again once the host has been changed: meanwhile others may have driven it out, and who
        was told of its ports must be told of each that is wired no more.
        """
        return self._answered.pop(mark, None)

    def answer(self, topology: Topology, applied: Applied, before: AnsweredTopology | None = None) -> Wired:
        """Return what became of a topology that came, whole or made of the one `before`."""
        mark = f"{self._name}/{next(self._numbers)}"
        self._answered[mark] = AnsweredTopology(topology, applied.vifs)
        for oldest in [*self._answered][:-LATEST]:
            del self._answered[oldest]
        return Wired.since(before.vifs if before is not None else {}, applied, mark)

    def completed(self, topology: Topology, kept: Kept) -> Topology:
        """Return the topology with what is kept of the last one."""
        return completed(topology, kept, self._last)

    def remember(self, topology: Topology) -> None:
        """Remember what was applied."""
        before, self._last = self._last, topology
        # Each heartbeat applies the same one again.
        if topology is before:
            return
        if not topologies.differ_in_passing_alone(before, topology):
            self._is_urgent.set()
        elif self._is_written and (topology.groups, topology.networks) == (before.groups, before.networks):
            return
        self._is_written = False
        if self._writing is None or self._writing.done():
            self._writing = world.spawn(self._write_soon(), name="agent/wires")

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._writing is not None and not self._writing.done():
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            await self._write()

    async def _write_soon(self) -> None:
        while not self._is_written:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._is_urgent.wait()
            await asyncio.sleep(SETTLE)
            await self._write()

    async def _write(self) -> None:
        self._is_written = True
        self._is_urgent.clear()
        try:
            # To its end: what is written last must not be overtaken by what was cancelled before.
            written = orjson.dumps(topologies.write(self._last))
            # It comes a moment late in any case.
            await to_its_end(durable.write, self.path, written, lasting=False)
        except OSError as error:
            # The next round tries again: disks are full for a while.
            self._is_written = False
            log.warning(
                "the file that says how guests are wired could not be written", file=str(self.path), why=in_words(error)
            )


def completed(topology: Topology, kept: Kept, last: Topology) -> Topology:
    """Return a topology with what is kept of the last one that was applied."""
    if not kept.guests and not kept.networks:
        return topology
    there = {port.id for port in topology.ports}
    ports = [port for port in last.ports if port.server_id in kept.guests and port.id not in there]
    mine = {network.id for network in topology.networks}
    same = {each.physical_network: each.id for each in topology.networks if each.physical_network}
    free = [each for each in last.networks if each.id not in mine and each.physical_network not in same]
    wanted = {port.network_id for port in ports} | {*kept.networks}
    networks = [_kept(each, kept) for each in free if each.id in wanted]
    routers = [each for each in _routers(last, kept, topology) if _is_whole(each, mine | wanted)]
    out = {router.gateway.network_id for router in routers if router.gateway} - wanted
    networks += [attrs.evolve(each, dhcp=None, leases=()) for each in free if each.id in out]
    known = mine | {each.id for each in networks}
    ports = [port for port in ports if port.network_id in known]
    named = {rule.remote_group for port in ports for rule in port.rules} - {group.id for group in topology.groups}
    return attrs.evolve(
        topology,
        networks=(*topology.networks, *networks),
        ports=(*topology.ports, *ports),
        groups=(*topology.groups, *(group for group in last.groups if group.id in named)),
        routers=(*topology.routers, *(_moved(each, last, same, known) for each in routers)),
    )


def _kept(network: Network, kept: Kept) -> Network:
    """Keep DHCP only where the cloud does not know the network: else another host may serve it now."""
    return network if network.id in kept.networks else attrs.evolve(network, dhcp=None, leases=())


def _routers(last: Topology, kept: Kept, topology: Topology) -> list[Router]:
    there = {router.id for router in topology.routers}
    return [
        router
        for router in last.routers
        if router.id not in there and any(leg.network_id in kept.networks for leg in router.interfaces)
    ]


def _is_whole(router: Router, here: Collection[str]) -> bool:
    """Return whether every network with a leg of the router is here."""
    return all(leg.network_id in here for leg in router.interfaces)


def _moved(router: Router, last: Topology, same: dict[str, str], known: Collection[str]) -> Router:
    """Lead a router out through the network that stands for the same physical one now."""
    gateway = router.gateway
    if gateway is None or gateway.network_id in known:
        return router
    physical = {each.id: each.physical_network for each in last.networks}.get(gateway.network_id)
    if physical is None or physical not in same:
        return attrs.evolve(router, gateway=None)
    return attrs.evolve(router, gateway=attrs.evolve(gateway, network_id=same[physical]))
