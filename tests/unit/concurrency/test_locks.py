"""Locks between processes, seen from another one."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from novakit.concurrency import locks

HOLD = """
import sys
from pathlib import Path
from novakit.concurrency import locks

held = locks.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def other_process(path: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_lock_that_another_process_holds_names_it_and_falls_when_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert locks.holder(path) is None
    process = other_process(path)
    try:
        assert locks.holder(path) == str(process.pid)
        with pytest.raises(locks.Held) as caught:
            locks.hold(path)
        assert caught.value.holder == str(process.pid)
    finally:
        process.kill()
        process.wait()
    assert locks.holder(path) is None
    with locks.hold(path):
        assert path.read_text() == str(os.getpid())
    assert locks.holder(path) is None


def test_a_file_that_says_nothing_has_an_unknown_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as file:
        assert locks.try_lock(file.fileno())
        assert locks.holder(path) == locks.UNKNOWN
        with path.open("a") as again:
            assert not locks.try_lock(again.fileno())


async def test_one_at_a_time_lets_the_next_in_when_the_first_leaves(tmp_path: Path) -> None:
    path, inside = tmp_path / "lock", []

    async def enter(name: str) -> None:
        async with locks.one_at_a_time(path):
            inside.append(f"{name} in")
            await asyncio.sleep(0.1)
            inside.append(f"{name} out")

    await asyncio.gather(enter("a"), enter("b"))
    assert [each.split()[1] for each in inside] == ["in", "out", "in", "out"]
