"""What operators decide about strangers: which there are, which become servers, which are removed."""

from contextlib import suppress

import attrs
import structlog

from novakit import errors
from novakit.bus import BusError
from novakit.calls.conductor import RefusedHost, Settled, Stranger, Unknown
from novakit.conductor.guests import checked
from novakit.conductor.guests.adoption import AdoptionRequest, adopt
from novakit.conductor.guests.networks import noted_by
from novakit.conductor.guests.note import Heard
from novakit.conductor.guests.strangers import NO_NOTE, full
from novakit.conductor.parts import Parts
from novakit.conductor.work import Postponed
from novakit.store.compute import refused_hosts, servers, strangers
from novakit.store.compute.strangers import StrangerRow
from novakit_hookspecs.servers import Guest, Power

log = structlog.get_logger(__name__)


@attrs.frozen
class Desk:
    """Carries out an operator's word about a guest that is no server."""

    parts: Parts

    async def listed(self) -> Unknown:
        """List all strangers, and the hosts that are refused."""
        async with self.parts.store.read() as session:
            rows, away = await strangers.every(session), await refused_hosts.every(session)
            cut = await full(session)
        hosts = [
            RefusedHost(
                host=row["host"],
                deployment=row["deployment"],
                since=row["since"].isoformat(),
                why=row["why"] or f"It belongs to deployment {row['deployment']} and refuses this one.",
            )
            for row in away.values()
        ]
        return Unknown(guests=tuple(_shown(row) for row in rows), hosts=tuple(hosts), full=tuple(cut))

    async def adopt(self, guest: str, host: str | None, asked: AdoptionRequest) -> Settled:
        """Make a server of a stranger."""
        row, why = await self._find(guest, host)
        if row is None:
            return Settled(found=bool(why), why=why)
        kept = await self._note(row)
        if isinstance(kept, str):
            return Settled(why=kept)
        try:
            # What an operator takes a host's word for, with the guest, is also what was around it.
            is_sealed = kept.is_sealed and not self.parts.notary.has_lost_its_seal
            noted = await noted_by(self.parts, row["host"], sealed=is_sealed)
            there = Guest(id=guest, power=Power(row["power"]))
            left = await adopt(self.parts, row["host"], there, kept, noted, asked)
        except BusError as error:
            return Settled(why=f"{row['host']} does not answer: {error}")
        except errors.NovakitError as error:
            return Settled(why=error.message)
        except (KeyError, TypeError, ValueError) as error:
            why = f"Its host's note of networks is damaged: {errors.in_words(error)}. Adopt it with --without-ports."
            return Settled(why=why)
        log.warning("a guest was adopted", host=row["host"], guest=guest, by=asked.user_id, left=left)
        return Settled(left=tuple(left))

    async def remove(self, guest: str, host: str | None) -> Settled:
        """Destroy a stranger; the record of it goes last, so that a kill in between leaves it to be asked again."""
        row, why = await self._find(guest, host)
        if row is None:
            return Settled(found=bool(why), why=why)
        async with self.parts.store.read() as session:
            server = await servers.server(session, guest)
        if server is not None and server["host"] == row["host"]:
            return Settled(why="It belongs to a server on this host now; delete the server instead.")
        log.warning("removing a guest, as an operator asked", host=row["host"], guest=guest)
        try:
            await self.parts.hosts.at(row["host"]).destroy(guest)
        except BusError as error:
            return Settled(why=f"{row['host']} did not remove it: {error}")
        async with self.parts.store.write() as session:
            await self.parts.placement.release(session, row["claim_id"])
            await strangers.drop(session, row["host"], [guest])
        with suppress(BusError, Postponed):  # the next push takes its ports down
            await self.parts.wiring.ensure(row["host"])
        return Settled()

    async def _find(self, guest: str, host: str | None) -> tuple[StrangerRow | None, str]:
        """Find the one stranger that is meant; else say why it is not clear, with nothing for one that there is not."""
        async with self.parts.store.read() as session:
            rows = [row for row in await strangers.some(session, guest) if host in (None, row["host"])]
        if len(rows) > 1:
            return None, f"It is on {' and '.join(row['host'] for row in rows)}; name the host."
        return (rows[0], "") if rows else (None, "")

    async def _note(self, row: StrangerRow) -> Heard | str:
        """Fetch the note of a stranger, whoever sealed it: the operator vouches for it. Else say why there is none."""
        try:
            told = await self.parts.hosts.at(row["host"]).notes((row["guest"],))
        except BusError as error:
            return f"{row['host']} does not answer: {error}"
        if not told:
            return NO_NOTE
        try:
            return checked.heard(self.parts.notary, row["host"], told[0], checked.read(told[0]))
        except ValueError as error:
            return str(error)


def _shown(row: StrangerRow) -> Stranger:
    return Stranger(
        host=row["host"],
        id=row["guest"],
        name=row["name"],
        project_id=row["project_id"],
        power=row["power"],
        why=row["why"],
        held=row["held"],
        created_at=row["created_at"],
        first_seen=row["first_seen"].isoformat(),
    )
