"""The files that say which deployment a directory belongs to."""

from pathlib import Path

import pytest

from novakit import identities
from novakit.errors import ConfigError

ID = "6f70656e-7374-4163-8b00-000000000001"


def test_a_directory_has_the_identity_that_it_was_given(tmp_path: Path) -> None:
    assert identities.read(tmp_path) is None and identities.read_own(tmp_path) is None
    identities.take(tmp_path, ID)
    assert identities.read(tmp_path) == ID and identities.read_own(tmp_path) is None
    identities.make_own(tmp_path, ID.replace("1", "2"))
    assert identities.read(tmp_path) == ID and identities.read_own(tmp_path) == ID.replace("1", "2")


@pytest.mark.parametrize("text", ["", ID[:20], f"{ID} and more", "\0" * 36])
def test_a_file_that_was_cut_off_or_overwritten_is_told_of_and_never_taken_for_none(tmp_path: Path, text: str) -> None:
    for name, read in ((identities.NAME, identities.read), (identities.OWN, identities.read_own)):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match="cut off or overwritten"):
            read(tmp_path)
