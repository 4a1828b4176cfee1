"""Runs programs of the host: each an argument vector that no shell sees, with a time limit, without blocking the loop.

Programs that open or make files which a tenant influences (`qemu-img`, `genisoimage`, `mke2fs`) are run by `tool`.
They get limits of CPU, memory and file size, none of root's capabilities, and see only the files they are named:
with bubblewrap no network, no other processes, of the host's files programs and libraries alone, and a filter of system
calls.
Where bubblewrap does not work, the limits and the lost capabilities remain.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import attrs

from novakit_host import system_calls

SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""The directories of administrators' commands are not on everybody's path."""
KILLED_WITHIN = 5.0
"""Seconds for a killed program to end; one that hangs in the kernel is left to it."""
KEEP = 32 << 20
"""Bytes of what a program prints that are kept."""
GIB = 1 << 30
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
CONFIGURED = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "mke2fs.conf",
    "localtime",
    "passwd",
    "group",
)
"""Files of /etc that the tools read."""


@attrs.frozen
class Ended:
    """How a program ended; `status` is None when it was killed for taking too long."""

    status: int | None
    out: str = ""
    err: str = ""

    @property
    def said(self) -> str:
        """The end of what it printed, output before errors."""
        return (self.out + self.err).strip()[-600:]


@attrs.frozen(kw_only=True)
class Limits:
    """What a tool may use."""

    cpu_s: int = 60
    memory: int = 2 * GIB
    """Bytes of address space."""
    file: int = GIB
    """Bytes up to which it may write in a file."""
    open_files: int = 256


async def run(
    argv: Sequence[str],
    *,
    within: float = 60.0,
    cwd: Path | None = None,
    said: str = "",
    hands_over: Sequence[int] = (),
) -> Ended:
    """Run a program that gets `said` on its input; it is killed after `within` seconds or when the caller is cancelled.

    Raises FileNotFoundError when it is not installed.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={**os.environ, "PATH": SEARCH, "LC_ALL": "C"},
        stdin=asyncio.subprocess.PIPE if said else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=hands_over,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(within):
            out, err, *_ = await asyncio.gather(
                _read(process.stdout), _read(process.stderr), _write(process.stdin, said), process.wait()
            )
        return Ended(process.returncode, out, err)
    except TimeoutError:
        return Ended(None, err=f"no end after {within:g} s")
    finally:
        if process.returncode is None:
            await _end(process)


async def tool(
    argv: Sequence[str],
    *,
    reads: Sequence[Path] = (),
    writes: Sequence[Path] = (),
    limits: Limits = Limits(),
    within: float = 60.0,
) -> Ended:
    """Run a program on a stranger's files: it sees `reads`, may change what is in `writes`, and nothing else.

    Raises FileNotFoundError when it is not installed.
    """
    with ExitStack() as opened:
        denied = await asyncio.to_thread(_filter_in, opened)
        confined = await asyncio.to_thread(_confined, argv, reads, writes, limits, denied)
        return await run(confined, within=within, hands_over=[] if denied is None else [denied])


def sandbox() -> str:
    """Return what keeps tools from the host: `bubblewrap`, or `limits` where that is not installed or does not work."""
    return "bubblewrap" if _bubblewrap() else "limits"


def filters() -> bool:
    """Return whether a filter of system calls is set for tools, besides bubblewrap's walls."""
    return bool(_filter())


def _confined(
    argv: Sequence[str], reads: Sequence[Path], writes: Sequence[Path], limits: Limits, denied: int | None
) -> list[str]:
    program = shutil.which(argv[0], path=SEARCH)
    if program is None:
        raise FileNotFoundError(argv[0])
    limited = ["prlimit", f"--cpu={limits.cpu_s}", f"--as={limits.memory}", f"--fsize={limits.file}"]
    limited += [f"--nofile={limits.open_files}", "--core=0", "--"]
    if _bubblewrap():
        return [*limited, *_walled(Path(program), reads, writes, denied), program, *argv[1:]]
    return [*limited, *_powerless(), program, *argv[1:]]


def walls(*, reads: Sequence[Path] = (), writes: Sequence[Path] = (), devices: Sequence[Path] = ()) -> list[str]:
    """Return what bubblewrap is told of a place that has no network, and of the host's files programs and libraries.

    What is bound later hides what was bound before.
    """
    words = ["--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", "--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        at = Path("/", name)
        if at.is_symlink():
            words += ["--symlink", str(at.readlink()), str(at)]
        elif at.is_dir():
            words += ["--ro-bind", str(at), str(at)]
    words += ["--perms", "0755", "--dir", "/etc"]
    for name in CONFIGURED:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    for path in devices:
        words += ["--dev-bind-try", str(path), str(path)]
    for path in reads:
        if not path.is_relative_to("/usr"):
            words += ["--ro-bind", str(path), str(path)]
    for path in writes:
        words += ["--bind", str(path), str(path)]
    return [*words, "--chdir", "/", "--"]


def _walled(program: Path, reads: Sequence[Path], writes: Sequence[Path], denied: int | None) -> list[str]:
    words = ["bwrap", "--unshare-pid", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += [] if denied is None else ["--seccomp", str(denied)]
    return [*words, *walls(reads=[program.resolve(), *reads], writes=writes)]


def _powerless() -> list[str]:
    words = ["setpriv", "--no-new-privs"]
    return [*words, "--bounding-set=-all", "--inh-caps=-all", "--"] if os.geteuid() == 0 else [*words, "--"]


@functools.cache
def _bubblewrap() -> bool:
    """Return whether bubblewrap works here: containers and hardened kernels may forbid it."""
    return shutil.which("bwrap", path=SEARCH) is not None and _works(None)


@functools.cache
def _filter() -> bytes:
    """Return the filter of system calls for tools; empty where it cannot be made, or bubblewrap cannot set it."""
    if not _bubblewrap() or not (program := system_calls.denying()):
        return b""
    with ExitStack() as opened:
        return program if _works(_file_of(program, opened)) else b""


def _works(denied: int | None) -> bool:
    try:
        argv = [*_walled(Path("/usr/bin/true"), [], [], denied), "/usr/bin/true"]
        hands_over = () if denied is None else (denied,)
        done = subprocess.run(
            argv, env={"PATH": SEARCH}, capture_output=True, timeout=10, check=False, pass_fds=hands_over
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _filter_in(opened: ExitStack) -> int | None:
    """Open the filter for one program, which reads it from the beginning on."""
    return _file_of(program, opened) if _bubblewrap() and (program := _filter()) else None


def _file_of(content: bytes, opened: ExitStack) -> int:
    descriptor = os.memfd_create("filter")
    opened.callback(os.close, descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


async def _read(stream: asyncio.StreamReader | None) -> str:
    kept = bytearray()
    while stream is not None and (piece := await stream.read(1 << 16)):
        kept += piece[: KEEP - len(kept)]
    return kept.decode(errors="replace")


async def _write(stream: asyncio.StreamWriter | None, said: str) -> None:
    if stream is not None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            stream.write(said.encode())
            await stream.drain()
        stream.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill the program and what it started, and wait for its end as long as a kill can take."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILLED_WITHIN):
            await process.wait()
