"""Guests for packet tests: a namespace at the far end of a port's tap, with what a tester wants from a guest."""

import contextlib
import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from novakit_hookspecs.networks import Port, Vif
from novakit_hookspecs.testing import wire

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds to wait for what must come."""
SILENCE = 0.6
"""Seconds without a packet that count as "never"."""


class Namespace:
    """A network namespace to do things in; sockets made in it stay in it wherever they are used."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self._open: list[socket.socket] = []

    def inside(self, work: Callable[[], T]) -> T:
        """Run a function in the namespace, in a thread that ends after it."""
        result: list[T] = []
        failure: list[BaseException] = []

        def enter() -> None:
            try:
                if self.name is not None:
                    wire.enter(self.name)
                result.append(work())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return result[0]

    def run(self, argv: Sequence[str], *, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Run a program in the namespace."""
        enter = [] if self.name is None else ["nsenter", f"--net=/run/netns/{self.name}", "--"]
        done = subprocess.run([*enter, *argv], text=True, capture_output=True, timeout=timeout, check=False)
        if check and done.returncode:
            raise AssertionError(f"{argv} in {self.name} failed: {done.stdout}{done.stderr}")
        return done

    def make_socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Make a socket in the namespace; it is closed with it."""
        made = self.inside(lambda: socket.socket(family, kind, protocol))
        made.settimeout(PATIENCE)
        self._open.append(made)
        return made

    def serve_tcp(self, port: int, address: str = "0.0.0.0") -> socket.socket:
        """Listen."""
        listener = self.make_socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        return listener

    def connect(self, address: str, port: int, within: float = PATIENCE) -> socket.socket:
        """Open a TCP connection. Raises TimeoutError when nobody answers."""
        client = self.make_socket(socket.AF_INET, socket.SOCK_STREAM)
        client.settimeout(within)
        client.connect((address, port))
        client.settimeout(PATIENCE)
        return client

    def reaches(self, address: str, port: int, within: float = PATIENCE) -> bool:
        """Whether a TCP connection comes about."""
        try:
            self.connect(address, port, within).close()
        except OSError:
            return False
        return True

    def pings(self, address: str, within: float = PATIENCE) -> bool:
        """Whether one of a few pings is answered in time."""
        end = time.monotonic() + within
        while True:
            if self.run(["ping", "-n", "-c", "1", "-W", "1", address], check=False).returncode == 0:
                return True
            if time.monotonic() > end:
                return False

    def close(self) -> None:
        """Close every socket that was made."""
        for made in self._open:
            made.close()
        self._open.clear()


class PacketGuest(Namespace):
    """A guest on a port: `eth0` with the port's MAC, and no address until it takes one."""

    def __init__(self, port: Port, vif: Vif) -> None:
        super().__init__("guest-" + port.id)
        self.port = port
        self._wire: subprocess.Popen[str] | None = None
        subprocess.run(["ip", "netns", "add", str(self.name)], check=True)
        try:
            argv = [sys.executable, "-m", "novakit_hookspecs.testing.wire", vif.device, str(self.name)]
            self._wire = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
            assert self._wire.stdout is not None
            assert self._wire.stdout.readline() == "ready\n", f"no guest could take the device {vif.device}"
            self.run(["ip", "link", "set", "lo", "up"])
            self.run(["ip", "link", "set", "eth0", "address", port.mac, "mtu", str(vif.mtu), "up"])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unplug the guest."""
        super().close()
        if self._wire is not None:
            self._wire.kill()
            self._wire.wait()
            assert self._wire.stdout is not None
            self._wire.stdout.close()
            self._wire = None
        subprocess.run(["ip", "netns", "del", str(self.name)], check=False, capture_output=True)

    def take(self, address: str, gateway: str | None = None, metadata: str | None = None) -> None:
        """Configure an address with prefix length by hand."""
        self.run(["ip", "addr", "replace", address, "dev", "eth0"])
        if gateway:
            self.run(["ip", "route", "replace", "default", "via", gateway])
        if metadata:
            self.run(["ip", "route", "replace", "169.254.169.254/32", "via", metadata])

    def lease(self, tries: int = 5) -> dict[str, str]:
        """Ask for a DHCP lease. Returns what came, by the names udhcpc has for it; empty when nobody answered.

        Nothing is configured.
        """
        with tempfile.TemporaryDirectory() as directory:
            script, answer = Path(directory, "script"), Path(directory, "answer")
            script.write_text(f'#!/bin/sh\n[ "$1" = bound ] && env > {answer}\nexit 0\n')
            script.chmod(0o755)
            wanted = [argument for option in (3, 6, 12, 26, 121) for argument in ("-O", str(option))]
            client = ["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", str(tries), "-T", "1", "-A", "0"]
            self.run([*client, *wanted, "-s", str(script)], check=False, timeout=tries * 3 + 10)
            if not answer.exists():
                return {}
            return dict(line.split("=", 1) for line in answer.read_text().splitlines() if "=" in line)

    def lies(self, frame: bytes) -> None:
        """Send a frame just as it is."""
        raw = self.make_socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("eth0", 0))
        raw.send(frame)

    def ear(self) -> "Ear":
        """Listen to every frame that arrives from now on."""
        raw = self.make_socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.bind(("eth0", 3))
        return Ear(raw)


class Ear:
    """Hears the frames that arrive at a card."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw

    def hears(self, piece: bytes, within: float = SILENCE) -> bool:
        """Whether a frame with that piece in it arrives in time."""
        end = time.monotonic() + within
        with selectors.DefaultSelector() as selector:
            selector.register(self._raw, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                if not selector.select(left):
                    return False
                with contextlib.suppress(BlockingIOError):
                    frame, origin = self._raw.recvfrom(65535)
                    if piece in frame and origin[2] != socket.PACKET_OUTGOING:
                        return True
        return False


def ethernet(source: str, target: str, kind: int, payload: bytes) -> bytes:
    """Build a frame."""
    return _mac(target) + _mac(source) + struct.pack("!H", kind) + payload


def arp(operation: int, sender_mac: str, sender_ip: str, target_ip: str) -> bytes:
    """Build an ARP message: 1 asks, 2 answers."""
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + _mac(sender_mac) + socket.inet_aton(sender_ip) + bytes(6) + socket.inet_aton(target_ip)


def udp(source: str, target: str, source_port: int, target_port: int, data: bytes) -> bytes:
    """Build an IPv4 packet with a UDP datagram in it."""
    datagram = struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0) + data
    length, addresses = 20 + len(datagram), socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, 0, 64, 17, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack("!H", checksum) + head[12:] + datagram


def udp6(source: str, target: str, source_port: int, target_port: int, data: bytes) -> bytes:
    """Build an IPv6 packet with a UDP datagram in it."""
    length, addresses = 8 + len(data), b"".join(socket.inet_pton(socket.AF_INET6, end) for end in (source, target))
    ports = struct.pack("!HHH", source_port, target_port, length)
    summed = addresses + struct.pack("!II", length, 17) + ports + data + bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    datagram = ports + struct.pack("!H", (~total & 0xFFFF) or 0xFFFF) + data
    return struct.pack("!IHBB", 0x60000000, length, 17, 64) + addresses + datagram


def link_local(mac: str) -> str:
    """Return the IPv6 address that a card with this MAC gives itself."""
    digits = _mac(mac)
    packed = b"\xfe\x80" + bytes(6) + bytes([digits[0] ^ 2]) + digits[1:3] + b"\xff\xfe" + digits[3:]
    return socket.inet_ntop(socket.AF_INET6, packed)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def silent(stream: socket.socket, piece: bytes = b"x", within: float = SILENCE) -> bool:
    """Whether nothing more arrives on the other end of an established connection."""
    stream.settimeout(within)
    try:
        return not stream.recv(len(piece))
    except OSError:
        return True


def can_make_guests() -> str | None:
    """Return why no guests can be made here, or None."""
    if os.geteuid() != 0:
        return "guests for packet tests need root"
    return None if Path("/dev/net/tun").exists() else "guests for packet tests need /dev/net/tun"


__all__: Sequence[str] = [
    "PATIENCE",
    "SILENCE",
    "Ear",
    "Namespace",
    "PacketGuest",
    "arp",
    "can_make_guests",
    "ethernet",
    "link_local",
    "silent",
    "udp",
    "udp6",
]
