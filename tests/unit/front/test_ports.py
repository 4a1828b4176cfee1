"""The port of the APIs is taken early, and what stands in the way is told in a sentence."""

import socket

import pytest

from novakit.errors import ConfigError
from novakit.front.ports import taken


async def test_a_port_is_taken_and_refuses_clients_until_somebody_listens() -> None:
    (sock,) = await taken("127.0.0.1", 0)
    with sock, socket.socket() as client:
        assert client.connect_ex(sock.getsockname()) != 0
        sock.listen()
        assert client.connect_ex(sock.getsockname()) == 0


async def test_a_port_that_somebody_has_is_told_with_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} cannot be listened on: Address already in use"):
            await taken("127.0.0.1", port)


async def test_a_name_that_no_host_can_have_is_told() -> None:
    with pytest.raises(ConfigError, match="choose another --listen"):
        await taken("a" * 70 + ".invalid", 8774)
