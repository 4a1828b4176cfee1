"""Stand in for a guest's hypervisor: carry frames between a port's tap and a card in a namespace, until killed.

    python -m novakit_hookspecs.testing.wire DEVICE NAMESPACE

The card is called eth0; a line on standard output says that it is there.
"""

import ctypes
import fcntl
import os
import selectors
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
"""From linux/if_tun.h; IFF_NO_PI leaves out the 4 bytes that the kernel would put before each frame."""
CLONE_NEWNET = 0x40000000
"""From linux/sched.h: what `setns` is to change."""
FRAME = 65535
"""Bytes that are read at once; no frame of a tap is longer."""


def open_tap(name: str) -> int:
    """Take the guest's end of a tap in the present namespace."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def enter(namespace: str) -> None:
    """Put the calling thread into a named network namespace."""
    with open(f"/run/netns/{namespace}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {namespace}")


def carry(first: int, second: int) -> None:
    """Copy frames both ways for ever."""
    with selectors.DefaultSelector() as selector:
        selector.register(first, selectors.EVENT_READ, second)
        selector.register(second, selectors.EVENT_READ, first)
        while True:
            for key, _ in selector.select():
                try:
                    os.write(key.data, os.read(key.fd, FRAME))
                except OSError:
                    continue  # the other card is down: the frame is lost, as on any wire


if __name__ == "__main__":
    device, namespace = sys.argv[1:]
    near = open_tap(device)
    enter(namespace)
    far = open_tap("eth0")
    print("ready", flush=True)
    carry(near, far)
