"""Runs the host's commands without blocking the loop."""

import asyncio
import os
from collections.abc import Sequence

import attrs

SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@attrs.frozen
class Ended:
    """How a command ended; `status` is None when it was killed for taking too long."""

    status: int | None
    said: str


async def run(argv: Sequence[str], *, within: float = 60.0) -> Ended:
    """Run a command; it is killed after `within` seconds or when the caller is cancelled."""
    process = await asyncio.create_subprocess_exec(
        *argv,
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
