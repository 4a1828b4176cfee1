"""Files that are there whole after a power cut, or not at all.

The idea: a file system keeps what was written in memory until it is told otherwise, and the name of a file apart from
its content. So content is written under another name, flushed, given its name, and then the directory is flushed.
The invariant: at no moment is a part of a file there under its own name, and when a call returns the file is safe,
unless it was told that it need not be `lasting` yet.
What a killed call leaves is a draft, whose name begins with a dot; nobody reads it, and whoever opens the directory the
next time removes it. A draft that is being written is locked, by its open file and so for as long as its writer lives:
one that can be locked by somebody else is nobody's.
The cost: two flushes of the disk, 1 ms where one takes 0.5 ms, and 0.5 ms of CPU, or three quarters of that for what
need not be `lasting` yet; callers on an event loop use a thread. Opening a directory lists it, 1 µs for each file.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from novakit import world
from novakit.concurrency.locks import try_lock, wait_for
from novakit.errors import ConfigError

MOST = 64 << 20
"""Bytes of a file that this service wrote: notes of hosts, keys, credentials."""
_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def write(path: Path, content: bytes, *, mode: int = 0o600, lasting: bool = True) -> None:
    """Replace a file; the old one or the new one is there, whatever happens. Raises OSError.

    Without `lasting` a power cut may still bring back the old one, or none where there was none, for a few seconds.
    """
    with _draft(path, content, mode) as draft:
        draft.rename(path)
    if lasting:
        sync_directory(path.parent)


def make(path: Path, content: bytes, *, mode: int = 0o600) -> bool:
    """Make a file unless it is there. Returns whether this call made it. The first of several processes wins.

    Raises OSError.
    """
    try:
        with _draft(path, content, mode) as draft:
            try:
                path.hardlink_to(draft)
            finally:
                _remove(draft)
    except FileExistsError:
        return False
    finally:
        sync_directory(path.parent)
    return True


def publish(draft: Path, path: Path) -> None:
    """Give a file that was written under another name its own, with all its content. Raises OSError."""
    sync_file(draft)
    draft.rename(path)
    sync_directory(path.parent)


def directory(path: Path, *, mode: int = 0o777) -> None:
    """Make a directory with those above it, unless it is there; no power cut takes it away again. Raises OSError.

    What killed writers left in it is removed.
    """
    for each in reversed([each for each in path.parents if not each.exists()]):
        each.mkdir(exist_ok=True)
        sync_directory(each.parent)
    path.mkdir(mode=mode, exist_ok=True)
    # Also of one that was there: who made it may have been killed before this.
    sync_directory(path.parent)
    _sweep(path)


def sync_file(path: Path) -> None:
    """Flush the content of a file, whoever wrote it."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Flush the names in a directory."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def read(path: Path, most: int = MOST) -> bytes:
    """Return the content of a file of at most so many bytes, without waiting for a pipe or reading a device.

    Raises OSError, also for what is no file, or larger.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        file = os.fdopen(handle, "rb")
    except OSError:  # a directory
        os.close(handle)
        raise
    with file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "It is not a file", str(path))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"It has more than {most} bytes", str(path))
    return content


def read_key(path: Path, length: int) -> bytes:
    """Return the content of a key file. Raises ConfigError unless it has at least `length` bytes."""
    try:
        content = read(path)
    except OSError as error:
        raise ConfigError(
            f"The key file {path} cannot be read: {error.strerror}; move it away, and restore it from a backup."
        ) from error
    if len(content) < length or not content.strip(b"\0"):
        held = f"has {len(content)} bytes where a key has {length}" if len(content) < length else "holds zeros alone"
        raise ConfigError(
            f"The key file {path} {held}: it was cut off or emptied."
            " Restore it from a backup, or remove it so that a new one is made."
        )
    return content


@contextmanager
def _draft(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """Write content under another name, which is gone at the end where the block fails; else it is the block's."""
    draft, descriptor = _locked(path, mode)
    try:
        # Without a file object, which asks the system three things of it; each call of it gives the interpreter up.
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
        yield draft
    except BaseException:
        _remove(draft)
        raise
    finally:
        os.close(descriptor)


def _remove(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink(missing_ok=True)


def _locked(path: Path, mode: int) -> tuple[Path, int]:
    """Make an empty draft that is ours, and open it."""
    while True:
        draft = path.with_name(f".{path.name}.{world.new_id()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with suppress(OSError):  # as on a file system without locks, where nothing is swept either
                wait_for(descriptor)
            # Whoever opened the directory between the two lines above took it for nobody's.
            if os.fstat(descriptor).st_nlink:
                return draft, descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the drafts in a directory that nobody writes any more."""
    with os.scandir(path) as found:
        drafts = [each.path for each in found if _DRAFT.fullmatch(each.name)]
    for draft in drafts:
        with suppress(OSError):  # somebody's: locked, renamed meanwhile, or of a user whose files are closed to us
            descriptor = os.open(draft, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and try_lock(descriptor):
                    Path(draft).unlink()
            finally:
                os.close(descriptor)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
