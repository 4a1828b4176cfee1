"""The port of the APIs, taken early: a start that cannot have it need not wait for a database first."""

import asyncio
import socket

from novakit.errors import ConfigError


async def taken(host: str, port: int) -> list[socket.socket]:
    """Bind a socket to each address of a host, without listening: clients are refused until somebody serves them.

    Raises ConfigError.
    """
    found: list[socket.socket] = []
    try:
        there = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(there):
            sock = socket.socket(family, kind, protocol)
            found.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind(address)
    except (OSError, UnicodeError) as error:
        for sock in found:
            sock.close()
        raise refused(host, port, error) from error
    return found


def refused(host: str, port: int, error: OSError | UnicodeError) -> ConfigError:
    """Say that an address cannot be had, and why."""
    shown = f"[{host}]" if ":" in host else host
    why = (isinstance(error, OSError) and error.strerror) or "it is not a valid host name"
    return ConfigError(f"{shown}:{port} cannot be listened on: {why}; choose another --listen.")
