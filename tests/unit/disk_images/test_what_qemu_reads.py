"""What is inspected is what QEMU reads: qemu-img itself says of each file what it would follow."""

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from novakit import errors
from novakit.agent.images import _inspect
from novakit.disk_images import Inspection, header
from novakit_hookspecs.errors import Refused

SECTOR, MIB = 512, 1 << 20
QEMU_NAMES = {"vhd": "vpc"}
SECRET = b"SECRET OF THE HOST "
Make = Callable[[Path], bytes]


def made(directory: Path, name: str, *options: str, size: int = MIB) -> bytearray:
    path = directory / "made"
    kind = QEMU_NAMES.get(name, name)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, *options, str(path), str(size)], check=True)
    return bytearray(path.read_bytes())


def asked(path: Path, name: str | None) -> dict[str, object] | str:
    """Return what qemu-img says of an image, of a format or as it guesses, or why it does not open it."""
    kind = [] if name is None else ["-f", QEMU_NAMES.get(name, name)]
    command = ["qemu-img", "info", "--output=json", *kind, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def content(path: Path, name: str) -> bytes:
    """Return what a guest would see."""
    to = path.with_name("out.raw")
    subprocess.run(["qemu-img", "convert", "-f", name, "-O", "raw", str(path), str(to)], check=True)
    return to.read_bytes()


def refusals(path: Path, declared: str | None) -> list[str]:
    """Return why the image service and a host refuse the file; without a format, as the service finds it out."""
    said = []
    inspection = Inspection(declared)
    data = path.read_bytes()
    for at in range(0, len(data), 5000):
        inspection.feed(data[at : at + 5000])
    with pytest.raises(errors.UnsupportedMedia) as by_service:
        inspection.verdict()
    said.append(by_service.value.message)
    with pytest.raises(Refused) as by_host:
        _inspect(path, declared or "vmdk")
    said.append(str(by_host.value))
    return said


def put(data: bytearray, at: int, layout: str, value: int) -> bytes:
    struct.pack_into(layout, data, at, value)
    return bytes(data)


def descriptor(*lines: str, kind: str = "monolithicSparse", parent: str = "ffffffff") -> bytes:
    first = ("# Disk DescriptorFile", "version=1", "CID=1", f"parentCID={parent}", f'createType="{kind}"')
    return "\n".join((*first, *lines, "")).encode()


def sparse(directory: Path, text: bytes, sectors: int, at: int = 1) -> bytearray:
    """A real sparse extent with this text in the 20 sectors where QEMU looks, and what the header says of it."""
    data = made(directory, "vmdk")
    data[SECTOR : header.LENGTH] = text.ljust(20 * SECTOR, b"\0")
    struct.pack_into("<QQ", data, 28, at, sectors)
    return data


def with_a_late_parent(directory: Path, at: int, sectors: int = 1) -> bytes:
    """A descriptor whose first sectors are innocent; the parent's name is at byte `at` of the 20 that QEMU reads."""
    cid = made_cid(directory)
    text = descriptor('RW 2048 SPARSE "x.vmdk"', parent=cid)
    named = f'\nparentFileNameHint="{directory / "parent.vmdk"}"\n'.encode()
    return bytes(sparse(directory, text.ljust(at, b"#") + named, sectors))


def made_cid(directory: Path) -> str:
    """Make a parent with a secret in it and return its content's id."""
    parent, secret = directory / "parent.vmdk", directory / "secret.raw"
    secret.write_bytes((SECRET * MIB)[:MIB])
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", str(secret), str(parent)], check=True)
    return parent.read_bytes().split(b"\nCID=")[1].split(b"\n")[0].decode()


@pytest.mark.parametrize("at", [SECTOR, 2 * SECTOR, 5000, 19 * SECTOR])
@pytest.mark.parametrize("sectors", [1, 2])
def test_a_parent_behind_the_sectors_that_the_header_counts_is_refused_as_qemu_reads_it(
    tmp_path: Path, at: int, sectors: int
) -> None:
    path = tmp_path / "child.vmdk"
    path.write_bytes(with_a_late_parent(tmp_path, at, sectors))
    told = asked(path, "vmdk")
    assert isinstance(told, dict) and told["backing-filename"] == str(tmp_path / "parent.vmdk")
    assert content(path, "vmdk").startswith(SECRET)
    assert all("names a parent file" in said for said in refusals(path, "vmdk"))


def test_a_parent_that_qemu_does_not_read_is_no_parent(tmp_path: Path) -> None:
    """Data behind the 20 sectors may hold any text: a disk with QEMU's own sources on it is an honest one."""
    path = tmp_path / "honest.vmdk"
    data = sparse(tmp_path, descriptor('RW 2048 SPARSE "x.vmdk"'), 20)
    path.write_bytes(data + b'\nparentFileNameHint="/etc/passwd"\n'.ljust(MIB, b"\0"))
    told = asked(path, "vmdk")
    assert isinstance(told, dict) and "backing-filename" not in told
    assert _inspect(path, "vmdk") == told["virtual-size"] == MIB


def test_a_header_without_a_disk_is_refused_as_qemu_takes_extents_from_its_descriptor(tmp_path: Path) -> None:
    path, secret = tmp_path / "outer.vmdk", tmp_path / "secret.raw"
    secret.write_bytes((SECRET * MIB)[:MIB])
    innocent = descriptor('RW 2048 SPARSE "x.vmdk"').replace(b"monolithicSparse", b"monolithicFlat")
    text = innocent.replace(b'RW 2048 SPARSE "x.vmdk"', f'RW 2048 FLAT "{secret}" 0'.encode())
    path.write_bytes(put(sparse(tmp_path, text, 20), 12, "<Q", 0))
    assert content(path, "vmdk").startswith(SECRET)
    assert len(refusals(path, "vmdk")) == 2
    hidden = descriptor('RW 2048 SPARSE "x.vmdk"').ljust(SECTOR - 1, b"#") + b"\n" + text
    path.write_bytes(put(sparse(tmp_path, hidden, 1), 12, "<Q", 0))
    assert all("descriptor of other files" in said for said in refusals(path, "vmdk"))


@pytest.mark.parametrize("before", [b"", b"# \xff\xfe strange\n", b"# plain\n" * 200, b"#".ljust(510) + b"\x55\xaa\n"])
@pytest.mark.parametrize("declared", ["vmdk", "raw", None])
def test_a_text_descriptor_is_refused_however_it_begins_as_qemu_takes_what_it_names(
    tmp_path: Path, before: bytes, declared: str | None
) -> None:
    path, secret = tmp_path / "text.vmdk", tmp_path / "secret.raw"
    secret.write_bytes((SECRET * MIB)[:MIB])
    text = descriptor(f'RW 2048 FLAT "{secret}" 0', kind="monolithicFlat")
    path.write_bytes((before + text).ljust(4096, b"\n"))
    assert content(path, "vmdk").startswith(SECRET)
    assert len(refusals(path, declared)) == 2


@pytest.mark.parametrize("declared", ["vmdk", "raw", None])
def test_an_extent_of_esx_is_refused_with_a_partition_table_too_as_qemu_takes_its_parent(
    tmp_path: Path, declared: str | None
) -> None:
    path = tmp_path / "esx.vmdk"
    text = descriptor(f'parentFileNameHint="{tmp_path / "parent.vmdk"}"', parent=made_cid(tmp_path))
    partition = struct.pack("<B3BB3BII", 0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, 2047) + bytes(48) + b"\x55\xaa"
    head = struct.pack("<4s10I", b"COWD", 1, 3, 2048, 1, 32, 1, 0, 0, 0, 0).ljust(446, b"\0") + partition
    path.write_bytes((head + text).ljust(MIB, b"\0"))
    told = asked(path, None)
    assert isinstance(told, dict) and told["backing-filename"] == str(tmp_path / "parent.vmdk")
    assert content(path, "vmdk").startswith(SECRET)
    assert len(refusals(path, declared)) == 2


def streamed(directory: Path) -> bytearray:
    """A real stream with its tables described by a footer, as other makers write it."""
    data = made(directory, "vmdk", "-o", "subformat=streamOptimized")
    data += bytes(-len(data) % SECTOR)
    footer = bytes(data[:SECTOR])
    put(data, 56, "<Q", (1 << 64) - 1)
    return data + struct.pack("<QII", 1, 0, 3).ljust(SECTOR, b"\0") + footer + bytes(SECTOR)


def test_a_footer_that_qemu_believes_before_the_header_agrees_with_it(tmp_path: Path) -> None:
    path = tmp_path / "stream.vmdk"
    data = streamed(tmp_path)
    path.write_bytes(data)
    told = asked(path, "vmdk")
    assert isinstance(told, dict) and told["virtual-size"] == MIB == _inspect(path, "vmdk")
    path.write_bytes(put(data, len(data) - 2 * SECTOR + 12, "<Q", 64 * 2048))
    told = asked(path, "vmdk")
    assert isinstance(told, dict) and told["virtual-size"] == 64 * MIB
    assert all("differ in size" in said for said in refusals(path, "vmdk"))
    data = streamed(tmp_path)
    path.write_bytes(data[: -3 * SECTOR] + b"\0" + data[-3 * SECTOR :])
    assert "Invalid footer" in asked(path, "vmdk")
    assert all("ends within a sector" in said for said in refusals(path, "vmdk"))


def of_qcow2(at: int, layout: str, value: int) -> Make:
    return lambda directory: put(made(directory, "qcow2"), at, layout, value)


def vhd_child(directory: Path) -> bytes:
    """A dynamic disk whose footers, with right checksums, say that it is a differencing one."""
    data = made(directory, "vhd")
    for at in (0, len(data) - SECTOR):
        struct.pack_into(">II", data, at + 60, 4, 0)
        put(data, at + 64, ">I", ~sum(data[at : at + SECTOR]) & 0xFFFFFFFF)
    return bytes(data)


def vhdx_child(directory: Path) -> bytes:
    """A disk with an entry in its metadata that says where its parent is."""
    data = made(directory, "vhdx")
    at = data.index(b"metadata")
    (count,) = struct.unpack_from("<H", data, at + 10)
    put(data, at + 10, "<H", count + 1)
    entry = bytes.fromhex("2d5fd3a80bb34d45abf7d3d84834ab0c") + struct.pack("<IIII", 0x20000, 64, 4, 0)
    data[at + 32 * (count + 1) : at + 32 * (count + 2)] = entry
    return bytes(data)


NOT_OPENED: dict[str, tuple[str, Make]] = {
    "a qcow2 of 2^62 bytes": ("qcow2", of_qcow2(24, ">Q", 1 << 62)),
    "a qcow2 larger than its first table": ("qcow2", of_qcow2(24, ">Q", 1 << 40)),
    "a qcow2 with clusters of 2^63 bytes": ("qcow2", of_qcow2(20, ">I", 63)),
    "a qcow2 with clusters of 256 bytes": ("qcow2", of_qcow2(20, ">I", 8)),
    "a qcow2 with clusters of 4 MiB": ("qcow2", of_qcow2(20, ">I", 22)),
    "a qcow2 with a huge first table": ("qcow2", of_qcow2(36, ">I", (4 << 20) + 1)),
    "a qcow2 with a huge table of snapshots": ("qcow2", of_qcow2(60, ">I", 65537)),
    "a qcow2 with a huge table of references": ("qcow2", of_qcow2(56, ">I", 1 << 30)),
    "a qcow2 with a header beyond its cluster": ("qcow2", of_qcow2(100, ">I", 65537)),
    "a qcow2 with a header too short": ("qcow2", of_qcow2(100, ">I", 103)),
    "a qcow2 with counters of 128 bits": ("qcow2", of_qcow2(96, ">I", 7)),
    "a vdi with a parent": ("vdi", lambda directory: put(made(directory, "vdi"), 440, "<I", 1)),
    "a vdi with a link": ("vdi", lambda directory: put(made(directory, "vdi"), 424, "<I", 1)),
    "a vhdx with a parent": ("vhdx", vhdx_child),
}


@pytest.mark.parametrize("what", NOT_OPENED)
def test_what_qemu_does_not_open_is_refused_by_the_service_and_by_a_host(tmp_path: Path, what: str) -> None:
    declared, make = NOT_OPENED[what]
    path = tmp_path / "image"
    path.write_bytes(make(tmp_path))
    assert isinstance(asked(path, declared), str), "QEMU opens it"
    assert all("not safe to use" in said for said in refusals(path, declared))


def test_a_size_of_another_length_than_a_number_has_is_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "image", made(tmp_path, "vhdx")
    path.write_bytes(put(data, data.index(bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8")) + 20, "<I", 16))
    assert all("cannot be read as vhdx" in said for said in refusals(path, "vhdx"))


def test_a_vhd_that_needs_another_file_is_refused_whatever_qemu_makes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "child.vhd"
    path.write_bytes(vhd_child(tmp_path))
    assert all("may need a parent" in said for said in refusals(path, "vhd"))


def test_a_qcow2_shorter_than_what_is_inspected_is_refused_as_qemu_follows_it(tmp_path: Path) -> None:
    path, base = tmp_path / "short", tmp_path / "b"
    base.write_bytes(bytes(MIB))
    name = str(base).encode()
    fields = (b"QFI\xfb", 2, 72, len(name), 16, 0, 0, 0, 65536, 131072, 1, 0, 0)
    path.write_bytes(struct.pack(">4sIQIIQIIQQIIQ", *fields) + name)
    assert path.stat().st_size < SECTOR
    told = asked(path, None)
    assert isinstance(told, dict) and told["backing-filename"] == str(base)
    assert len(refusals(path, "raw")) == len(refusals(path, "qcow2")) == 2


@pytest.mark.parametrize("name", ["vmdk", "qcow2", "vdi", "vhd", "vhdx", "parallels", "qed", "qcow"])
@pytest.mark.parametrize("keep", [SECTOR - 1, None])
def test_what_qemu_guesses_to_be_of_a_format_is_not_taken_for_raw(tmp_path: Path, name: str, keep: int | None) -> None:
    path = tmp_path / "image"
    path.write_bytes(made(tmp_path, name)[:keep])
    assert len(refusals(path, "raw")) == 2


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vdi", "vhd", "vhdx", "raw"])
@pytest.mark.parametrize("size", [4 * MIB, 3 << 30])
def test_honest_images_have_the_size_that_qemu_says_for_both(tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / "made"
    made_of(tmp_path, name, size)
    told = asked(path, name)
    inspection = Inspection(name)
    with path.open("rb") as file:
        while path.stat().st_size < 1 << 30 and (piece := file.read(70_000)):
            inspection.feed(piece)
    sizes = {_inspect(path, name)}
    if path.stat().st_size < 1 << 30:
        sizes.add(inspection.verdict())
    assert isinstance(told, dict)
    # The size of a VHD for QEMU is that of its cylinders, heads and sectors, a little more or less.
    assert sizes == {told["virtual-size"]} or (name == "vhd" and len(sizes) == 1)


def made_of(directory: Path, name: str, size: int) -> None:
    kind = QEMU_NAMES.get(name, name)
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(directory / "made"), str(size)], check=True)


def test_a_host_reads_no_more_of_a_large_raw_image_than_it_needs(tmp_path: Path) -> None:
    """Nor believes in less of it: its size is that of the file."""
    path = tmp_path / "large.raw"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert _inspect(path, "raw") == 1 << 40
