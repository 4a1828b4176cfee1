"""Guests that a host has and this database does not know: told of, reserved for, and taken over where that is safe.

The idea: a database may be new, another's or an old backup, so that it does not know a guest proves nothing. What
happens to a guest follows from what the database knows, never from what it lacks.
The invariant: a guest is destroyed only where this database knows that it is to be gone. It knows that of a server
whose row is deleted, and of one whose row says that it is elsewhere, provided that the operation which built this very
guest is in the database and has ended: an older backup lacks the operations of everything that happened since.
Every other guest is a stranger. It runs on, its ports stay wired, and what it takes of its host is reserved.
A stranger becomes a server by itself only if this database sealed its note, never had a row of its id, and nothing of
what it needs is somebody else's; otherwise `why` says what an operator has to decide.
A note that this database did not seal is its host's word, and goes no further than the host: what it says is taken is
taken of that host, in nobody's name, and what it says of networks holds on that host. Only a database that took the
place of a lost one, and so can tell no true note, lets other hosts keep the networks that such notes name.
What a stranger takes is reserved in the transaction that makes its host known, so that no scheduler ever sees the host
without it.
The cost: 0 while a host has no strangers; for each report of one that has, one call and one transaction.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import attrs
import structlog

from novakit import errors, world
from novakit.bus import RemoteError
from novakit.calls.host import GuestNote, Kept
from novakit.conductor.guests import age, checked
from novakit.conductor.guests import note as notes
from novakit.conductor.guests.adoption import AdoptionRequest, adopt
from novakit.conductor.guests.claims import claim_of, consumer_of, stranger_claim, totals
from novakit.conductor.guests.networks import noted_by
from novakit.conductor.guests.note import Heard, Note
from novakit.conductor.parts import Parts
from novakit.store import Store, deployment, operations
from novakit.store.compute import hosts as host_rows
from novakit.store.compute import servers, strangers
from novakit.store.compute.servers import ServerRow
from novakit.store.compute.strangers import EVERYWHERE, HERE, LOST, StrangerKeeps, StrangerRow
from novakit.store.engine import Session
from novakit_hookspecs.servers import Guest

log = structlog.get_logger(__name__)

REQUEST = "req-adopted-by-its-host"
NEW = "It has just been reported; the conductor checks next whether it belongs to a server."
NO_NOTE = "Its host keeps no note of it: it can be removed, and cannot be adopted."
NOT_OURS = "This database, which is new or another one, did not seal its note: adopt it if it is yours."
FOREIGN = "Its note is of deployment {}: adopt it only if you know that it belongs to this cloud."
MAYBE_PURGED = "It is as old as servers that this database has forgotten, so its server may have been deleted."
NEWER = "It is newer than this database, which has its server as {}: adopt it if it is the server."
MOST = 1024
"""Strangers of one host that are recorded: more guests than a host runs, and few enough to be read at each push."""
MOST_IN_ALL = 20_000
"""Strangers of all hosts together beyond which those of a host are recorded up to its `SHARE` only: all that are
recorded are read at each push."""
SHARE = 64
"""Strangers of a host that are recorded however many others have: hostile hosts that come first take none of them."""
MOST_AROUND = 1000
"""Ids of what stands around the guests of a host that audits pass over."""
ELSEWHERE = "Its server is on {}: the guest may be newer than this database, or left over."


@attrs.frozen
class Found:
    """A guest that its host has and is not to have, with the row of its server if there is one."""

    guest: Guest
    server: ServerRow | None
    busy: bool = False
    """Whether an operation works on its server: then it is a stranger only if it is newer than this database."""


@attrs.define
class Strangers:
    """Judges the guests that no row accounts for."""

    parts: Parts
    _had: set[str] = attrs.field(factory=set)
    """Hosts of which rows may be there; every host counts until it has been looked at."""
    _looked: set[str] = attrs.field(factory=set)
    _around: dict[str, Sequence[str]] = attrs.field(factory=dict)
    """By host: ids of what its note of networks says is around its guests."""
    _left_out: dict[str, int] = attrs.field(factory=dict)
    """By host: how many strangers were too many at the last look."""
    _told: set[str] = attrs.field(factory=set)
    """Hosts whose note of networks was not sealed here: it speaks for them alone."""

    async def judge(self, host: str, found: Sequence[Found], pending: Collection[str] = ()) -> frozenset[str]:
        """Adopt or record the strangers of a host, and return the guests that are known to be left over.

        Of guests that are `pending`, something is under way: what is recorded of them stays.
        """
        if not found and host in self._looked and host not in self._had:
            return frozenset()
        self._looked.add(host)
        over = {each.guest.id for each in found if each.server is not None and each.server["deleted_at"] is not None}
        doubtful = [each for each in found if each.guest.id not in over]
        kept = await self._notes(host, doubtful) if doubtful else {}
        over |= await self._left_over(doubtful, kept)
        newer = await self._newer(doubtful, kept)
        left = [each for each in doubtful if each.guest.id not in over and (not each.busy or each.guest.id in newer)]
        if left:
            await self._look_around(host)
        async with self.parts.store.read() as session:
            known = await strangers.of_host(session, host)
            most = max(len(known), _most(await strangers.counts(session), host)) if left else 0
        kept_first = sorted(left, key=lambda each: each.guest.id not in known)
        recorded = self._cut(host, kept_first, most)
        for each in recorded:
            doubt = await self._doubt(host, each, kept.get(each.guest.id), newer=each.guest.id in newer)
            await self._take(host, each, kept.get(each.guest.id), doubt, known.get(each.guest.id))
        stay = {each.guest.id for each in recorded} | {*pending}
        await self._forget(host, {guest: row for guest, row in known.items() if guest not in stay})
        if not left:
            self._had.discard(host)
        return frozenset(over)

    async def noted(self, host: str, guests: Sequence[Guest]) -> Sequence[tuple[Guest, Heard | None]]:
        """Return those of the guests of a host that are no servers of it, with their notes. Raises Unreachable.

        Left out are guests that something is under way with, and those that are recorded already.
        """
        ids = {each.id for each in guests}
        async with self.parts.store.read() as session:
            known = {row["id"]: row for row in await servers.some(session, ids)}
            busy = {row["server_id"] for row in await operations.unfinished(session, ids)}
            here = (await strangers.of_host(session, host)).keys()
            ids -= busy | here
        ids -= {id for id, row in known.items() if row["deleted_at"] is not None or row["host"] == host}
        if not ids:
            return []
        async with self.parts.store.read() as session:
            most = _most(await strangers.counts(session), host)
        found = self._cut(host, [Found(each, None) for each in guests if each.id in ids], max(most - len(here), 0))
        kept = await self._notes(host, found) if found else {}
        if found:
            await self._look_around(host)
        return [(each.guest, self._heard(host, kept.get(each.guest.id))) for each in found]

    async def reserve(self, session: Session, host: str, found: Sequence[tuple[Guest, Heard | None]]) -> None:
        """Record guests, and reserve what they take, in the transaction that makes their host known."""
        for guest, heard in found:
            await self._put(session, host, guest, heard, NEW, None)

    async def keep(self, host: str, guest: str) -> None:
        """Record a guest as a stranger that is newer than this database. Raises BusError."""
        told = {each.id: each for each in (await self.parts.hosts.at(host).holdings()).guests}
        kept = await self.parts.hosts.at(host).notes((guest,))
        if guest not in told or not kept:
            return
        async with self.parts.store.read() as session:
            server = await servers.server(session, guest)
            known = (await strangers.of_host(session, host)).get(guest)
        await self._look_around(host)
        why = NEWER.format(server["vm_state"] if server else "unknown")
        await self._record(host, told[guest], self._heard(host, kept[0]), why, known)

    def _cut(self, host: str, found: Sequence[Found], most: int) -> Sequence[Found]:
        """Leave out the guests above the most that are recorded, and say so once for each number of them."""
        left_out = max(len(found) - most, 0)
        if left_out and self._left_out.get(host) != left_out:
            log.error(
                "a host has too many unknown guests to record them all: nothing is reserved for the others, and their"
                " ports are not kept wired",
                host=host,
                left_out=left_out,
                recorded=len(found) - left_out,
            )
        self._left_out[host] = left_out
        return found[:most]

    async def _look_around(self, host: str) -> None:
        """Read what the host notes of the networks around its guests. Raises Unreachable."""
        heard = await noted_by(self.parts, host, sealed=False)
        if heard.is_sealed:
            self._told.discard(host)
        else:
            self._told.add(host)
        rows = [*heard.noted.ports, *heard.noted.routers, *heard.noted.floating_ips]
        self._around[host] = sorted(str(row.get("id"))[:36] for row in rows)[:MOST_AROUND]

    def _heard(self, host: str, kept: GuestNote | None) -> Heard | None:
        """Read what a host gave back; None for no note, and for one that cannot be read."""
        note = age.read(kept)
        return checked.heard(self.parts.notary, host, kept, note) if kept and note else None

    async def _notes(self, host: str, found: Iterable[Found]) -> dict[str, GuestNote]:
        """Ask the host for its notes. Raises Unreachable, so that nobody goes on with the host's report: a topology
        would take down what its strangers are wired with.
        """
        try:
            told = await self.parts.hosts.at(host).notes(tuple(each.guest.id for each in found))
        except RemoteError as error:
            log.warning("notes of strangers could not be read", host=host, why=str(error))
            return {}
        return {each.server: each for each in told}

    async def _left_over(self, found: Iterable[Found], kept: Mapping[str, GuestNote]) -> set[str]:
        """Name the guests whose server is elsewhere, and which an operation that is known here built and left."""
        return await self._those(found, kept, age.is_left)

    async def _newer(self, found: Iterable[Found], kept: Mapping[str, GuestNote]) -> set[str]:
        """Name the guests that have a server here and have seen more than this database."""
        return await self._those(found, kept, age.is_newer)

    async def _those(
        self, found: Iterable[Found], kept: Mapping[str, GuestNote], true: Callable[[Note, age.EndMoments], bool]
    ) -> set[str]:
        noted: dict[str, Note] = {}
        for each in found:
            note = age.read(kept.get(each.guest.id))
            if each.server is not None and note is not None:
                noted[each.guest.id] = note
        if not noted:
            return set()
        async with self.parts.store.read() as session:
            ends = await operations.ends(session, {note.operation for note in noted.values()})
        return {guest for guest, note in noted.items() if true(note, ends)}

    async def _take(
        self, host: str, found: Found, kept: GuestNote | None, why: str | None, known: StrangerRow | None
    ) -> None:
        """Make a server of a stranger unless there is a doubt, else record why it is not one."""
        heard, guest = self._heard(host, kept), found.guest
        if why is None and heard is not None:
            try:
                noted = await noted_by(self.parts, host, sealed=True)
                left = await adopt(self.parts, host, guest, heard, noted, AdoptionRequest(request_id=REQUEST))
            except errors.NovakitError as error:
                why = f"It could not be taken over: {error.message}"
            else:
                log.warning(
                    "a guest that the database did not know is a server again", host=host, guest=guest.id, left=left
                )
                return
        await self._record(host, guest, heard, why or NO_NOTE, known)

    async def _doubt(self, host: str, found: Found, kept: GuestNote | None, *, newer: bool) -> str | None:
        """Return why a guest must not become a server by itself; None where it may."""
        note, server = age.read(kept), found.server
        if server is not None and not newer:
            return ELSEWHERE.format(server["host"] or "no host")
        if server is not None and (found.busy or not _failed_create(server)):
            return NEWER.format(server["task_state"] or server["vm_state"])
        if kept is None or note is None:
            return NO_NOTE
        notary = self.parts.notary
        if note.deployment != notary.deployment.id:
            return FOREIGN.format(note.deployment)
        if not notary.is_sealed(host, kept) or note.host != host:
            return NOT_OURS
        async with self.parts.store.read() as session:
            current = await deployment.recorded(session)
        forgotten = current.forgotten_before if current else None
        if forgotten is not None and notes.moment(note.server.created_at) <= forgotten:
            return MAYBE_PURGED
        return None

    async def _record(self, host: str, guest: Guest, heard: Heard | None, why: str, known: StrangerRow | None) -> None:
        reach = self._reach(heard)
        if (
            known is not None
            and known["held"]
            and (known["why"], known["power"], known["keeps"].get("reach")) == (why, guest.power.value, reach)
        ):
            self._had.add(host)
            return
        async with self.parts.store.write() as session:
            await self._put(session, host, guest, heard, why, known)
        self._had.add(host)
        if known is None or known["why"] == NEW:
            log.warning(
                "a guest is unknown to the database and left alone",
                host=host,
                guest=guest.id,
                name=heard.note.server.name if heard else "",
                why=why,
            )

    def _reach(self, heard: Heard | None) -> str:
        """Return who goes by what is noted: everybody by a sealed note, which is the database's own word."""
        if heard is None:
            return HERE
        if heard.is_sealed:
            return EVERYWHERE
        return LOST if self.parts.notary.has_lost_its_seal else HERE

    async def _put(
        self, session: Session, host: str, guest: Guest, heard: Heard | None, why: str, known: StrangerRow | None
    ) -> None:
        held = await self._reserve(session, host, guest, heard)
        server, reach = heard.note.server if heard else None, self._reach(heard)
        # Everybody goes by a sealed note, and so by none of what its host alone says.
        around = () if reach == EVERYWHERE and host in self._told else self._around.get(host, ())
        row: StrangerRow = {
            "host": host,
            "guest": guest.id,
            "claim_id": consumer_of(guest.id, host),
            "name": server.name if server else "",
            "project_id": server.project_id if server else "",
            "power": guest.power.value,
            "why": why,
            "keeps": _wiring(heard.note if heard else None, around, reach),
            "held": held,
            "created_at": server.created_at if server else None,
            "first_seen": known["first_seen"] if known else world.now(),
        }
        if known is None or dict(known) != row:
            await strangers.put(session, row)

    async def _reserve(self, session: Session, host: str, guest: Guest, heard: Heard | None) -> dict[str, int] | None:
        """Hold in the ledger what a stranger takes of its host; None where that is not known or does not fit.

        Only a sealed note says in whose name.
        """
        known = await host_rows.host(session, host)
        if heard is None or known is None:
            return None
        try:
            wanted = await claim_of(session, heard.note, known["provider_id"])
        except (errors.NovakitError, ValueError):
            return None
        server = heard.note.server
        owner = {"project_id": server.project_id, "user_id": server.user_id} if heard.is_sealed else {}
        (taken,) = await self.parts.placement.claim_many(session, [stranger_claim(guest.id, host, wanted, **owner)])
        return totals(wanted) if taken else None

    async def _forget(self, host: str, gone: Mapping[str, StrangerRow]) -> None:
        """Drop what is recorded of guests that are not strangers here any more, with what was reserved for them."""
        if gone:
            async with self.parts.store.write() as session:
                await self.parts.placement.release_many(session, [row["claim_id"] for row in gone.values()])
                await strangers.drop(session, host, list(gone))


