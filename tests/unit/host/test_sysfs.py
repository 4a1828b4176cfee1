"""Whatever is missing, unreadable or junk in the kernel's files is empty."""

from pathlib import Path

import pytest

from novakit_host import sysfs


def test_a_text_is_read_without_white_space(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"  up\n")
    (tmp_path / "b").write_bytes(b"\xff\n")
    assert sysfs.text(tmp_path / "a") == "up"
    assert sysfs.text(tmp_path / "b") == "\ufffd"
    assert sysfs.text(tmp_path / "none") == sysfs.text(tmp_path) == sysfs.text(Path("a\0b")) == ""


def test_a_link_gives_the_last_part_of_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "driver").symlink_to("../../bus/pci/drivers/vfio-pci")
    (tmp_path / "file").write_text("")
    assert sysfs.link(tmp_path / "driver") == "vfio-pci"
    assert sysfs.link(tmp_path / "file") == sysfs.link(tmp_path / "none") == ""


def test_names_are_sorted_and_none_where_there_is_no_directory(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text("")
    assert sysfs.names(tmp_path) == ["a", "b"]
    assert sysfs.names(tmp_path / "a") == sysfs.names(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0x10de\n", "10de"),
        ("0x10DE", "10de"),
        ("10de", "10de"),
        ("0x10d", ""),
        ("0x10de0", ""),
        ("0xzzzz", ""),
        ("", ""),
    ],
)
def test_a_number_has_its_digits_or_is_none(tmp_path: Path, written: str, read: str) -> None:
    (tmp_path / "vendor").write_text(written)
    assert sysfs.hexadecimal(tmp_path / "vendor", 4) == read
