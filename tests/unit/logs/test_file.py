"""The file that lines go into."""

import io
import os
from pathlib import Path

import pytest

from novakit.logs.file import LogFile, StandardError


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
def test_a_full_disk_costs_lines_and_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    file = LogFile(path, 1, 1)
    for _ in range(3):
        assert file.write("lost\n") == 0
    said = capsys.readouterr().err
    assert said.count("cannot be written") == 1 and str(path) in said and "No space left on device" in said
    path.unlink()
    path.touch()
    file._looked = 0.0
    assert file.write("kept\n") == 5
    assert path.read_text() == "kept\n"
    assert "can be written again; 3 lines were lost" in capsys.readouterr().err


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, write = LogFile(tmp_path / "log", 1 << 20, 1), os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:3]))
    assert file.write('{"a": 1}\n') == 0
    monkeypatch.setattr(os, "write", write)
    file.write('{"b": 2}\n')
    assert (tmp_path / "log").read_text() == '{"a\n{"b": 2}\n'


def test_a_pipe_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(OSError, match="No such device"):
        LogFile(tmp_path / "log", 1 << 20, 1)
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    file = LogFile(tmp_path / "log", 1 << 20, 1)
    while file.write("x" * 4096):
        pass
    os.close(reader)
    assert file.write("nobody reads\n") == 0


def test_what_is_no_file_is_neither_put_aside_nor_given_other_rights(tmp_path: Path) -> None:
    path = tmp_path / "log"
    os.mkfifo(path, 0o640)
    path.chmod(0o640)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    file = LogFile(path, 1, 1)
    file.write("more than a byte\n")
    assert [one.name for one in tmp_path.iterdir()] == ["log"]
    assert path.stat().st_mode & 0o777 == 0o640
    os.close(reader)


def test_standard_error_that_nobody_takes_stops_nobody() -> None:
    gone = io.StringIO()
    gone.close()
    stream = StandardError(gone)
    assert stream.write("lost\n") == 0
    stream.flush()
