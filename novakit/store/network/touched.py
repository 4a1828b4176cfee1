"""What a transaction changed, and which hosts must therefore see a new state of the network."""

from functools import cache

import attrs
import sqlalchemy as sa

from novakit import world
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
    """Raise the wanted revision of exactly the hosts that must see a change. Returns which they are.

    Those that must see more than other members of groups get another shape.
    """
    if touched.nothing():
        return set()
    wanted = {name: list(getattr(touched, name)) for name in _SETS}
    which = tuple(name for name, some in wanted.items() if some)
    values = {"new_shape": world.new_id(), **{name: wanted[name] for name in which}}
    found = set(await session.scalars(_raise(which, gateway=touched.gateway), values))
    if unknown := touched.hosts - found:
        await appear(session, unknown)
    return found | touched.hosts


_SETS = ("hosts", "groups", "members", "networks")


@cache
def _raise(which: tuple[str, ...], *, gateway: bool) -> sa.UpdateBase:
    """Build the statement that raises the revision of the hosts that these sets of `Touched` concern."""
    hosts = network_hosts.c.host
    among: dict[str, sa.BindParameter[object]] = {name: sa.bindparam(name, expanding=True) for name in which}
    bound = sa.select(ports.c.host).where(ports.c.host.is_not(None))
    in_groups = bound.join(port_groups, port_groups.c.port_id == ports.c.id)
    reshaped: list[Condition] = [network_hosts.c.gateway == 1] if gateway else []
    if "hosts" in among:
        reshaped.append(hosts.in_(among["hosts"]))
    if "networks" in among:
        reshaped.append(hosts.in_(bound.where(ports.c.network_id.in_(among["networks"]))))
    if "groups" in among:
        reshaped.append(hosts.in_(in_groups.where(port_groups.c.group_id.in_(among["groups"]))))
    concerned = [*reshaped]
    if "members" in among:
        trusting = sa.select(rules.c.security_group_id).where(rules.c.remote_group_id.in_(among["members"]))
        concerned.append(hosts.in_(in_groups.where(port_groups.c.group_id.in_(trusting))))
    is_of_another = network_hosts.c.shape_of != network_hosts.c.wanted
    shape = sa.case((sa.or_(is_of_another, *reshaped), sa.bindparam("new_shape")), else_=network_hosts.c.shape)
    revision = network_hosts.c.wanted + 1
    higher = sa.update(network_hosts).where(sa.or_(*concerned))
    return higher.values(wanted=revision, shape=shape, shape_of=revision).returning(hosts)
