"""Forgets what is old, a little at a time, and gives the room back to the file system."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import attrs
import structlog

from novakit import world
from novakit.config import RetentionOptions
from novakit.store import Session, Store, identity, login_attempts, retention
from novakit.store.scheduler import decisions, numa

log = structlog.get_logger(__name__)

Purge = Callable[[Session, datetime], Awaitable[int]]


@attrs.frozen
class Retention:
    """The ages of `[retention]`, put into practice."""

    store: Store
    options: RetentionOptions

    async def purge(self) -> dict[str, int]:
        """Forget all that is too old.

        Returns how many of each went. Each transaction is short, so nobody waits long.
        """
        gone = {
            "servers": await self._all(retention.purge_servers, self.options.deleted_servers_days),
            "operations": await self._all(retention.purge_operations, self.options.operations_days),
            "decisions": await self._all(decisions.purge, self.options.decisions_days),
            "deleted_images": await self._all(retention.purge_deleted_images, self.options.deleted_images_days),
            "revocations": await self._all(identity.purge_revocations, 0.0),
            "login_attempts": await self._all(login_attempts.purge, 0.0),
        }
        async with self.store.write() as session:
            await numa.prune(session)
        if any(gone.values()):
            log.info("purged old records", **gone)
        if returned := await self.store.reclaim():
            log.info("gave free space back to the file system", bytes=returned)
        return gone

    async def _all(self, purge: Purge, days: float) -> int:
        if days < 0:
            return 0
        before, gone = world.now() - timedelta(days=days), 0
        while True:
            async with self.store.write() as session:
                some = await purge(session, before)
            gone += some
            if some == 0:
                return gone
