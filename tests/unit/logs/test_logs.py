"""Logs: lines that repeat are folded, files are put aside, and a disk that is full costs lines alone."""

import json
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from novakit import logs
from novakit.config.connections import LogOptions
from novakit.logs import Folding


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


def test_lines_of_libraries_have_time_level_and_a_traceback_that_can_be_read(tmp_path: Path) -> None:
    import logging

    logs.configure(tmp_path / "log")
    structlog.get_logger("test").warning("ours")
    try:
        raise ValueError("the cause")
    except ValueError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved: %s", "x")
    logging.getLogger("aiohttp.server").warning("no error at all")
    ours, theirs, plain = lines(tmp_path / "log")
    assert set(ours) <= set(theirs) and set(ours) <= set(plain)
    assert (theirs["level"], theirs["logger"], plain["level"]) == ("error", "asyncio", "warning")
    assert theirs["event"] == "Task exception was never retrieved: x"
    assert datetime.fromisoformat(str(theirs["timestamp"])).tzinfo is not None
    told = str(theirs["exception"])
    assert told.startswith("Traceback (most recent call last)") and told.endswith("ValueError: the cause")
    assert "object at 0x" not in (tmp_path / "log").read_text()
    assert "exception" not in plain and "exc_info" not in plain
