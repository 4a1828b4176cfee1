"""Taking a server off a host: its guest and its ports there, also where the host does not answer."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from novakit.bus import BusError, RemoteError, Unreachable
from novakit.conductor.guests import age
from novakit.conductor.guests.strangers import Strangers
from novakit.conductor.parts import Parts
from novakit.conductor.work import Postponed
from novakit.errors import in_words
from novakit.store.compute import hosts, left_guests

log = structlog.get_logger(__name__)

LEFT_WITHIN = 5.0
"""Seconds for which a delete waits for a host that its server has left; it may be one on which nothing ends."""


async def on_host(parts: Parts, host: str, ask: Callable[[], Awaitable[object]]) -> bool:
    """Ask the host, and again for as long as it is up; one that is down removes the rest when it is back.

    Returns whether the host did what it was asked.
    """
    try:
        return await _unless_down(parts, host, ask)
    except RemoteError as error:
        raise Postponed(f"{host} could not remove everything: {error}") from error


async def _unless_down(parts: Parts, host: str, ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except Unreachable as error:
        if not await is_down(parts, host):
            raise
        log.warning("going on without the host, which is down", host=host, why=str(error))
        return False
    return True


async def is_down(parts: Parts, host: str) -> bool:
    """Return whether a host counts as down: it gave no sign of life for long, as one that takes no part gives none."""
    async with parts.store.read() as session:
        row = await hosts.host(session, host)
    return row is None or parts.liveness.silent(row) >= parts.config.conductor.host_down_after


async def destroy(parts: Parts, host: str, server_id: str) -> None:
    """Have a host remove the guest with all that it keeps of it."""
    await parts.hosts.at(host).destroy(server_id)


async def leave(parts: Parts, host: str, server_id: str, ours: datetime | None = None) -> bool:
    """Have a host remove the guest, unless the guest has seen more than this database. Returns whether it is removed.

    `ours` is when an operation that is taken back had noted the end of its build.

    A restored backup may have a change open that was done long ago, and takes it back when it cannot be done again:
    what guest there is then is the server's, and becomes a stranger that is left alone.
    """
    if await age.newer_here(parts, host, server_id, ours):
        await Strangers(parts).keep(host, server_id)
        return False
    await destroy(parts, host, server_id)
    return True


async def leave_unless_down(parts: Parts, host: str, server_id: str, ours: datetime | None = None) -> None:
    """Have a host remove the guest as `leave` does; one that is down is remembered, and removes it when it is back."""
    if not await _unless_down(parts, host, lambda: leave(parts, host, server_id, ours)):
        async with parts.store.write() as session:
            await left_guests.put(session, host, server_id)


async def clear_host(parts: Parts, server_id: str, host: str | None, ours: datetime | None = None) -> None:
    """Remove the guest from its host and its ports from the host's network; a host that is down does it when back."""
    if host and not await on_host(parts, host, lambda: leave(parts, host, server_id, ours)):
        async with parts.store.write() as session:
            await left_guests.put(session, host, server_id)
    await parts.networks.unbind(server_id)
    if host:
        await on_host(parts, host, lambda: parts.wiring.ensure(host))


async def clear_left(parts: Parts, host: str, server_id: str) -> None:
    """Have a host that a server has left remove what it has of it.

    One that does not do so within `LEFT_WITHIN` is asked again after its reports, as long as it is remembered.
    """
    try:
        async with asyncio.timeout(LEFT_WITHIN):
            while True:
                try:
                    await _unless_down(parts, host, lambda: leave(parts, host, server_id))
                    return
                except Unreachable:
                    # After a start operations go on before the hosts are there.
                    await asyncio.sleep(0.2)
    except (BusError, TimeoutError) as error:
        log.warning(
            "a host that the server has left did not clear up; its next reports ask again",
            host=host,
            server=server_id,
            why=in_words(error),
        )
