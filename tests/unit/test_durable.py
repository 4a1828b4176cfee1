"""Files that are whole or not there, and key files that were cut off."""

import os
import stat
from pathlib import Path

import pytest

from novakit import durable
from novakit.errors import ConfigError
from novakit.identity.tokens import Keyring


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was flushed and named, in order."""
    seen: list[str] = []

    def sync(descriptor: int) -> None:
        seen.append("sync directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("rename", "link"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name, **k: (seen.append(name), real(*a, **k))[1])
    return seen


def test_a_file_is_flushed_before_it_gets_its_name_and_its_directory_after(tmp_path: Path, calls: list[str]) -> None:
    durable.write(tmp_path / "a", b"old")
    durable.write(tmp_path / "a", b"new")
    assert calls == ["sync file", "rename", "sync directory"] * 2
    calls.clear()
    durable.write(tmp_path / "a", b"new", lasting=False)
    assert calls == ["sync file", "rename"]
    calls.clear()
    assert durable.make(tmp_path / "b", b"first") and not durable.make(tmp_path / "b", b"second")
    assert calls == ["sync file", "link", "sync directory"] * 2
    calls.clear()
    (tmp_path / "draft").write_bytes(b"c")
    durable.publish(tmp_path / "draft", tmp_path / "c")
    assert calls == ["sync file", "rename", "sync directory"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new", "b": b"first", "c": b"c"}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


def test_what_the_system_takes_in_pieces_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, bytes(content[:3])))
    durable.write(tmp_path / "a", b"in three pieces")
    durable.write(tmp_path / "b", b"")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"in three pieces", "b": b""}


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    durable.write(tmp_path / "a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        durable.write(tmp_path / "a", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("content", [b"", b"short", bytes(44)])
def test_a_key_file_that_was_cut_off_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    ring = Keyring(tmp_path / "keys")
    ring.load()
    for name in ("0", "1"):
        whole = (tmp_path / "keys" / name).read_bytes()
        (tmp_path / "keys" / name).write_bytes(content)
        with pytest.raises(ConfigError, match=f"keys/{name} .*(cut off|emptied)"):
            Keyring(tmp_path / "keys").load()
        (tmp_path / "keys" / name).write_bytes(b"!" * 44)
        with pytest.raises(ConfigError, match="holds no key"):
            Keyring(tmp_path / "keys").load()
        (tmp_path / "keys" / name).write_bytes(whole)
    Keyring(tmp_path / "keys").load()


def test_a_directory_in_the_place_of_a_file_is_named_and_not_kept_open(tmp_path: Path) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with pytest.raises(IsADirectoryError):
            durable.read(tmp_path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
