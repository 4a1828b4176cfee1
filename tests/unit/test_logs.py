"""Logs: lines that repeat are folded, files are put aside, and a disk that is full costs lines alone."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from novakit import logs
from novakit.config.connections import LogOptions
from novakit.logs import Folding
from novakit.logs.file import LogFile


@pytest.fixture(autouse=True)
def plain_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_repeats_is_counted_and_the_count_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("novakit.world.monotonic", lambda: clock[0])
    folding = Folding(LogOptions(repeats=3, repeats_within=10.0))
    assert [folding.count("error", "x", "") for _ in range(5)] == [0, 0, 0, None, None]
    assert folding.count("error", "y", "") == 0
    assert folding.count("error", "x", "OSError") == 0
    clock[0] += 11
    assert folding.count("error", "x", "") == 2
    clock[0] += 11
    assert folding.count("error", "x", "") == 0


def test_events_are_written_each_and_errors_are_folded(tmp_path: Path) -> None:
    logs.configure(tmp_path / "log", LogOptions(repeats=5))
    log = structlog.get_logger("test")
    for number in range(50):
        log.info("server built", server=number)
        log.error("request failed", request_id=number, exc_info=ValueError(number))
    found = lines(tmp_path / "log")
    assert [one["server"] for one in found if one["event"] == "server built"] == list(range(50))
    assert len([one for one in found if one["event"] == "request failed"]) == 5
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


def test_lines_of_libraries_are_folded_too(tmp_path: Path) -> None:
    import logging

    logs.configure(tmp_path / "log", LogOptions(repeats=4))
    for number in range(100):
        logging.getLogger("asyncio").error("socket.accept() out of system resource %s", number)
    assert len((tmp_path / "log").read_text().splitlines()) == 4


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
