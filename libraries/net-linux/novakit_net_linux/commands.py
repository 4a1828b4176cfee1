"""Run a program: arguments as a list, never a shell, always with a time limit."""

import asyncio
from collections.abc import Sequence

from novakit_hookspecs.errors import Busy


class CommandFailed(Exception):
    """A program ended with an error; the message holds what it wrote."""


async def run(argv: Sequence[str], *, input: str = "", timeout: float = 30.0) -> str:
    """Run a program and give what it wrote.

    Raises `CommandFailed` when it ends with an error, `Busy` when it takes longer than `timeout` seconds.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(input.encode())
    except TimeoutError as error:
        raise Busy(f"{argv[0]} did not answer within {timeout:g} seconds; is its daemon running?") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CommandFailed(f"{argv[0]} failed: {err.decode(errors='replace').strip() or process.returncode}")
    return out.decode(errors="replace")


def inside(namespace: str, argv: Sequence[str]) -> list[str]:
    """Give the command that runs `argv` in a named network namespace."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *argv]
