"""Inspection: the same verdict however the bytes arrive."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novakit import errors
from novakit.disk_images import FORMATS, Inspection, header
from tests.support.examples import examples

QCOW2 = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 26).ljust(4096, b"\0")
DESCRIPTOR = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 9 FLAT "/etc/x" 0\n' + b"# p\n" * 900


def verdict(declared: str, pieces: list[bytes]) -> int | str:
    inspection = Inspection(declared)
    for piece in pieces:
        inspection.feed(piece)
    try:
        return inspection.verdict()
    except errors.UnsupportedMedia as error:
        return error.message


@settings(max_examples=examples(60))
@given(
    data=st.sampled_from([QCOW2, DESCRIPTOR, b"x" * 4096, b"\0" * 3 * (1 << 20)]),
    cuts=st.lists(st.integers(0, 4096), max_size=6),
    declared=st.sampled_from(["raw", "qcow2", "vmdk"]),
)
def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(data: bytes, cuts: list[int], declared: str) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(places)]
    assert verdict(declared, pieces) == verdict(declared, [data])


@settings(max_examples=examples(60))
@given(
    data=st.binary(max_size=3000), head=st.sampled_from([b"", b"QFI\xfb", b"KDMV", b"QED\0", b"vhdxfile", b"conectix"])
)
def test_any_bytes_get_a_size_or_a_reason(data: bytes, head: bytes) -> None:
    for declared in FORMATS:
        answer = verdict(declared, [head + data])
        assert answer if isinstance(answer, str) else answer > 0


@pytest.mark.parametrize("declared", [name for name in FORMATS if name != "vmdk"])
def test_a_text_descriptor_is_refused_whatever_it_is_declared_as(declared: str) -> None:
    assert "content is vmdk" in str(verdict(declared, [DESCRIPTOR]))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(("method", "word"), [(1, "AES"), (2, "LUKS"), (7, "method 7")])
def test_an_image_that_claims_to_be_encrypted_is_refused(version: int, method: int, word: str) -> None:
    header = QCOW2[:4] + struct.pack(">I", version) + QCOW2[8:32] + struct.pack(">I", method) + QCOW2[36:]
    said = str(verdict("qcow2", [header]))
    assert f"encrypted with {word}," in said
    assert "decrypt it" in said


def test_luks_is_taken_where_it_is_declared_alone() -> None:
    luks = b"LUKS\xba\xbe\x00\x01".ljust(592, b"\0")
    assert "encrypted" not in str(verdict("luks", [luks]))
    assert "content is luks" in str(verdict("raw", [luks]))
    assert header.encryption(luks) == "LUKS"
    assert header.encryption(b"QFI\xfb\0\0\0\1".ljust(36, b"\0") + b"\0\0\0\1") == "AES"
