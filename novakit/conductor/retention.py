"""Deletes rows that are too old, in short transactions, and returns their space to the file system."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import attrs
import structlog

from novakit import world
from novakit.config import RetentionOptions
from novakit.store import Session, Store, login_attempts, retention
from novakit.store.identity import tokens
from novakit.store.scheduler import decisions, numa

log = structlog.get_logger(__name__)

Purge = Callable[[Session, datetime], Awaitable[int]]


@attrs.frozen
class Retention:
    """Deletes what is older than `[retention]` says."""

    store: Store
    options: RetentionOptions

    async def purge(self) -> dict[str, int]:
        """Delete all that is too old.

        Returns how many of each went. Each transaction is short, so nobody waits long.
        """
        gone = {
            "servers": await self._all(retention.purge_servers, self.options.deleted_servers_days),
            "operations": await self._all(retention.purge_operations, self.options.operations_days),
            "decisions": await self._all(decisions.purge, self.options.decisions_days),
            "deleted_images": await self._all(retention.purge_deleted_images, self.options.deleted_images_days),
            "revocations": await self._all(tokens.purge_revocations, 0.0),
            "login_attempts": await self._all(login_attempts.purge, 0.0),
        }
        async with self.store.write() as session:
            await numa.prune(session)
        if any(gone.values()):
            log.info("purged old records", **gone)
        if returned := await self.store.reclaim():
            log.info("gave free space back to the file system", bytes=returned)
        return gone

    async def bound(self) -> dict[str, int]:
        """Forget what one project has left beyond what is kept of each, however young it is.

        Returns how many of each went. What is deleted counts in no quota, so the ages alone would hold nobody who
        makes and deletes all day.
        """
        gone = {
            "servers": await self._until_none(retention.bound_servers),
            "decisions": await self._until_none(decisions.bound),
            "deleted_images": await self._until_none(retention.bound_deleted_images),
        }
        if any(gone.values()):
            log.info("purged records of projects beyond their limits", **gone)
        return gone

    async def _all(self, purge: Purge, days: float) -> int:
        if days < 0:
            return 0
        before = world.now() - timedelta(days=days)
        return await self._until_none(lambda session: purge(session, before))

    async def _until_none(self, some_of: Callable[[Session], Awaitable[int]]) -> int:
        gone = 0
        while True:
            async with self.store.write() as session:
                some = await some_of(session)
            gone += some
            if some == 0:
                return gone
