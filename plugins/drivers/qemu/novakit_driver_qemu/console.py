"""The serial console's log: one file that QEMU appends to, whose older part is given back to the file system."""

import os
from pathlib import Path

from novakit_host.commands import run

KEEP = 4 << 20
"""Bytes that are kept at least; twice as much takes room on the disk at most, between two looks."""
BLOCK = 1 << 20
"""Bytes; holes are punched in whole ones, which every file system can do."""


def tail(log: Path, max_bytes: int) -> bytes:
    """Return the last bytes that are kept; empty when nothing was printed."""
    try:
        file = log.open("rb")
    except FileNotFoundError:
        return b""
    with file:
        size = os.fstat(file.fileno()).st_size
        wanted = min(max_bytes, KEEP, size)
        if wanted <= 0:
            return b""
        file.seek(size - wanted)
        return file.read(wanted)


async def trim(log: Path) -> None:
    """Punch out what is older than `KEEP` once twice as much is there; QEMU writes on meanwhile and loses nothing."""
    if (old := _old(log)) > 0:
        await run(["fallocate", "--punch-hole", "--offset", "0", "--length", str(old), str(log)])


def _old(log: Path) -> int:
    """Return how many bytes from the beginning on are to go now."""
    try:
        status = log.stat()
    except FileNotFoundError:
        return 0
    return (status.st_size - KEEP) // BLOCK * BLOCK if status.st_blocks * 512 > 2 * KEEP else 0
