"""Things on hosts, and operations, that no row accounts for and that are no guest: named, and removed on request.

The idea: what a guest had on its host can outlive the guest, such as a disk without a domain; no report tells of it,
and nothing that is unknown is removed by itself. An operation whose server is gone may be one that is not understood.
The invariant: only what the audit finds at this moment is removed, and by the host only where it has no guest of the
id and builds none, which it looks at under the lock of that id. What lost deployments have left of their networks is
removed by the network driver, which looks again whether it is nobody's and unused.
"""

import attrs
import structlog

from novakit.bus import BusError
from novakit.calls.conductor import AuditFinding, Remains, Settled
from novakit.conductor.audit import Audit
from novakit.conductor.parts import Parts
from novakit.store import operations

log = structlog.get_logger(__name__)


@attrs.frozen
class RemainsDesk:
    """Carries out an operator's word about what remains of nobody."""

    parts: Parts

    async def listed(self) -> Remains:
        """Look at all hosts once, and list what may be removed."""
        audit = Audit(self.parts.store, self.parts.images, self.parts.hosts, pauses=())
        report = await audit.run()
        things = tuple(each for each in report.orphaned if each.is_removable)
        return Remains(things=things, unchecked=report.unchecked, untold=report.untold)

    async def remove(self, id: str, host: str | None) -> Settled:
        """Remove all that a host has of an id, or end an operation whose server is gone."""
        found = [each for each in (await self.listed()).things if id in (each.owner, each.name)]
        if any(each.kind == "operation" for each in found):
            return await self._end(next(each for each in found if each.kind == "operation"))
        hosts = sorted({each.host for each in found if each.host and host in (None, each.host)})
        if len(hosts) != 1:
            return Settled(found=bool(hosts), why=f"It is on {' and '.join(hosts)}; name the host." if hosts else "")
        (at,) = hosts
        named = next(each for each in found if each.host == at)
        owner = str(named.owner)
        log.warning("removing what belongs to nobody, as an operator asked", host=at, owner=owner, things=len(found))
        try:
            if named.is_abandoned:
                await self.parts.hosts.at(at).remove_abandoned(owner)
            else:
                await self.parts.hosts.at(at).remove_remains(owner)
        except BusError as error:
            return Settled(why=f"{at} did not remove it: {error}")
        left = [each.name for each in (await self.listed()).things if each.owner == owner and each.host == at]
        return Settled(why=f"{at} still has {', '.join(left[:5])}; its agent's log says more." if left else "")

    async def _end(self, found: AuditFinding) -> Settled:
        """Have an operation end as cancelled: whoever leases it next reads nothing else of it."""
        log.warning("ending an operation, as an operator asked", operation=found.name, server=found.owner)
        async with self.parts.store.write() as session:
            await operations.cancel(session, str(found.owner))
        return Settled()
