"""Why a command could not do its work, in one sentence for whoever typed it.

A start touches files, disks, ports and databases, and each of them has its own way to say no.
What is known here is no fault of the program, so nobody needs to see where in the program it was noticed.
"""

import errno
from collections.abc import Callable

_DOING = {
    errno.ENOSPC: "The disk is full; free some space, or choose a --state on another file system",
    errno.EDQUOT: "The disk quota is used up; free some space, or choose another --state",
    errno.EROFS: "The file system is read-only; mount it for writing, or choose another --state",
    errno.EACCES: "Give novakit's user the right to it, or choose another --state",
    errno.EPERM: "Give novakit's user the right to it, or choose another --state",
    errno.EISDIR: "It is a directory where a file belongs; move it away",
    errno.ENOTDIR: "A file stands where a directory belongs; move it away",
    errno.EEXIST: "A file stands where a directory belongs; move it away",
    errno.EIO: "The disk has an error; replace or repair it, or restore a backup",
    errno.EMFILE: "Too many files are open; raise the limit of descriptors (ulimit -n)",
    errno.ENAMETOOLONG: "Choose a shorter --state",
    errno.ELOOP: "Its links go round in a circle; correct them",
}


def sentence(error: BaseException, *asked: Callable[[BaseException], str | None]) -> str | None:
    """Return what to tell of an error; None for what nobody thought of, which is a fault of the program.

    Those `asked` know errors of what lies above, such as a database, and are asked first.
    """
    if isinstance(error, BaseExceptionGroup):
        return next((said for one in error.exceptions if (said := sentence(one, *asked))), None)
    return next((said for of in (*asked, _of_system, _of_content) if (said := of(error))), None)


def _of_system(error: BaseException) -> str | None:
    if not isinstance(error, OSError) or error.errno is None:
        return None
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    doing = _DOING.get(error.errno, "Correct that, and start again")
    return f"{what}. {doing}."


def _of_content(error: BaseException) -> str | None:
    """Tell of a text that is none: who reads a file by a name of its own says which it was in a note."""
    if isinstance(error, UnicodeDecodeError):
        return "A file of the state directory is not text: it was overwritten. Restore it from a backup."
    return None
