"""Files of a host: flushed before they get their name, and their directory after."""

import os
import stat
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
