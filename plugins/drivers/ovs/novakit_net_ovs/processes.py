"""What the processes of this machine see and run in, as far as this one can tell.

The invariant: what cannot be looked at counts as seen, and as in use. Only a process that has ended counts for nothing.
The cost: a few microseconds for each process and directory; no two processes are taken for one, since of those that
share a mount namespace each may have another root.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

PROCESSES = Path("/proc")
INITIAL = "pid:[4026531836]"
"""The first PID namespace of a machine, which holds all processes (PROC_PID_INIT_INO of linux/nsfs.h)."""
EXITING = 4
"""Of a process's flags: it has given up its files already (PF_EXITING of linux/sched.h)."""


def all_are_there() -> bool:
    """Return whether /proc shows every process of the machine: in a PID namespace of its own one sees only that."""
    try:
        # The first process, for where /proc hides those of other users.
        return {str(_pid_namespace(each)) for each in ("self", "1")} == {INITIAL}
    except FileNotFoundError:
        return False
    except OSError:  # it is there, and those that cannot be looked at count as seen
        return str(_pid_namespace("self")) == INITIAL


def seen(directories: Collection[str]) -> set[str]:
    """Return those of the directories that some process sees, or may see."""
    found: set[str] = set()
    for process in _running() if directories else ():
        found |= {each for each in directories if each not in found and _sees(process, each)}
    return found


def use(namespaces: Mapping[str, Path], exempt: Collection[int]) -> str:
    """Return which process runs, or may run, in one of these network namespaces; empty where none does."""
    names = {}
    for name, path in namespaces.items():
        try:
            names[_identity(path)] = name
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"the namespace {name} cannot be looked at: {error.strerror}"
    for process in _running() if names else ():
        if int(process.name) in exempt:
            continue
        try:
            used = names.get(_identity(process / "ns" / "net"))
        except OSError as error:
            if not _ended(process):
                return f"process {process.name} may run in {', '.join(names.values())}: {error.strerror}"
        else:
            if used is not None:
                return f"process {process.name} runs in {used}; end it first"
    return ""


def _pid_namespace(process: str) -> Path:
    return (PROCESSES / process / "ns" / "pid").readlink()


def _running() -> Iterator[Path]:
    return (each for each in PROCESSES.iterdir() if each.name.isdecimal())


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _sees(process: Path, directory: str) -> bool:
    root = process / "root"
    try:
        os.lstat(f"{root}{directory}")
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        # A process that has ended says so, too; and so does one of which other threads than the first go on.
        return not (_is_there(root) or _ended(process))
    except OSError:
        return not _ended(process)
    return True


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _ended(process: Path) -> bool:
    """Return whether nothing of a process runs any more, be it that its parent has not asked for its end yet."""
    try:
        state, *_, flags = (process / "stat").read_bytes().rpartition(b")")[2].split()[:7]
        return (state in (b"Z", b"X") or bool(int(flags) & EXITING)) and len(list((process / "task").iterdir())) < 2
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
