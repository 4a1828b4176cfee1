"""What a killed write leaves is removed by whoever opens its directory next, and what is being written is not."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from novakit import durable
from novakit.concurrency import locks

KILLED = """
import os, signal, sys
from pathlib import Path
from novakit import durable
os.{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
durable.{write}(Path(sys.argv[1]), b"new")
"""
AT_WORK = """
import os, sys
from pathlib import Path
from novakit import durable
from novakit.concurrency import locks
flush = os.fsync
def waits(descriptor):
    os.fsync = flush
    print("at work", flush=True)
    sys.stdin.readline()
    flush(descriptor)
os.fsync = waits
durable.write(Path(sys.argv[1]), b"new")
"""


def drafts(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(("write", "call"), [("write", "fsync"), ("write", "rename"), ("make", "link")])
def test_the_draft_of_a_killed_write_is_removed_and_the_old_file_is_there(
    tmp_path: Path, write: str, call: str
) -> None:
    if write == "write":
        (tmp_path / "a").write_bytes(b"old")
    code = KILLED.format(call=call, write=write)
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False).returncode == -9
    assert len(drafts(tmp_path)) == 1
    others = [".hidden", ".a.part", f".{'x' * 8}", "a.5f0c4d0e-0000-4000-8000-000000000000"]
    for name in others:
        (tmp_path / name).touch()
    durable.directory(tmp_path)
    kept = ["a"] if write == "write" else []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, *others])
    assert durable.write(tmp_path / "a", b"newer") is None and (tmp_path / "a").read_bytes() == b"newer"


def test_a_draft_that_another_process_is_writing_stays(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", AT_WORK, str(tmp_path / "a")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        assert writer.stdout.readline() == "at work\n"
        durable.directory(tmp_path)
        assert len(drafts(tmp_path)) == 1
        writer.stdin.write("\n")
        writer.stdin.close()
        assert writer.wait(30) == 0
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_a_draft_that_is_taken_for_nobodys_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[str] = []

    def sweeps_first(descriptor: int) -> None:
        if not swept:
            swept.extend(drafts(tmp_path))
            (tmp_path / swept[0]).unlink()
        locks.wait_for(descriptor)

    monkeypatch.setattr(durable, "wait_for", sweeps_first)
    durable.write(tmp_path / "a", b"new")
    assert len(swept) == 1 and [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_nothing_is_lost_while_some_write_and_others_open_the_directory(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for turn in range(40):
            if number % 2:
                durable.directory(tmp_path)
            else:
                durable.write(tmp_path / f"{number}", f"{turn}".encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {f"{n}": b"39" for n in range(0, 8, 2)}


def test_what_cannot_be_a_draft_of_ours_is_left_alone(tmp_path: Path) -> None:
    name = ".a.5f0c4d0e-0000-4000-8000-00000000000"
    (tmp_path / "elsewhere").write_bytes(b"kept")
    (tmp_path / f"{name}1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / f"{name}2").mkdir()
    os.mkfifo(tmp_path / f"{name}3")
    durable.directory(tmp_path)
    assert len(drafts(tmp_path)) == 3 and (tmp_path / "elsewhere").read_bytes() == b"kept"
