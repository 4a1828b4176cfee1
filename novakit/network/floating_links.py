"""What happens to floating IPs when the ports they lead to go."""

from collections.abc import Collection

import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.floating_ips import floating_ips

FREE = {"port_id": None, "fixed_number": None, "router_id": None, "status": "DOWN", "fault": None}


async def drop(session: Session, port_ids: Collection[str], numbers: Collection[int] | None = None) -> int:
    """Free the floating IPs that lead to ports, or to some of their addresses; tell how many there were."""
    statement = sa.update(floating_ips).where(floating_ips.c.port_id.in_(list(port_ids)))
    if numbers is not None:
        statement = statement.where(floating_ips.c.fixed_number.in_(list(numbers)))
    return await session.changed(statement.values(**FREE, revision=floating_ips.c.revision + 1, updated_at=world.now()))
