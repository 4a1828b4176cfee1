"""What the first bytes of an image say to QEMU."""

import struct

import pytest

from novakit.disk_images import header


def qcow2(
    method: int = 0, bits: int = 16, size: int = 1 << 30, l1: int = 2, snapshots: int = 0, order: int = 4
) -> bytes:
    start = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 3, 0, 0, bits, size, method, l1, 0, 0, 1, snapshots, 0)
    return start + struct.pack(">QQQII", 0, 0, 0, order, 104)


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"LUKS\xba\xbe\0\1", "LUKS"),
        (qcow2(method=1), "AES"),
        (qcow2(method=2), "LUKS"),
        (qcow2(method=7), "method 7"),
        (qcow2(), ""),
        (b"QFI\xfb", ""),
        (b"\xeb\x63\x90", ""),
    ],
)
def test_an_encrypted_image_is_told_by_its_method(head: bytes, word: str) -> None:
    assert header.encryption(head) == word


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"# Disk DescriptorFile\nversion=1\n", "vmdk"),
        (bytes(64) + b"\x7f\x10\xda\xbe", "vdi"),
        (b"conectix", "vhd"),
        (b"plain", ""),
    ],
)
def test_a_format_is_guessed_by_as_little_as_qemu_guesses_by(head: bytes, name: str) -> None:
    assert header.guessed(head) == name


@pytest.mark.parametrize(
    ("name", "head", "sentence"),
    [
        ("qcow2", qcow2(), ""),
        ("qcow2", qcow2(bits=40), "clusters of 2^40 bytes"),
        ("qcow2", qcow2(l1=1), "first table is too small"),
        ("qcow2", qcow2(l1=1 << 30), "tables is too large"),
        ("qcow2", qcow2(snapshots=1 << 20), "claims 1048576 snapshots"),
        ("qcow2", qcow2(order=7), "header of version 3"),
        ("vmdk", b"# Disk DescriptorFile\nversion=1\n", "descriptor of other files"),
        ("vmdk", b"KDMV".ljust(12, b"\0") + b"\1".ljust(600, b"\0") + b"ParentFileNameHint", "names a parent file"),
        ("vdi", bytes(430) + b"\1", "names a parent"),
        ("vhd", bytes(60) + struct.pack(">I", 4), "neither fixed nor dynamic"),
        ("vhd", bytes(60) + struct.pack(">I", 3), ""),
    ],
)
def test_a_header_that_leads_elsewhere_or_cannot_be_opened_is_told(name: str, head: bytes, sentence: str) -> None:
    assert sentence in header.flaw(name, head) and bool(header.flaw(name, head)) == bool(sentence)
