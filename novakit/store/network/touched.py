"""What a transaction changed, and which hosts must therefore see a new state of the network."""

from collections.abc import Sequence

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.hosts import appear, network_hosts
from novakit.store.network.ports import port_groups, ports
from novakit.store.network.rows import Condition
from novakit.store.network.security_group_rules import rules


@attrs.define(kw_only=True)
class Touched:
    """What a transaction changed, in the terms by which hosts are found that must see it."""

    hosts: set[str] = attrs.field(factory=set)
    gateway: bool = False
    """Whether the host that runs routers and DHCP must see it."""
    groups: set[str] = attrs.field(factory=set)
    """Security groups whose rules changed."""
    members: set[str] = attrs.field(factory=set)
    """Security groups whose members or members' addresses changed."""
    networks: set[str] = attrs.field(factory=set)
    """Networks whose subnets or attributes changed."""

    def nothing(self) -> bool:
        """Return whether no host need know."""
        return not (self.hosts or self.gateway or self.groups or self.members or self.networks)


async def touch(session: Session, touched: Touched) -> set[str]:
    """Raise the wanted revision of exactly the hosts that must see a change. Returns which they are."""
    if touched.nothing():
        return set()
    conditions: list[Condition] = []
    hosts = network_hosts.c.host
    if touched.hosts:
        conditions.append(hosts.in_(list(touched.hosts)))
    if touched.gateway:
        conditions.append(network_hosts.c.gateway == 1)
    bound = sa.select(ports.c.host).where(ports.c.host.is_not(None))
    if touched.networks:
        conditions.append(hosts.in_(bound.where(ports.c.network_id.in_(list(touched.networks)))))
    if touched.groups:
        conditions.append(hosts.in_(_in_groups(bound, list(touched.groups))))
    if touched.members:
        trusting = sa.select(rules.c.security_group_id).where(rules.c.remote_group_id.in_(list(touched.members)))
        conditions.append(hosts.in_(_in_groups(bound, trusting)))
    statement = sa.update(network_hosts).where(sa.or_(*conditions)).values(wanted=network_hosts.c.wanted + 1)
    found = set(await session.scalars(statement.returning(hosts)))
    if unknown := touched.hosts - found:
        await appear(session, unknown)
    return found | touched.hosts


Bound = sa.Select[tuple[str | None]]


def _in_groups(bound: Bound, groups: Sequence[str] | sa.Select[tuple[str]]) -> Bound:
    return bound.join(port_groups, port_groups.c.port_id == ports.c.id).where(port_groups.c.group_id.in_(groups))
