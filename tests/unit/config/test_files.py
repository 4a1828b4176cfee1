"""Files that people write: read whole, or refused in a sentence that says what is in the way."""

import os
from pathlib import Path

import pytest

from novakit.config.files import own, read_text
from novakit.errors import ConfigError


def test_a_text_is_read_without_its_mark_and_no_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    assert read_text(path) is None
    path.write_bytes(b"\xef\xbb\xbfa = 1\n")
    assert read_text(path) == "a = 1\n"


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _nowhere(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Path.mkdir, "is a directory and not a file; name one, or remove it"),
        (_pipe, "is a pipe and not a file"),
        (_nowhere, "is a link to .*gone.*, which does not exist"),
        (lambda path: path.write_bytes(b"a\n\xff"), "is not UTF-8 at line 2; save it as UTF-8 text"),
        (lambda path: path.write_bytes(b"a" * 11), "has more than 10 bytes, which is too large for a configuration"),
    ],
    ids=["directory", "pipe", "nowhere", "bytes", "large"],
)
def test_what_cannot_be_read_is_told_and_a_pipe_is_not_waited_for(tmp_path: Path, make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "nova.conf"
    make(path)
    with pytest.raises(ConfigError, match=sentence):
        read_text(path, 10)


def test_a_file_in_the_place_of_its_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(ConfigError, match="is a file and not a directory"):
        read_text(tmp_path / "state" / "nova.conf")


def test_a_file_that_no_option_names_is_to_be_moved_away(tmp_path: Path) -> None:
    (tmp_path / "id").mkdir()
    with pytest.raises(ConfigError, match="the id belongs there, so move it away"):
        read_text(tmp_path / "id", kind=own("the id"))
