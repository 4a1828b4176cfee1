"""What the first bytes of a disk image make QEMU do: which format it guesses, and what it reads besides the file.

QEMU's tools open an encrypted image only with its key, and some crash on a header that merely claims to have one.
Nobody here has such keys, so an encrypted image is of no use to a guest, and is refused before any tool opens it.
"""

import re
import struct

_SECTOR = 512
"""Bytes of what VMDKs count in."""
LENGTH = 21 * _SECTOR
"""Bytes from the start of an image that are looked at: QEMU looks for a VMDK's parent in the 20 sectors after the
first, whatever its header says of their place and number."""

_LUKS = b"LUKS\xba\xbe"
_QCOW = b"QFI\xfb"
_MAGICS = {
    _LUKS: "luks",
    _QCOW: "qcow2",
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"QED\0": "qed",
    b"conectix": "vhd",
    b"vhdxfile": "vhdx",
    b"WithoutFreeSpace": "parallels",
    b"WithouFreSpacExt": "parallels",
    b"Bochs Virtual HD Image": "bochs",
    b"#!/bin/sh\n#V2.0 Format\nmodprobe cloop ": "cloop",
}
_VDI, _VDI_AT = b"\x7f\x10\xda\xbe", 64
_DESCRIPTOR = re.compile(rb"(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n")
_METHODS = {1: "AES", 2: "LUKS"}
_CRYPT_METHOD = {1: 36, 2: 32, 3: 32}
"""Where the version of a qcow header keeps its method of encryption."""

_PARENT = b"parentfilenamehint"
_CAPACITY = 12
"""Where the header of a VMDK keeps the sectors of its disk; 0 is: it has none, and a descriptor names other files."""
_LINKS = slice(424, 456)
"""Where a VDI names the snapshot and the parent it takes from."""

_VHD_TYPE = 60
"""Where the footer of a VHD keeps its type."""
_VHD_ALONE = (2, 3)
"""Types of VHD that need no other file: fixed and dynamic."""
_CLUSTER_BITS = range(9, 22)
_TABLE_BYTES = {"L1": 32 << 20, "refcount": 8 << 20}
"""Bytes of a qcow2's tables beyond which QEMU does not open it."""
_SNAPSHOTS = 65536
"""Snapshots of a qcow2 beyond which QEMU does not open it."""
_QCOW3_LENGTH = 104
"""Bytes that a qcow2's header of version 3 has at the least."""


def encryption(head: bytes) -> str:
    """Return how the image that begins with `head` is encrypted, as a word for people; empty when it is not."""
    if head.startswith(_LUKS):
        return "LUKS"
    if head.startswith(_QCOW) and len(head) >= 40:
        (version,) = struct.unpack_from(">I", head, 4)
        if (place := _CRYPT_METHOD.get(version)) is not None:
            (method,) = struct.unpack_from(">I", head, place)
            return _METHODS.get(method, f"method {method}") if method else ""
    return ""


def guessed(head: bytes) -> str:
    """Return the format that QEMU takes the image for where it guesses; empty where that is raw.

    It goes by less than the image inspector: by a magic however short the file is, and for VMDK's descriptor by its
    version after any comments.
    """
    for magic, name in _MAGICS.items():
        if head.startswith(magic):
            return name
    if head[_VDI_AT:].startswith(_VDI):
        return "vdi"
    return "vmdk" if _DESCRIPTOR.match(head) else ""


def flaw(name: str, head: bytes) -> str:
    """Return what is wrong with the header of a format: it leads elsewhere, or QEMU does not open it; else nothing."""
    head = head.ljust(LENGTH, b"\0")
    if name == "vmdk":
        return _flaw_of_vmdk(head)
    if name == "qcow2":
        return _flaw_of_qcow2(head)
    if name == "vdi" and any(head[_LINKS]):
        return "It names a parent"
    if name == "vhd" and struct.unpack_from(">I", head, _VHD_TYPE)[0] not in _VHD_ALONE:
        return "It is neither fixed nor dynamic, and may need a parent"
    return ""


def _flaw_of_vmdk(head: bytes) -> str:
    if not head.startswith(b"KDMV") or not any(head[_CAPACITY : _CAPACITY + 8]):
        return "It is a descriptor of other files"
    # Not up to the first zero byte alone, nor in one case alone: other readers may be less strict than QEMU.
    return "It names a parent file" if _PARENT in head[_SECTOR:LENGTH].lower() else ""


def _flaw_of_qcow2(head: bytes) -> str:
    (version,) = struct.unpack_from(">I", head, 4)
    bits, size, _, l1, _, _, refcount_clusters, snapshots = struct.unpack_from(">IQIIQQII", head, 20)
    if bits not in _CLUSTER_BITS:
        return f"It has clusters of 2^{bits} bytes"
    cluster = 1 << bits
    if l1 * 8 > _TABLE_BYTES["L1"] or refcount_clusters * cluster > _TABLE_BYTES["refcount"]:
        return "One of its tables is too large"
    if -(-size // (cluster * cluster // 8)) > l1:
        return "Its first table is too small for its size"
    if snapshots > _SNAPSHOTS:
        return f"It claims {snapshots} snapshots"
    if version == 3:
        order, length = struct.unpack_from(">II", head, 96)
        if order > 6 or not _QCOW3_LENGTH <= length <= cluster:
            return "Its header is not a valid header of version 3"
    return ""
