"""Files of a host: flushed before they get their name, and their directory after."""

import os
import stat
import threading
from pathlib import Path

import pytest

from novakit_host import durable


def test_a_file_and_a_directory_are_flushed_in_the_order_that_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    replace = os.replace

    def sync(descriptor: int) -> None:
        calls.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", lambda old, new: (calls.append("name"), replace(old, new))[1])
    durable.write(tmp_path / "a", "old")
    durable.write(tmp_path / "a", "new")
    assert calls == ["file", "name", "directory"] * 2 and (tmp_path / "a").read_text() == "new"
    calls.clear()
    durable.directory(tmp_path / "d", 0o700)
    durable.directory(tmp_path / "d", 0o700)
    assert calls == ["directory"] * 2 and stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d"]


def test_what_a_killed_write_leaves_is_taken_by_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(old: Path, new: Path) -> None:
        raise SystemExit(f"killed before {old} was {new}")

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(os, "replace", killed)
        durable.write(tmp_path / "plan.json", "a longer text than the next one")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json.new"]
    durable.write(tmp_path / "plan.json", "next")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert (tmp_path / "plan.json").read_text() == "next"


def test_writers_of_one_file_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is held up in the middle: the second one neither takes its file away nor is undone by it."""
    entered, go_on = threading.Event(), threading.Event()
    fsync = os.fsync

    def slow(descriptor: int) -> None:
        if threading.current_thread().name == "first" and not entered.is_set():
            entered.set()
            assert go_on.wait(60)
        fsync(descriptor)

    faults: list[BaseException] = []

    def write(text: str) -> None:
        try:
            durable.write(tmp_path / "a", text)
        except BaseException as error:
            faults.append(error)

    monkeypatch.setattr(os, "fsync", slow)
    first = threading.Thread(target=write, args=("first",), name="first")
    second = threading.Thread(target=write, args=("second",), name="second")
    first.start()
    assert entered.wait(60)
    second.start()
    second.join(0.2)
    go_on.set()
    first.join()
    second.join()
    assert not faults and (tmp_path / "a").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
