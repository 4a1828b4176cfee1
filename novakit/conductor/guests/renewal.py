"""Notes written again: after a build with what was claimed, and after every change of the server."""

from collections.abc import Sequence

import structlog

from novakit.bus import BusError
from novakit.conductor.parts import Parts
from novakit.store import operations
from novakit.store.engine import Row
from novakit.store.placement import usages
from novakit.store.scheduler import numa
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_record

log = structlog.get_logger(__name__)


async def renew(parts: Parts, host: str, rows: Sequence[Row]) -> None:
    """Have a host keep the notes of servers as their rows are; four reads for any number of them."""
    ids = [row["id"] for row in rows]
    ports = await parts.networks.ports_of(ids)
    async with parts.store.read() as session:
        held = await usages.held_by_name(session, ids)
        cells = await numa.of_servers(session, ids)
        built = await operations.last_ended(session, ids)
    for row in rows:
        id = row["id"]
        last = built.get(id)
        note = parts.notary.write(
            host,
            last.id if last else "",
            row,
            ports.get(id, []),
            ended=last.at if last else None,
            claim=held.get(id, {}),
            numa=to_record(cells.get(id, []), tuple[Taken, ...]),
        )
        try:
            await parts.hosts.at(host).keep_note(note)
        except BusError as error:
            log.warning("notes of guests could not be renewed", host=host, guest=id, why=str(error))
            return
