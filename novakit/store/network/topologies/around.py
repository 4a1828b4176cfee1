"""What hosts must know of what stands around their guests' ports."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.ports import addresses, port_groups, ports
from novakit.store.schema import JsonRows


class AddressOnNetwork(NamedTuple):
    """An address in use on a network, with what its port is called."""

    port_id: str
    network_id: str
    mac: str
    hostname: str
    subnet_id: str
    number: int


_ADDRESSES_ON = (
    sa.select(
        *(ports.c[name] for name in ("id", "network_id", "mac", "hostname")),
        addresses.c.subnet_id,
        addresses.c.number,
    )
    .join(addresses, addresses.c.port_id == ports.c.id)
    .where(ports.c.network_id.in_(sa.bindparam("networks", expanding=True)))
    .order_by(ports.c.network_id, addresses.c.number)
)


async def addresses_on(session: Session, network_ids: Collection[str]) -> list[AddressOnNetwork]:
    """Fetch every address of networks with the MAC and the name of its port."""
    return [*map(AddressOnNetwork._make, await session.rows(_ADDRESSES_ON, {"networks": list(network_ids)}))]


_GROUP_MEMBERS = (
    # Not shared: of a large group each list is read once, and has another member the next time.
    sa.select(port_groups.c.group_id, sa.type_coerce(JsonRows(addresses.c.number), sa.JSON()))
    .join(addresses, addresses.c.port_id == port_groups.c.port_id)
    .where(port_groups.c.group_id.in_(sa.bindparam("groups", expanding=True)))
    .group_by(port_groups.c.group_id)
)


async def group_members(session: Session, group_ids: Collection[str]) -> dict[str, Sequence[int]]:
    """Fetch, by security group, the addresses of every port in it, each once, the lowest first."""
    found = await session.rows(_GROUP_MEMBERS, {"groups": list(group_ids)})
    return {group_id: sorted({number for (number,) in numbers}) for group_id, numbers in found}
