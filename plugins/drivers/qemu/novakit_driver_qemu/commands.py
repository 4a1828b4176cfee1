"""Runs the host's commands, each an argument vector that no shell sees, without blocking the loop."""

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

QEMU = "qemu-system-x86_64"
SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
NEEDS: Mapping[str, str] = {
    QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
    "mkswap": "util-linux",
    "fallocate": "util-linux",
}
"""Commands the driver needs on its host, each with the Debian package that brings it."""


@attrs.frozen
class Ended:
    """How a command ended; `status` is None when it was killed for taking too long."""

    status: int | None
    said: str


def missing() -> Sequence[str]:
    """List the Debian packages to install before guests can run here."""
    return sorted({package for command, package in NEEDS.items() if not shutil.which(command, path=SEARCH)})


async def run(argv: Sequence[str], *, within: float = 60.0, cwd: Path | None = None) -> Ended:
    """Run a command; it is killed after `within` seconds or when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env={**os.environ, "PATH": SEARCH, "LC_ALL": "C"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(within):
            printed, _ = await process.communicate()
        return Ended(process.returncode, printed.decode(errors="replace").strip()[-600:])
    except TimeoutError:
        return Ended(None, f"no end after {within:g} s")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
