"""The file that lines go into."""

import os
from pathlib import Path

import pytest

from novakit.logs.file import LogFile


def test_a_file_that_has_grown_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novakit.logs.file.LOOK_EVERY", 0.0)
    file = LogFile(tmp_path / "log", 100, 2)
    for number in range(40):
        file.write(f"{number:019}\n")
    assert {path.name for path in tmp_path.iterdir()} == {"log", "log.1", "log.2"}
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    kept = (tmp_path / "log.2").read_text() + (tmp_path / "log.1").read_text() + (tmp_path / "log").read_text()
    numbers = [int(line) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 40))


def test_two_processes_that_share_a_file_go_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novakit.logs.file.LOOK_EVERY", 0.0)
    one, two = LogFile(tmp_path / "log", 100, 9), LogFile(tmp_path / "log", 100, 9)
    for number in range(30):
        (one if number % 3 else two).write(f"{number:019}\n")
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert sorted(int(line) for line in text.splitlines()) == list(range(30))
    (tmp_path / "log").unlink()
    one.write("after\n")
    assert (tmp_path / "log").read_text() == "after\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", 1 << 20, 1)
    file._handle = os.open("/dev/full", os.O_WRONLY)
    file._looked = float("inf")
    assert file.write("lost\n") == 0
    file._looked = 0.0
    file.write("kept\n")
    assert (tmp_path / "log").read_text() == "kept\n"
