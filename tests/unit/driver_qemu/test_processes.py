"""A process is ours by the record that was written before it began, and only such a one is ever signalled."""

import asyncio
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from novakit_driver_qemu import processes
from novakit_driver_qemu.launch import RECORD, SUPERVISE
from novakit_driver_qemu.processes import Record, create, end_all, find, read, running, said

WITHIN = 20.0


class Started:
    """A program in QEMU's place, under the shells that QEMU is started by."""

    def __init__(self, directory: Path, program: str):
        record = create(directory)
        argv = ["sh", "-c", SUPERVISE, "x", "sh", "-c", RECORD, "x", "sh", "-c", program]
        self.shell = subprocess.Popen(argv, stdout=record, start_new_session=True)
        os.close(record)

    def close(self) -> None:
        if self.shell.poll() is None:
            os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait(WITHIN)


@pytest.fixture
def guest(tmp_path: Path) -> str:
    guest = str(uuid.uuid4())
    (tmp_path / guest).mkdir()
    return guest


@pytest.fixture
def start(tmp_path: Path, guest: str) -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def begin(program: str) -> Started:
        started.append(Started(tmp_path / guest, program))
        return started[-1]

    yield begin
    for each in started:
        each.close()


async def written(directory: Path) -> Record:
    end = time.monotonic() + WITHIN
    while not (record := read(directory)).pid:
        assert time.monotonic() < end, "the process is never named"
        await asyncio.sleep(0.01)
    return record


async def test_a_qemu_of_ours_is_found_by_its_record_and_killed(
    tmp_path: Path, guest: str, start: Callable[[str], Started]
) -> None:
    start("exec sleep 600")
    record = await written(tmp_path / guest)
    assert running(tmp_path) == {guest: [record.pid]}
    assert record.held
    process = find(guest, tmp_path)
    assert process is not None
    assert process.alive
    await process.stop(gently=False)
    assert not process.alive
    process.close()
    assert not process.alive
    record = await said(tmp_path / guest, WITHIN)
    assert (record.held, record.status, record.ended_badly) == (False, 128 + signal.SIGKILL, True)
    assert running(tmp_path) == {}
    assert find(guest, tmp_path) is None


@pytest.mark.parametrize(("program", "badly"), [("exit 0", False), ("exit 1", True), ("kill -9 $$", True)])
async def test_the_record_tells_how_qemu_ended_when_nobody_watched(
    tmp_path: Path, guest: str, start: Callable[[str], Started], program: str, badly: bool
) -> None:
    start(program).shell.wait(WITHIN)
    assert read(tmp_path / guest).ended_badly is badly


async def test_a_qemu_whose_shell_was_killed_is_held_on_to(
    tmp_path: Path, guest: str, start: Callable[[str], Started]
) -> None:
    shell = start("exec sleep 600").shell
    pid = (await written(tmp_path / guest)).pid
    shell.kill()
    shell.wait(WITHIN)
    assert not read(tmp_path / guest).held
    assert running(tmp_path) == {guest: [pid]}
    await end_all(guest, tmp_path)
    assert running(tmp_path) == {}
    assert read(tmp_path / guest).ended_badly


async def test_one_that_is_being_started_is_waited_for_and_ended(
    tmp_path: Path, guest: str, start: Callable[[str], Started]
) -> None:
    """An agent is killed between the start of the shell and that of QEMU, and the next one removes the guest."""
    record = create(tmp_path / guest)
    argv = ["sh", "-c", "sleep 0.5; " + SUPERVISE, "x", "sh", "-c", RECORD, "x", "sleep", "600"]
    shell = subprocess.Popen(argv, stdout=record, start_new_session=True)
    os.close(record)
    try:
        assert read(tmp_path / guest).held
        assert find(guest, tmp_path) is None
        await end_all(guest, tmp_path)
        assert read(tmp_path / guest).pid
        shell.wait(WITHIN)
        assert not read(tmp_path / guest).held
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.wait(WITHIN)


async def test_a_late_shell_writes_into_the_record_of_its_own_start(
    tmp_path: Path, guest: str, start: Callable[[str], Started]
) -> None:
    first = start("read -r x </dev/zero; exec sleep 600")
    await written(tmp_path / guest)
    second = start("exec sleep 600")
    pid = (await written(tmp_path / guest)).pid
    first.close()
    assert second.shell.poll() is None
    assert read(tmp_path / guest) == Record(pid=pid, began=read(tmp_path / guest).began, held=True)


async def test_a_number_that_was_given_to_another_process_is_left_alone(tmp_path: Path, guest: str) -> None:
    """The number is right and the time is not: it is the one thing that two processes never share."""
    mine = Path(f"/proc/{os.getpid()}/stat").read_text()
    (tmp_path / guest / processes.RECORD).write_text(mine)
    assert running(tmp_path) == {guest: [os.getpid()]}
    name, _, rest = mine.rpartition(")")
    fields = rest.split()
    fields[19] = str(int(fields[19]) - 1)
    (tmp_path / guest / processes.RECORD).write_text(f"{name}) {' '.join(fields)}\n")
    assert find(guest, tmp_path) is None
    await end_all(guest, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "-1", "0", "x", "99999999999999999999 (sh) S", "1 (sh) S " + "9 " * 50, "\0\n\xff"]
)
async def test_a_torn_record_names_nobody(tmp_path: Path, guest: str, text: str) -> None:
    (tmp_path / guest / processes.RECORD).write_text(text)
    assert find(guest, tmp_path) is None
    assert running(tmp_path) == {}
    await end_all(guest, tmp_path)


def test_what_cannot_be_written_down_is_not_started(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        shell = ["sh", "-c", RECORD, "x", "touch", str(tmp_path / "ran")]
        assert subprocess.run(shell, stdout=full, stderr=subprocess.DEVNULL, check=False).returncode != 0
    assert not (tmp_path / "ran").exists()
