"""Programs of the network drivers: what they wrote, or an error that says which failed."""

import pytest

from novakit_hookspecs.errors import Busy
from novakit_net_linux.commands import CommandFailed, inside, run


async def test_what_a_program_wrote_is_returned_and_its_input_is_given() -> None:
    assert await run(["cat"], input="add br0\n") == "add br0\n"


async def test_a_program_that_fails_is_named_with_its_complaint_or_its_status() -> None:
    with pytest.raises(CommandFailed, match="sh failed: no such bridge"):
        await run(["sh", "-c", "echo no such bridge >&2; exit 2"])
    with pytest.raises(CommandFailed, match="sh failed: 3"):
        await run(["sh", "-c", "exit 3"])


async def test_a_program_that_hangs_may_be_asked_again() -> None:
    with pytest.raises(Busy, match=r"sleep did not answer within 0\.05 seconds"):
        await run(["sleep", "60"], timeout=0.05)


def test_a_program_runs_in_a_namespace_by_its_name() -> None:
    assert inside("nkr1", ["ip", "link"]) == ["nsenter", "--net=/run/netns/nkr1", "--", "ip", "link"]
