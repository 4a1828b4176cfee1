"""Delete: remove the guest, its ports and its claim, then the server; it wins over whatever else is under way."""

from collections.abc import Awaitable, Callable

import attrs
import structlog

from novakit import world
from novakit.bus import RemoteError, Unreachable
from novakit.compute import states
from novakit.conductor.parts import Parts
from novakit.conductor.snapshots import drop_snapshot
from novakit.conductor.work import Commit, Failed, Postponed, Step, Verb, Work
from novakit.store.compute import hosts, server_groups, servers
from novakit.store.engine import Session

log = structlog.get_logger(__name__)


@attrs.frozen
class Delete:
    """The steps of deleting a server."""

    parts: Parts

    def verb(self) -> Verb:
        """Give the operation."""
        return Verb(
            kind="delete",
            steps=(
                Step(name="destroy", do=self.destroy, shown_as="compute_terminate_instance"),
                Step(name="unwire", do=self.unwire),
                Step(name="forget", do=self.forget),
            ),
            undo=self.undo,
            patience=float("inf"),
        )

    async def destroy(self, work: Work) -> None:
        """Have the host remove the guest with everything of it."""
        async with self.parts.store.read() as session:
            server = await servers.show(session, work.server_id)
        work.data["host"] = host = server["host"] if server else None
        if host:
            await self.on_host(host, lambda: self.parts.hosts.at(host).destroy(work.server_id))

    async def unwire(self, work: Work) -> None:
        """Give its ports back and have the host take them down."""
        await self.parts.networks.release(work.server_id)
        if host := work.data["host"]:
            await self.on_host(host, lambda: self.parts.wiring.ensure(host))

    async def on_host(self, host: str, ask: Callable[[], Awaitable[object]]) -> None:
        """Ask the host, again and again while it lives; a dead one removes what it should not have when it is back."""
        try:
            await ask()
        except RemoteError as error:
            raise Postponed(f"{host} could not remove everything: {error}") from error
        except Unreachable as error:
            async with self.parts.store.read() as session:
                row = await hosts.show(session, host)
            silent = (world.now() - row["last_seen"]).total_seconds() if row else float("inf")
            if silent < self.parts.config.conductor.host_down_after:
                raise
            log.warning("deleting without the host, which is down", host=host, silent_seconds=silent, why=str(error))

    async def forget(self, work: Work) -> Commit:
        """Free what was claimed and mark the server deleted, both in one transaction."""
        if image := work.data.get("snapshot"):
            await drop_snapshot(self.parts.images, image)

        async def commit(session: Session) -> None:
            await self.parts.placement.release(session, work.server_id)
            await server_groups.leave(session, [work.server_id])
            now = world.now()
            await states.move(
                session,
                work.server_id,
                "delete",
                "forget",
                power_state=0,
                terminated_at=now,
                deleted_at=now,
            )

        return commit

    async def undo(self, work: Work, failure: Failed) -> Commit | None:
        """Refuse to fail: a delete is tried until it is done."""
        raise Postponed(failure.message)
