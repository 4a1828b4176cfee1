"""Start, stop and reboot: bring the guest to a power state and write down which one it reached."""

from typing import Any

import attrs

from novakit.compute import states
from novakit.compute.records import POWER_NUMBERS
from novakit.conductor.parts import Parts
from novakit.conductor.verbs.create import fault
from novakit.conductor.work import Commit, Failed, Step, Verb, Work
from novakit.store.compute import servers
from novakit.store.engine import Session
from novakit_hookspecs.servers import Power

GRACE = 60.0
"""Seconds a guest has to shut down by itself before its plug is pulled."""


@attrs.frozen
class PowerChange:
    """The steps of start, stop and reboot."""

    parts: Parts

    def verbs(self) -> list[Verb]:
        """Give the three operations."""
        patience = self.parts.config.conductor.patience
        down = Step(name="down", do=self.down, shown_as="compute_stop_instance", interruptible=True)
        up = Step(name="up", do=self.up, shown_as="compute_start_instance", interruptible=True)
        again = attrs.evolve(up, shown_as="compute_reboot_instance")
        return [
            Verb(kind="stop", steps=(down,), undo=self.undo, patience=patience),
            Verb(kind="start", steps=(up,), undo=self.undo, patience=patience),
            Verb(kind="reboot", steps=(attrs.evolve(down, shown_as=None), again), undo=self.undo, patience=patience),
        ]

    async def down(self, work: Work) -> Commit:
        """Shut the guest down: asked first, then unplugged; a hard reboot does not ask."""
        within = 0.0 if work.data.get("hard") else GRACE
        power = await self._set(work, Power.SHUTDOWN, within)
        return self._reached(work, power, last=work.kind == "stop")

    async def up(self, work: Work) -> Commit:
        """Start the guest, its ports wired first: they may be gone since the host was restarted."""
        await self.parts.wiring.ensure(work.data["host"])
        power = await self._set(work, Power.RUNNING, 0.0)
        return self._reached(work, power, last=True)

    async def _set(self, work: Work, to: Power, within: float) -> Power:
        guest = await self.parts.hosts.at(work.data["host"]).set_power(work.id, work.server_id, to, within)
        return guest.power

    def _reached(self, work: Work, power: Power, *, last: bool) -> Commit:
        values: dict[str, Any] = {"power_state": POWER_NUMBERS[power]}
        event = "down" if work.kind == "stop" else "up"

        async def commit(session: Session) -> None:
            if last:
                await states.move(session, work.server_id, _operation(work), event, **values)
            else:
                await servers.change(session, work.server_id, **values)

        return commit

    async def undo(self, work: Work, failure: Failed) -> Commit:
        """Leave the server as it was, with the reason; the next report of its host tells its true state."""

        async def commit(session: Session) -> None:
            await states.move_if(session, work.server_id, _operation(work), states.UNDO, fault=fault(failure))

        return commit


def _operation(work: Work) -> str:
    """Name the operation as the table of moves does."""
    return "reboot hard" if work.data.get("hard") else work.kind
