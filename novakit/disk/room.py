"""How much room a file system has, and what is stopped before there is none.

The idea: a disk that is really full fails in the middle of things, the log included, and leaves no room to delete
anything. So there are two marks above that: below the first nothing large is written any more (uploads, copies of
images), below the second nothing new at all.
The invariant: deleting is never refused, and the second mark is at or below the first, so there is always room for
the records that deleting writes.
The cost: one system call for each look, 3 µs.
"""

import errno
import os
from pathlib import Path

import attrs

from novakit.errors import InsufficientStorage

MIB = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where nothing more can be written."""
_SHARE, _MOST = 20, 1024 * MIB
"""The low-water mark where none is set: 1/20 of the file system, at most 1 GiB."""
_RESERVED = 16
"""The second mark where none is set: this part of the first."""


@attrs.frozen(kw_only=True)
class Room:
    """What one look at a file system found; everything in bytes."""

    size: int
    free: int
    low_water: int
    """Below this nothing large is written."""
    reserved: int
    """Below this nothing new is made."""

    @property
    def fault(self) -> str:
        """Return what is stopped, as a sentence; empty where nothing is."""
        if self.free >= self.low_water:
            return ""
        stopped = "nothing new is made" if self.free < self.reserved else "uploads and copies of images are refused"
        mark = self.reserved if self.free < self.reserved else self.low_water
        return f"{self.free // MIB} MiB are free of {self.size // MIB}, below the mark of {mark // MIB}: {stopped}."


@attrs.frozen(kw_only=True)
class Disk:
    """The file system that a directory is on."""

    directory: Path
    low_water_mb: int = 0
    """MiB; 0 is a twentieth of the file system, at most 1024."""
    reserved_mb: int = 0
    """MiB; 0 is a sixteenth of the low-water mark."""

    def room(self) -> Room:
        """Look how much is free now. Raises OSError."""
        found = os.statvfs(self.directory)
        size = found.f_blocks * found.f_frsize
        low = self.low_water_mb * MIB or min(size // _SHARE, _MOST)
        reserved = min(low, self.reserved_mb * MIB or low // _RESERVED)
        return Room(size=size, free=found.f_bavail * found.f_frsize, low_water=low, reserved=reserved)

    def require_for_content(self, size: int = 0) -> None:
        """Raise InsufficientStorage where `size` more bytes would bring the disk below its low-water mark."""
        room = self.room()
        if room.free - size < room.low_water:
            raise InsufficientStorage(
                f"The disk has {room.free // MIB} MiB left, and {room.low_water // MIB} MiB of it are kept free, so "
                "nothing large is stored now. Delete images or servers, or ask the operator to free space."
            )

    def require_for_records(self) -> None:
        """Raise InsufficientStorage where what is left of the disk is kept for deleting."""
        room = self.room()
        if room.free < room.reserved:
            raise InsufficientStorage(
                f"The disk has {room.free // MIB} MiB left, so nothing new is made now. Delete what is not needed, or"
                " ask the operator to free space."
            )


def means_full(error: BaseException | None) -> bool:
    """Return whether something failed because a disk is full, by its own errors or by the words of a program it ran.

    Programs that run under `LC_ALL=C`, and libraries that quote them, say it in the system's words.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(os.strerror(number) in str(error) for number in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
