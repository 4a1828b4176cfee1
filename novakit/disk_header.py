"""What the first bytes of a disk image say about encryption.

QEMU's tools open an encrypted image only with its key, and some crash on a header that merely claims to have one.
Nobody here has such keys, so an encrypted image is of no use to a guest, and is refused before any tool opens it.
"""

import struct

LENGTH = 64
"""Bytes from the start of an image that `encryption` needs."""

_LUKS = b"LUKS\xba\xbe"
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
