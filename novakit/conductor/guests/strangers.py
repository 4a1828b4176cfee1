"""Guests that a host has and this database does not know: told of, reserved for, and taken over where that is safe.

The idea: a database may be new, another's or an old backup, so that it does not know a guest proves nothing. What
happens to a guest follows from what the database knows, never from what it lacks.
The invariant: a guest is destroyed only where this database knows that it is to be gone. It knows that of a server
whose row is deleted, and of one whose row says that it is elsewhere, provided that the operation which built this very
guest is in the database and has ended: an older backup lacks the operations of everything that happened since.
Every other guest is a stranger. It runs on, its ports stay wired, and what it takes of its host is reserved.
A stranger becomes a server by itself only if this database sealed its note, never had a row of its id, and nothing of
what it needs is somebody else's; otherwise `why` says what an operator has to decide.
The cost: 0 while a host has no strangers; for each report of one that has, one call and one transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from novakit import errors, world
from novakit.bus import RemoteError
from novakit.calls.host import GuestNote, Kept
from novakit.conductor.guests import note as notes
from novakit.conductor.guests.adoption import Asked, adopt
from novakit.conductor.guests.claims import claim_of, consumer_of, stranger_claim, totals
from novakit.conductor.guests.note import Note
from novakit.conductor.parts import Parts
from novakit.store import Store, deployment, operations
from novakit.store.compute import hosts as host_rows
from novakit.store.compute import strangers
from novakit.store.engine import Row, Session
from novakit_hookspecs.servers import Guest

log = structlog.get_logger(__name__)

REQUEST = "req-adopted-by-its-host"
NO_NOTE = "Its host keeps no note of it: it can be removed, and cannot be adopted."
NOT_OURS = "Its note was not sealed by this database, which is new or another one: adopt it if it is yours."
FOREIGN = "Its note is of deployment {}: it belongs to another cloud, unless you know better."
MAYBE_PURGED = "It is as old as servers that were purged here, so it may be one that was deleted."
ELSEWHERE = "Its server is to run on {}: it may be newer than this database, or left over."


@attrs.frozen
class Found:
    """A guest that its host has and is not to have, with the row of its server if there is one."""

    guest: Guest
    server: Row | None


@attrs.define
class Strangers:
    """Judges the guests that no row accounts for."""

    parts: Parts
    _had: set[str] = attrs.field(factory=set)
    """Hosts of which rows may be there; every host counts until it has been looked at."""
    _looked: set[str] = attrs.field(factory=set)

    async def judge(self, host: str, found: Sequence[Found]) -> frozenset[str]:
        """Adopt or record the strangers of a host, and return the guests that are known to be left over."""
        if not found and host in self._looked and host not in self._had:
            return frozenset()
        self._looked.add(host)
        over = {each.guest.id for each in found if each.server is not None and each.server["deleted_at"] is not None}
        doubtful = [each for each in found if each.guest.id not in over]
        kept = await self._notes(host, doubtful) if doubtful else {}
        over |= await self._left_over(doubtful, kept)
        left = [each for each in doubtful if each.guest.id not in over]
        async with self.parts.store.read() as session:
            known = await strangers.of_host(session, host)
        for each in left:
            await self._take(host, each, kept.get(each.guest.id), known.get(each.guest.id))
        await self._forget(
            host, {guest: row for guest, row in known.items() if guest not in {o.guest.id for o in left}}
        )
        if not left:
            self._had.discard(host)
        return frozenset(over)

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
        built: dict[str, str] = {}
        for each in found:
            note = _read(kept.get(each.guest.id))
            if each.server is not None and note is not None:
                built[each.guest.id] = note.operation
        if not built:
            return set()
        async with self.parts.store.read() as session:
            ended = await operations.ended(session, built.values())
        return {guest for guest, operation in built.items() if operation in ended}

    async def _take(self, host: str, found: Found, kept: GuestNote | None, known: Row | None) -> None:
        """Make a server of a stranger where that is safe, else record why it is not."""
        note, guest = _read(kept), found.guest
        why = await self._doubt(host, found, kept, note)
        if why is None and note is not None:
            try:
                await adopt(self.parts, host, guest, note, Asked(request_id=REQUEST))
            except errors.NovakitError as error:
                why = f"It could not be taken over: {error.message}"
            else:
                log.warning("a guest that the database had lost is a server again", host=host, guest=guest.id)
                return
        await self._record(host, guest, note, why or NO_NOTE, known)

    async def _doubt(self, host: str, found: Found, kept: GuestNote | None, note: Note | None) -> str | None:
        """Return why a guest must not become a server by itself; None where it may."""
        if found.server is not None:
            return ELSEWHERE.format(found.server["host"] or "no host")
        if kept is None or note is None:
            return NO_NOTE
        notary = self.parts.notary
        if note.deployment != notary.deployment.id:
            return FOREIGN.format(note.deployment)
        if not notary.is_sealed(host, kept) or note.host != host:
            return NOT_OURS
        async with self.parts.store.read() as session:
            current = await deployment.show(session)
        forgotten = current.forgotten_before if current else None
        if forgotten is not None and notes.moment(note.server.created_at) <= forgotten:
            return MAYBE_PURGED
        return None

    async def _record(self, host: str, guest: Guest, note: Note | None, why: str, known: Row | None) -> None:
        if known is not None and known["held"] and (known["why"], known["power"]) == (why, guest.power.value):
            self._had.add(host)
            return
        async with self.parts.store.write() as session:
            held = await self._reserve(session, host, guest, note)
            server = note.server if note else None
            row: dict[str, Any] = {
                "host": host,
                "guest": guest.id,
                "claim_id": consumer_of(guest.id, host),
                "name": server.name if server else "",
                "project_id": server.project_id if server else "",
                "power": guest.power.value,
                "why": why,
                "keeps": _wiring(note),
                "held": held,
                "created_at": server.created_at if server else None,
                "first_seen": known["first_seen"] if known else world.now(),
            }
            if known is None or any(known[name] != value for name, value in row.items()):
                await strangers.put(session, row)
        self._had.add(host)
        if known is None:
            log.warning(
                "a guest is unknown to the database and left alone",
                host=host,
                guest=guest.id,
                name=row["name"],
                why=why,
            )

    async def _reserve(self, session: Session, host: str, guest: Guest, note: Note | None) -> dict[str, int] | None:
        """Hold in the ledger what a stranger takes of its host; None where that is not known or does not fit."""
        known = await host_rows.show(session, host)
        if note is None or known is None:
            return None
        try:
            wanted = await claim_of(session, note, known["provider_id"])
        except errors.NovakitError:
            return None
        owner = {"project_id": note.server.project_id, "user_id": note.server.user_id}
        (taken,) = await self.parts.placement.claim_many(session, [stranger_claim(guest.id, host, wanted, **owner)])
        return totals(wanted) if taken else None

    async def _forget(self, host: str, gone: Mapping[str, Row]) -> None:
        """Drop what is recorded of guests that are not strangers here any more, with what was reserved for them."""
        if gone:
            async with self.parts.store.write() as session:
                await self.parts.placement.release_many(session, [row["claim_id"] for row in gone.values()])
                await strangers.drop(session, host, list(gone))


async def kept(store: Store, hosts: Sequence[str]) -> Mapping[str, Kept]:
    """Return what of the networks of hosts belongs to strangers."""
    async with store.read() as session:
        guests, networks = await strangers.kept(session, hosts)
    return {host: Kept(guests=tuple(guests.get(host, ())), networks=tuple(sorted(networks))) for host in hosts}


def _read(kept: GuestNote | None) -> Note | None:
    if kept is None:
        return None
    try:
        return notes.read(kept)
    except ValueError as error:
        log.warning("a guest's note cannot be used", guest=kept.server, why=str(error))
        return None


def _wiring(note: Note | None) -> dict[str, Any]:
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
    }
