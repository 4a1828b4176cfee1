"""Run a program: arguments as a list, never a shell, always with a time limit."""

from collections.abc import Sequence

from novakit_hookspecs.errors import Busy
from novakit_host import commands


class CommandFailed(Exception):
    """A program ended with an error; the message holds what it wrote."""


async def run(argv: Sequence[str], *, input: str = "", timeout: float = 30.0) -> str:
    """Run a program. Returns what it wrote.

    Raises CommandFailed when it ends with an error, Busy when it takes longer than `timeout` seconds.
    """
    ended = await commands.run(argv, within=timeout, said=input)
    if ended.status is None:
        raise Busy(f"{argv[0]} did not answer within {timeout:g} seconds; is its daemon running?")
    if ended.status:
        raise CommandFailed(f"{argv[0]} failed: {ended.err.strip() or ended.status}")
    return ended.out


def inside(namespace: str, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` in a named network namespace."""
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *argv]