def _most(counted: Mapping[str, int], host: str) -> int:
    """Return how many strangers of a host are recorded at most, where so many are recorded of each."""
    others = sum(count for name, count in counted.items() if name != host)
    return min(max(SHARE, MOST_IN_ALL - others), MOST)


async def full(session: Session) -> Sequence[str]:
    """Return a sentence for each host of which more guests may be unknown than are recorded."""
    counted = await strangers.counts(session)
    return [
        f"{count} unknown guests of the host {name} are recorded, and no more: what else it has of them is not wired"
        " and nothing is reserved for it. Adopt or remove some; the others follow with its next reports."
        for name, count in sorted(counted.items())
        if count >= _most(counted, name)
    ]


def _failed_create(server: ServerRow) -> bool:
    """Return whether a server was never built, as far as the database knows, and nothing of it remains."""
    return server["vm_state"] == "error" and server["launched_at"] is None and server["host"] is None


async def kept(store: Store, hosts: Sequence[str]) -> Mapping[str, Kept]:
    """Return what of the networks of hosts belongs to strangers."""
    async with store.read() as session:
        guests, networks = await strangers.kept(session, hosts)
    return {
        host: Kept(guests=tuple(guests.get(host, ())), networks=tuple(sorted(networks.get(host, ())))) for host in hosts
    }


def _wiring(note: Note | None, around: Sequence[str], reach: str) -> StrangerKeeps:
    """List what a stranger is wired with, by kind."""
    ports = note.ports if note else ()
    addresses: dict[str, list[str]] = {}
    for port in ports:
        for address in port.addresses:
            addresses.setdefault(address.subnet.id, []).append(address.ip)
    return {
        "ports": [port.id for port in ports],
        "networks": sorted({port.network_id for port in ports}),
        "addresses": addresses,
        "around": list(around),
        "reach": reach,
    }
