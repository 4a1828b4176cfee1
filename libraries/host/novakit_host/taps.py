"""Opens taps, for emulators that may not: whoever holds the descriptor can send and receive, and nothing else."""

import fcntl
import os
import struct
from pathlib import Path

from novakit_hookspecs.errors import Refused

CLONE = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
"""From linux/if_tun.h, as the flags below."""
_TAP, _NO_PACKET_INFORMATION, _VNET_HEADER = 0x0002, 0x1000, 0x4000
"""IFF_TAP, IFF_NO_PI and IFF_VNET_HDR: a tap is opened only with the flags that it was made with."""


def open_tap(name: str, devices: Path = Path("/sys/class/net")) -> int:
    """Return a descriptor of a tap. Raises Refused for what is not one, or belongs to another service."""
    # The kernel would make one that is missing, which nobody has wired, and which ends with the guest.
    if not (devices / name / "tun_flags").is_file():
        raise Refused(f"there is no tap {name} on this host")
    descriptor = os.open(CLONE, os.O_RDWR | os.O_CLOEXEC)
    try:
        wanted = struct.pack("16sH22x", name.encode(), _TAP | _NO_PACKET_INFORMATION | _VNET_HEADER)
        fcntl.ioctl(descriptor, _TUNSETIFF, wanted)
    except OSError as error:
        os.close(descriptor)
        raise Refused(f"the tap {name} cannot be opened: {error.strerror}") from error
    return descriptor
