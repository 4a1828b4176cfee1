"""Notes of the networks around guests, written again a moment after networks have changed.

The idea: whatever a host must see is pushed to it, so a push says that something changed; a change that the host of
routers sees may be one of anybody's router or floating IP, and then concerns every host. Mostly it is a guest's port
instead, and concerns the host of that guest alone.
The invariant: while a host has strangers its note stays as it is, since it may hold what is around them and this
database does not know it. So it does until the host has reported to this process, as only then its strangers are known.
The cost: three statements a round for up to `TOGETHER` hosts, and for as many more one, or two where the host of
routers has no news, while nothing but guests' ports changes, and at most a thirtieth of the time; a note that says the
same is neither written nor sent.
"""

from collections.abc import Collection, Iterable

import attrs
import structlog

from novakit.bus import BusError, RemoteError
from novakit.calls.host import NetworksNote
from novakit.concurrency.bounded import BoundedMemory
from novakit.concurrency.paced import Paced
from novakit.conductor.guests import note as notes
from novakit.conductor.parts import Parts
from novakit.network.hosts.noted import NO_NOTE, NOTHING, UNREADABLE, UNSEALED, HeardNetworks, NotedNetworks
from novakit.network.hosts.noting import MOST
from novakit.store.network import hosts as network_hosts
from novakit.store.network import surroundings

log = structlog.get_logger(__name__)

SETTLE = 2.0
"""Seconds between two rounds, so that a storm of changes is one note."""
TOGETHER = 20
"""Hosts whose notes are read together: a few milliseconds of one turn, and not all of a cloud."""
SHARE = 30
"""How many times as long as the last round took the next one waits."""


@attrs.frozen
class _Said:
    """What a note said, and which one it was."""

    noted: NotedNetworks
    version: str


@attrs.define
class NetworkNotes:
    """Keeps the notes of networks of all hosts as the networks are."""

    parts: Parts
    _changed: set[str] = attrs.field(factory=set)
    _versions: dict[str, str] = attrs.field(factory=dict)
    """Which notes the hosts keep."""
    _said: BoundedMemory[_Said] = attrs.field(factory=lambda: BoundedMemory(MOST))
    """The notes of hosts that were written last, whether or not they arrived."""
    _reported: set[str] = attrs.field(factory=set)
    _mark: surroundings.Mark = ()
    """What stood around guests when the notes of all hosts were written the last time."""
    _pace: Paced = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pace = Paced(name="conductor/network-notes", work=self.write, settle=SETTLE, share=SHARE)

    def changed(self, hosts: Iterable[str]) -> None:
        """Say that what is around the guests of hosts may have changed."""
        self._changed.update(hosts)
        if self._changed:
            self._pace.poke()

    def told(self, host: str, version: str) -> None:
        """Take from a host which note it keeps."""
        self._reported.add(host)
        known = self._versions.get(host)
        self._versions[host] = version
        if known != version:
            self.changed([host])

    async def close(self) -> None:
        """Write no more; what is not written is written after the next report of its host."""
        await self._pace.close()

    async def write(self) -> None:
        """Have all hosts that may have changed keep their notes."""
        changed, self._changed = self._changed, set()
        try:
            await self._write(changed)
        except Exception:
            # Nobody says so again: of a host that stays as it is, members of groups come and go without a word.
            self.changed(changed)
            raise

    async def _write(self, changed: Collection[str]) -> None:
        async with self.parts.store.read() as session:
            known = await network_hosts.noting(session)
            is_served = any(row.is_gateway and row.host in changed for row in known)
            mark = await surroundings.mark(session) if is_served else None
        # What changes after this mark is told of by another push to that host, and noted in the next round.
        everywhere = mark is not None and mark != self._mark
        due: list[str] = []
        for row in known:
            if row.has_strangers:
                self._versions.pop(row.host, None)  # so that its next report asks for the note again
            elif row.host in self._reported and (everywhere or row.host in changed):
                due.append(row.host)
        for place in range(0, len(due), TOGETHER):
            for host, noted in (await self.parts.networks.noted(due[place : place + TOGETHER], mark)).items():
                await self._write_one(host, noted)
        if mark is not None:
            self._mark = mark

    async def _write_one(self, host: str, noted: NotedNetworks) -> None:
        kept, said = self._versions.get(host), self._said.get(host)
        if said is not None and said.version == kept and said.noted == noted:
            return
        note = self.parts.notary.write_networks(host, noted)
        self._said.put(host, _Said(noted, note.version), 1 + len(noted.ports))
        if kept == note.version:
            return
        try:
            await self.parts.hosts.at(host).keep_networks(note)
        except BusError as error:
            self._versions.pop(host, None)
            log.info("the note of a host's networks waits for its next report", host=host, why=str(error))
        else:
            self._versions[host] = note.version


async def noted_by(parts: Parts, host: str, *, sealed: bool) -> HeardNetworks:
    """Ask a host for what it noted of networks; nothing where it has no note, or with `sealed` none of this database.

    Without `sealed` it is the host's word, which an operator vouches for as for the note of the guest.
    Raises Unreachable.
    """
    try:
        kept: NetworksNote | None = await parts.hosts.at(host).noted_networks()
    except RemoteError as error:
        log.warning("the note of a host's networks could not be read", host=host, why=str(error))
        return HeardNetworks(NOTHING, UNREADABLE)
    if kept is None:
        return HeardNetworks(NOTHING, NO_NOTE)
    is_sealed = parts.notary.has_sealed_networks(host, kept)
    if sealed and not is_sealed:
        return HeardNetworks(NOTHING, UNSEALED)
    try:
        return HeardNetworks(notes.read_networks(kept), is_sealed=is_sealed)
    except ValueError as error:
        log.warning("a note cannot be used", host=host, why=str(error))
        return HeardNetworks(NOTHING, UNREADABLE)
