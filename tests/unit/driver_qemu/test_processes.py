"""A process is ours by what it was started with, and only such a one is ever signalled."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from novakit_driver_qemu.processes import find, hold, running


class Fake:
    """A process that has the command line of a QEMU and sleeps."""

    def __init__(self, pidfile: Path, name: str = "qemu-system-x86_64"):
        argv = [name, "-c", "read x", "-pidfile", str(pidfile)]
        self.process = subprocess.Popen(argv, executable="/bin/bash", stdin=subprocess.PIPE)
        self.pid = self.process.pid
        deadline = time.monotonic() + 10
        while b"-pidfile" not in Path(f"/proc/{self.pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline, "its command line never appeared"

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def guest(tmp_path: Path) -> str:
    guest = str(uuid.uuid4())
    (tmp_path / guest).mkdir()
    return guest


@pytest.fixture
def fakes() -> Iterator[list[Fake]]:
    started: list[Fake] = []
    yield started
    for fake in started:
        fake.close()


async def test_a_qemu_of_ours_is_found_without_its_pidfile_and_killed(
    tmp_path: Path, guest: str, fakes: list[Fake]
) -> None:
    fakes.append(Fake(tmp_path / guest / "qemu.pid"))
    assert running(tmp_path) == {guest: [fakes[0].pid]}
    assert find(guest, tmp_path) is None, "nothing wrote a pidfile"
    process = hold(fakes[0].pid, guest, tmp_path)
    assert process is not None
    assert process.alive
    await process.stop(gently=False)
    assert not process.alive
    process.close()
    assert not process.alive


async def test_a_number_that_was_given_to_another_process_is_left_alone(tmp_path: Path, guest: str) -> None:
    (tmp_path / guest / "qemu.pid").write_text(f"{os.getpid()}\n")
    assert find(guest, tmp_path) is None


@pytest.mark.parametrize("text", ["", "-1", "0", "x", "99999999999999999999"])
async def test_a_torn_pidfile_names_nobody(tmp_path: Path, guest: str, text: str) -> None:
    (tmp_path / guest / "qemu.pid").write_text(text)
    assert find(guest, tmp_path) is None


async def test_the_guests_of_another_service_are_not_ours(tmp_path: Path, guest: str, fakes: list[Fake]) -> None:
    fakes.append(Fake(tmp_path / "elsewhere" / guest / "qemu.pid"))
    fakes.append(Fake(tmp_path / guest / "qemu.pid", name="sleeper"))
    assert running(tmp_path) == {}
    for fake in fakes:
        assert hold(fake.pid, guest, tmp_path) is None
