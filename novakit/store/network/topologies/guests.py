"""What hosts must know of their guests' ports."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from novakit.store.compute.strangers import strangers
from novakit.store.engine import Session
from novakit.store.network.hosts import network_hosts
from novakit.store.network.ports import addresses, port_groups, ports
from novakit.store.schema import shared


class GuestPortLine(NamedTuple):
    """What a host must know of a guest's port: a line for each of its addresses in each of its security groups."""

    id: str
    network_id: str
    server_id: str
    mac: str
    allowed_pairs: Sequence[tuple[str, str]]
    port_security: bool
    admin_state_up: bool
    subnet_id: str | None
    number: int | None
    group_id: str | None


_GUESTS = (
    sa.select(
        network_hosts.c.host,
        network_hosts.c.wanted,
        sa.case((network_hosts.c.shape_of == network_hosts.c.wanted, network_hosts.c.shape), else_=""),
        network_hosts.c.gateway,
        sa.exists(sa.select(strangers.c.host)),
        *(ports.c[name] for name in ("id", "network_id", "server_id", "mac")),
        shared(ports.c.allowed_pairs),
        ports.c.port_security,
        ports.c.admin_state_up,
        addresses.c.subnet_id,
        addresses.c.number,
        port_groups.c.group_id,
    )
    .select_from(network_hosts)
    .outerjoin(
        ports,
        (ports.c.host == network_hosts.c.host)
        & ports.c.server_id.is_not(None)
        & sa.or_(
            network_hosts.c.shape_of != network_hosts.c.wanted,
            (network_hosts.c.host + ":" + network_hosts.c.shape).not_in(sa.bindparam("shapes", expanding=True)),
        ),
    )
    .outerjoin(addresses, addresses.c.port_id == ports.c.id)
    .outerjoin(port_groups, port_groups.c.port_id == ports.c.id)
    .where(network_hosts.c.host.in_(sa.bindparam("hosts", expanding=True)))
    .order_by(ports.c.created_at, ports.c.id, addresses.c.number, port_groups.c.group_id)
)


async def guests_of(
    session: Session, hosts: Collection[str], shapes: Mapping[str, str]
) -> list[tuple[str, int, str, int | None, bool, GuestPortLine | None]]:
    """Fetch hosts with their wanted revisions and shapes, whether they are the gateway, and their servers' ports.

    Beside these stands whether there are strangers, on whichever host.

    The oldest port comes first. A host without a port stands there once, without one, and so does one that has the
    shape that `shapes` says of it; one that is not known does not. A shape that says nothing is empty.
    """
    # One statement: the pairs of address and group are one for almost every port.
    values = {"hosts": list(hosts), "shapes": [f"{host}:{shape}" for host, shape in shapes.items()] or [""]}
    found = await session.rows(_GUESTS, values) if hosts else ()
    return [(*row[:5], None if row[5] is None else GuestPortLine._make(row[5:])) for row in found]
