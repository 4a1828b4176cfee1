"""What the tests with packets work with: guests in namespaces, pairs of them, connections."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import attrs
import pytest

from novakit_hookspecs.networks import Applied, Network, NetworkDriver, Port
from novakit_hookspecs.testing.guests import PacketGuest, can_make_guests
from novakit_hookspecs.testing.networks import NetworkConformance
from novakit_hookspecs.testing.topologies import OUT, PING, Draft, allow_tcp

SHORT = 1.0
"""Seconds to wait for what must not come."""
Attach = Callable[..., PacketGuest]
EVERYWHERE = "ff:ff:ff:ff:ff:ff"


@attrs.define
class Pair:
    """Two guests on one network; the second lets TCP port 80 and ping in."""

    network: Network
    first: PacketGuest
    second: PacketGuest


class PacketFrame(NetworkConformance):
    """Guests at the far end of the ports' taps."""

    @pytest.fixture(autouse=True)
    def _possible(self) -> None:
        if why := can_make_guests():
            pytest.skip(why)

    @pytest.fixture
    def guests(self) -> Iterator[Attach]:
        """Yield a function that attaches a guest to a port and configures its address."""
        with contextlib.ExitStack() as stack:

            def attach(
                port: Port, applied: Applied, *, configure: bool = True, metadata: str | None = None
            ) -> PacketGuest:
                guest = stack.enter_context(PacketGuest(port, applied.vifs[port.id]))
                if configure:
                    ip = port.addresses[0].ip
                    guest.take(f"{ip}/24", ip.rsplit(".", 1)[0] + ".1", metadata)
                return guest

            yield attach

    @pytest.fixture
    async def pair(self, driver: NetworkDriver, draft: Draft, guests: Attach) -> AsyncIterator[Pair]:
        """Yield two guests on one network."""
        network = draft.network()
        first = draft.port(network, "10.1.0.11")
        second = draft.port(network, "10.1.0.12", (*OUT, PING, allow_tcp(80)))
        applied = await driver.apply(draft.topology())
        yield Pair(network, guests(first, applied), guests(second, applied))


def established(pair: Pair) -> tuple[socket.socket, socket.socket]:
    """Connect the first guest to port 80 of the second; give both ends."""
    listener = pair.second.serve_tcp(80)
    client = pair.first.connect("10.1.0.12", 80)
    server, _ = accept(listener)
    return client, server


def accept(listener: socket.socket) -> tuple[socket.socket, str]:
    """Take the next connection. Returns it and the address of who called."""
    listener.settimeout(5)
    stream, peer = listener.accept()
    stream.settimeout(5)
    return stream, str(peer[0])


def talk(speaker: socket.socket, listener: socket.socket) -> bool:
    """Whether what one end says arrives at the other."""
    speaker.send(b"hello")
    listener.settimeout(5)
    return listener.recv(5) == b"hello"
