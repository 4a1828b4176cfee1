"""What the first bytes of a disk image say: whether it is encrypted, and whether QEMU would take it for a VMDK.

QEMU's tools open an encrypted image only with its key, and some crash on a header that merely claims to have one.
Nobody here has such keys, so an encrypted image is of no use to a guest, and is refused before any tool opens it.
"""

import re
import struct

LENGTH = 2048
"""Bytes from the start of an image that are looked at; QEMU looks at as many when it guesses a format."""

_LUKS = b"LUKS\xba\xbe"
_DESCRIPTOR = re.compile(rb"(?:#[^\n]*\n| *\r?\n)*version=[123]\r?\n")
_METHODS = {1: "AES", 2: "LUKS"}
_CRYPT_METHOD = {1: 36, 2: 32, 3: 32}
"""Where the version of a qcow header keeps its method of encryption."""


def encryption(head: bytes) -> str:
    """Return how the image that begins with `head` is encrypted, as a word for people; empty when it is not."""
    if head.startswith(_LUKS):
        return "LUKS"
    if head.startswith(b"QFI\xfb") and len(head) >= 40:
        (version,) = struct.unpack_from(">I", head, 4)
        if (place := _CRYPT_METHOD.get(version)) is not None:
            (method,) = struct.unpack_from(">I", head, place)
            return _METHODS.get(method, f"method {method}") if method else ""
    return ""


def vmdk(head: bytes) -> str:
    """Return `vmdk` for what QEMU takes for one where it guesses and the image inspector does not; else nothing.

    QEMU knows the sparse extents of ESX by their magic, and a descriptor by its version after any comments.
    """
    return "vmdk" if head.startswith(b"COWD") or _DESCRIPTOR.match(head) else ""
