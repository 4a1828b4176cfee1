"""Reading a file in pieces, each in a thread, so that a slow disk holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

PIECE = 1 << 20
"""Bytes that are read at once: large enough that the threads' switching costs nothing."""


async def pieces(path: Path) -> AsyncIterator[bytes]:
    """Yield what a file holds, `PIECE` bytes at a time. Raises OSError where it cannot be read."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece
    finally:
        file.close()
