"""What the conductor has the host keep of each guest: a line each in one file of the host, durable before the guest.

The idea: the host keeps notes and reads nothing in them but whose they are; where they come from is the conductor's
to judge.
The invariant: a note is on disk before its guest is started, and goes only after its guest is gone, so that no guest
is ever without one, whatever is killed when. A note is replaced whole, and what is done to notes is done in the order
in which it was asked for, also for callers that have gone.
The note of networks that one database wrote is not replaced by that of another one, which may not know the half of it:
it is moved aside first.
The cost: one flush of the disk for all notes that wait for it, in a thread: 0.3 ms of CPU for a note that comes alone,
0.07 ms for each of ten. The versions of all notes are in memory, their texts are not.
"""

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import attrs
import orjson
import structlog

from novakit import durable
from novakit.agent.journal import ASIDE, NO_FILE, DurableJournal
from novakit.calls.host import GuestNote, NetworksNote
from novakit.concurrency.gather import Gather
from novakit.concurrency.threads import to_its_end
from novakit.errors import in_words
from novakit_hookspecs.plain import to_plain, to_record

log = structlog.get_logger(__name__)

NETWORKS = "networks.json"
"""The one note that is of no single guest."""


JOURNAL = "notes.journal"
"""The notes of all guests."""


@attrs.frozen
class _NoteChange:
    server: str
    note: GuestNote | None = None
    """None for a guest that is gone."""

    def value(self) -> bytes | None:
        return orjson.dumps(to_plain(self.note)) if self.note is not None else None


@attrs.frozen
class _Older:
    path: Path
    note: GuestNote


