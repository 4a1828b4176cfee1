"""What the conductor has the host keep of each guest: one file each beside the drivers' own, durable before the guest.

The idea: the host keeps notes and reads nothing in them but whose they are; where they come from is the conductor's
to judge.
The invariant: a note is on disk before its guest is started, and goes only after its guest is gone, so that no guest
is ever without one, whatever is killed when. A note is replaced whole, and its name is made of a checked id.
The note of networks that one database wrote is not replaced by that of another one, which may not know the half of it:
it is moved aside first.
The cost: two flushes of the disk for a note, 1 ms, in a thread. The versions of all notes are in memory, their texts
are not.
"""

import asyncio
import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import attrs
import orjson
import structlog

from novakit import durable
from novakit.calls.host import GuestNote, NetworksNote
from novakit.concurrency.threads import to_its_end
from novakit_hookspecs.fields import UUID_PATTERN
from novakit_hookspecs.plain import to_plain, to_record

log = structlog.get_logger(__name__)

NETWORKS = "networks.json"
"""The one note that is of no single guest."""


@attrs.define
class GuestNotes:
    """The notes of one host, by server."""

    directory: Path
    _versions: dict[str, str] = attrs.field(factory=dict)
    _networks: NetworksNote | None = None

    def open(self) -> None:
        """Make the directory and see what is in it."""
        durable.directory(self.directory, mode=0o700)
        self._networks = self._read_networks()
        for path in self.directory.glob("*.json"):
            if path.name != NETWORKS and (note := self._read(path.stem)) is not None:
                self._versions[path.stem] = note.version

    def version(self, server: str) -> str | None:
        """Return which version of a guest's note is kept; None for no note."""
        return self._versions.get(server)

    async def keep(self, note: GuestNote) -> None:
        """Keep a note in the place of the former one; it is on disk afterwards. Raises OSError.

        Also where the caller is cancelled, as a build is by the deletion of its server, the note is known to `forget`.
        """

        def write() -> None:
            durable.write(self._path(note.server), orjson.dumps(to_plain(note)))
            self._versions[note.server] = note.version

        await to_its_end(write)

    async def some(self, servers: Iterable[str]) -> Sequence[GuestNote]:
        """Read the notes of some guests; those without one are left out."""
        wanted = [each for each in servers if each in self._versions]
        return [note for note in await asyncio.to_thread(lambda: [self._read(each) for each in wanted]) if note]

    def beside(self, guests: Collection[str]) -> Sequence[tuple[str, Path]]:
        """List the notes of guests other than these, each with the guest's id."""
        return [(guest, self._path(guest)) for guest in sorted(self._versions.keys() - {*guests})]

    async def forget(self, server: str) -> None:
        """Remove a guest's note, once the guest is gone; none is fine."""
        self._versions.pop(server, None)
        # Whatever is known of it: a note that could not be read has no version.
        await asyncio.to_thread(self._path(server).unlink, missing_ok=True)

    @property
    def networks_version(self) -> str:
        """Return which version of the note of the networks around the guests is kept; nothing for no note."""
        return self._networks.version if self._networks is not None else ""

    async def keep_networks(self, note: NetworksNote) -> None:
        """Keep the note of the networks around the guests. Raises OSError."""
        before = self._networks
        if before is not None and _writer(before) != _writer(note):
            aside = self.directory / f"{NETWORKS}.{_writer(before)}"
            log.warning("the note of networks that another database wrote is kept aside", file=str(aside))
            await to_its_end(durable.write, aside, orjson.dumps(to_plain(before)))
        await to_its_end(durable.write, self.directory / NETWORKS, orjson.dumps(to_plain(note)))
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
            log.warning("the note of networks cannot be read", file=str(path), why=str(error))
            return None

    def _path(self, server: str) -> Path:
        if not re.fullmatch(UUID_PATTERN, server):
            raise ValueError(f"{server[:80]!r} is not the id of a guest")
        return self.directory / f"{server}.json"

    def _read(self, server: str) -> GuestNote | None:
        try:
            return to_record(orjson.loads(durable.read(self._path(server))), GuestNote, tolerant=True)
        except (OSError, ValueError, TypeError, LookupError) as error:
            log.warning("the note of a guest cannot be read", guest=server, why=str(error))
            return None


def _writer(note: NetworksNote) -> str:
    """Return which database wrote a note, as a part of a file's name: a digest of all but the last part of its version.

    What the version says is not used as it is, since it came over the bus.
    """
    return hashlib.sha256(note.version.rpartition("/")[0].encode()).hexdigest()[:16]
