"""The devices of a guest, written beside what else says so."""

from pathlib import Path

from novakit_host.pci.held import FILE, note, noted

ADDRESSES = ["0000:03:00.0", "0000:03:00.1"]


def test_devices_are_read_as_they_were_written_and_a_guest_without_any_has_no_file(tmp_path: Path) -> None:
    note(tmp_path, [])
    assert not (tmp_path / FILE).exists() and noted(tmp_path) == ()
    note(tmp_path, ADDRESSES)
    assert noted(tmp_path) == ADDRESSES


def test_the_same_devices_are_not_written_again(tmp_path: Path) -> None:
    note(tmp_path, ADDRESSES)
    before = (tmp_path / FILE).stat().st_ino
    note(tmp_path, ADDRESSES[::-1])
    assert (tmp_path / FILE).stat().st_ino == before
    note(tmp_path, ADDRESSES[:1])
    assert noted(tmp_path) == ADDRESSES[:1]


def test_a_file_that_is_damaged_in_one_line_is_read_in_the_others(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe\n0000:03:00.0\n../../etc\n\n0000:03:00")
    assert noted(tmp_path) == ["0000:03:00.0"]