@attrs.define
class GuestNotes:
    """The notes of one host, by server."""

    directory: Path
    _journal: DurableJournal = attrs.field(init=False)
    _changes: Gather[_NoteChange | None, None] = attrs.field(init=False)
    _versions: dict[str, str] = attrs.field(factory=dict)
    _unreadable: dict[str, Path] = attrs.field(factory=dict)
    """Files of a version that made one for each guest."""
    _older: Mapping[str, _Older] = attrs.field(factory=dict)
    """Notes in such files that could not be moved into the one file yet; they are newer than what that one says."""
    _networks: NetworksNote | None = None

    def __attrs_post_init__(self) -> None:
        self._journal = DurableJournal(self.directory / JOURNAL)
        self._changes = Gather(self._change)

    def open(self) -> None:
        """Make the directory and see what is in it. Raises OSError, also where a note cannot be read just now."""
        durable.directory(self.directory, mode=0o700)
        self._networks = self._read_networks()
        kept = self._journal.open()
        self._older = self._found_older()
        notes = [note for guest in kept if (note := _read(guest, kept[guest])) is not None]
        for note in [*notes, *(each.note for each in self._older.values())]:
            self._versions[note.server] = note.version
        try:
            self._take_over()
        except OSError as error:
            # As on a full disk, on which an agent has to start so that guests can be deleted.
            log.warning("notes of guests stay in files of their own", guests=sorted(self._older), why=in_words(error))

    def version(self, server: str) -> str | None:
        """Return which version of a guest's note is kept; None for no note."""
        return self._versions.get(server) if server in self._journal or server in self._older else None

    async def keep(self, note: GuestNote) -> None:
        """Keep a note in the place of the former one; it is on disk afterwards. Raises OSError.

        Also where the caller is cancelled, as a build is by the deletion of its server, the note goes by `forget`.
        """
        await self._changes(_NoteChange(note.server, note))

    async def some(self, servers: Iterable[str]) -> Sequence[GuestNote]:
        """Read the notes of some guests; those without one are left out. Raises OSError."""
        asked = [*servers]
        older = {each: self._older[each].note for each in asked if each in self._older}
        kept = await asyncio.to_thread(self._journal.values, [each for each in asked if each not in older])
        notes = {guest: note for guest in kept if (note := _read(guest, kept[guest])) is not None} | older
        return [notes[each] for each in asked if each in notes]

    def beside(self, guests: Collection[str]) -> Sequence[tuple[str, str]]:
        """List the notes of guests other than these, each with the guest's id: the name of the file and which of it."""
        return [(guest, self._place(guest)) for guest in sorted(self._versions.keys() - {*guests})]

    def _place(self, server: str) -> str:
        older = self._older.get(server)
        return str(older.path) if older is not None else f"{self._journal.path}#{server}"

    async def forget(self, server: str) -> None:
        """Remove a guest's note, once the guest is gone; none is fine. Raises OSError."""
        await self._changes(_NoteChange(server))

    async def close(self) -> None:
        """Wait for what is still being written for callers that have gone."""
        await self._changes(None)

    @property
    def networks_version(self) -> str:
        """Return which version of the note of the networks around the guests is kept; nothing for no note."""
        return self._networks.version if self._networks is not None else ""

    async def keep_networks(self, note: NetworksNote) -> None:
        """Keep the note of the networks around the guests. Raises OSError."""
        before, path = self._networks, self.directory / NETWORKS
        if before is None and path.exists():
            log.warning("a note of networks that cannot be read is kept aside", file=f"{path}{ASIDE}")
            path.replace(f"{path}{ASIDE}")
        if before is not None and _writer(before) != _writer(note):
            aside = self.directory / f"{NETWORKS}.{_writer(before)}"
            log.warning("the note of networks that another database wrote is kept aside", file=str(aside))
            await to_its_end(durable.write, aside, orjson.dumps(to_plain(before)))
        await to_its_end(durable.write, path, orjson.dumps(to_plain(note)))
        self._networks = note

    def networks(self) -> NetworksNote | None:
        """Return the note of the networks around the guests; None for no note."""
        return self._networks

    def _read_networks(self) -> NetworksNote | None:
        path = self.directory / NETWORKS
        try:
            return to_record(orjson.loads(durable.read(path)), NetworksNote, tolerant=True)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, LookupError) as error:
            _require_lasting(error, path)
            log.warning("the note of networks cannot be read", file=str(path), why=in_words(error))
            return None

    async def _change(self, changed: Sequence[_NoteChange | None]) -> Sequence[None]:
        asked = [each for each in changed if each is not None]
        await to_its_end(self._write, asked)
        for each in asked:
            self._versions.pop(each.server, None)
            if each.note is not None:
                self._versions[each.server] = each.note.version
            if (path := self._unreadable.pop(each.server, None)) is not None:
                path.unlink(missing_ok=True)
        return [None] * len(changed)

    def _write(self, changed: Sequence[_NoteChange]) -> None:
        if any(each.note is not None for each in changed):
            self._take_over()
        self._journal.change({each.server: each.value() for each in changed})
        # There are some left only where all guests of these changes are gone.
        if gone := [older for each in changed if (older := self._older.get(each.server)) is not None]:
            self._remove(gone)

    def _found_older(self) -> Mapping[str, _Older]:
        """Read the notes of a version that made a file for each guest."""
        found = {}
        for path in [path for path in self.directory.glob("*.json") if path.name != NETWORKS]:
            try:
                note = _read(path.stem, durable.read(path))
            except OSError as error:
                _require_lasting(error, path)
                log.warning("the note of a guest cannot be read", guest=path.stem, why=in_words(error))
                note = None
            if note is None:
                self._unreadable[path.stem] = path
            else:
                found[note.server] = _Older(path, note)
        return found

    def _take_over(self) -> None:
        """Move what such files say into the one file. Raises OSError; what remains is moved before the next note.

        They are newer than what that one says, if it does: it was made before the other version came back.
        """
        if older := [*self._older.values()]:
            self._journal.change({each.note.server: _NoteChange(each.note.server, each.note).value() for each in older})
            self._remove(older)

    def _remove(self, older: Sequence[_Older]) -> None:
        for each in older:
            each.path.unlink(missing_ok=True)
        # Else one could come back after a power cut, and take the place of what is kept by then.
        durable.sync_directory(self.directory)
        gone = {each.note.server for each in older}
        self._older = {server: each for server, each in self._older.items() if server not in gone}


def _require_lasting(error: Exception, path: Path) -> None:
    """Raise an error that may pass: of it the next start may be free, and what a file says is not given up for it."""
    if isinstance(error, OSError) and error.errno not in NO_FILE:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _read(server: str, content: bytes) -> GuestNote | None:
    try:
        note = to_record(orjson.loads(content), GuestNote, tolerant=True)
        if note.server != server:
            raise ValueError(f"it is that of {note.server}")
    except (ValueError, TypeError, LookupError) as error:
        log.warning("the note of a guest cannot be read", guest=server, why=in_words(error))
        return None
    return note


def _writer(note: NetworksNote) -> str:
    """Return which database wrote a note, as a part of a file's name: a digest of all but the last part of its version.

    What the version says is not used as it is, since it came over the bus.
    """
    return hashlib.sha256(note.version.rpartition("/")[0].encode()).hexdigest()[:16]
