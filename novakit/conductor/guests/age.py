"""Whether a guest has seen more than this database: an older backup must not take back what came after it.

The idea: the note beside a guest names the last operation on it, and the moment at which it ended. A database that has
just this operation, ended at just this moment, has lived through what the guest has; one that is older lacks the
operation, has it open still, or has ended it a second time, at another moment.
A note of a build names an operation that had not ended: it is newer only where the operation is not known at all.
The note of its end is on the host before anybody is told that the server is there, so no guest that a user has seen is
taken back by the word of an older database. An operation that was killed between that note and its own end looks the
same, and goes on from the guest that it finds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from novakit.calls.host import GuestNote
from novakit.conductor.guests import checked
from novakit.conductor.guests import note as notes
from novakit.conductor.guests.note import Note
from novakit.conductor.parts import Parts
from novakit.store import operations

log = structlog.get_logger(__name__)

EndMoments = Mapping[str, datetime | None]
"""When operations ended, by id; None for one that is open, and nothing for one that is not known."""


def read(kept: GuestNote | None) -> Note | None:
    """Read a note; None for no note, and for one that cannot be read."""
    if kept is None:
        return None
    try:
        return checked.read(kept)
    except ValueError as error:
        log.warning("a note cannot be used", guest=kept.server, why=str(error))
        return None


def is_newer(note: Note, ends: EndMoments) -> bool:
    """Return whether the guest of a note has seen more than the database of these operations."""
    if note.operation not in ends:
        return True
    ended = ends[note.operation]
    return note.ended is not None and (ended is None or ended != notes.moment(note.ended))


def is_left(note: Note, ends: EndMoments) -> bool:
    """Return whether the database knows how the guest came to be, and that nobody works on it any more."""
    return not is_newer(note, ends) and ends[note.operation] is not None


async def newer_here(parts: Parts, host: str, guest: str, ours: datetime | None = None) -> bool:
    """Ask a host whether it has a guest that has seen more than this database; not one whose note says that it was
    built at the moment `ours`, which this database was about to write. Raises BusError.
    """
    told: Sequence[GuestNote] = await parts.hosts.at(host).notes((guest,))
    note = read(told[0] if told else None)
    if note is None or (ours is not None and note.ended is not None and notes.moment(note.ended) == ours):
        return False
    async with parts.store.read() as session:
        return is_newer(note, await operations.ends(session, [note.operation]))
