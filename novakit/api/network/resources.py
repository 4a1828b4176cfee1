"""The resources of the API and what each is made of."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from novakit.api.network import attributes
from novakit.context import RequestContext
from novakit.network import floating_ips, networks, ports, routers, security_groups, subnets
from novakit.network.access import own_rows, visible_networks
from novakit.network.security_group_rules import default_group_id, ensure_default
from novakit.network.service import Networks
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import floating_ips as floating_table
from novakit.store.network.networks import networks as network_table
from novakit.store.network.networks import on_shared_networks
from novakit.store.network.networks import subnets as subnet_table
from novakit.store.network.ports import ports as port_table
from novakit.store.network.routers import routers as router_table
from novakit.store.network.security_groups import rules
from novakit.store.network.security_groups import security_groups as group_table

Views = Callable[[Session, Sequence[Any]], Awaitable[list[dict[str, Any]]]]
Conditions = Callable[[RequestContext], list[sa.ColumnElement[bool]]]


@attrs.frozen(kw_only=True)
class Resource:
    """One collection of the API."""

    one: str
    """The key of one in a body."""
    many: str
    path: str
    called: str
    """What errors call it."""
    table: sa.Table
    attributes: attributes.Attributes
    views: Views
    visible: Conditions
    create: Any
    delete: Any
    update: Any = None
    columns: Mapping[str, str] = attrs.field(factory=dict)
    """Attributes whose filters the database applies, with their columns; `id`, `name` and `project_id` are always."""
    tagged: bool = True

    def conditions(self, filters: Mapping[str, Sequence[str]]) -> list[sa.ColumnElement[bool]]:
        """Make the conditions for the filters that the database can apply."""
        names = {"id": "id", "name": "name", "project_id": "project_id", **self.columns}
        return [
            self.table.c[names[key]].in_(values) for key, values in filters.items() if key in names and "" not in values
        ]


async def _subnet_views(_: Session, found: Sequence[Any]) -> list[dict[str, Any]]:
    return subnets.views(found)


async def _rule_views(_: Session, found: Sequence[Any]) -> list[dict[str, Any]]:
    return security_groups.rule_views(found)


def _visible_subnets(context: RequestContext) -> list[sa.ColumnElement[bool]]:
    own = own_rows(context, subnet_table)
    return [own[0] | on_shared_networks()] if own else []


def _own(table: sa.Table) -> Conditions:
    return lambda context: own_rows(context, table)


NETWORKS = Resource(
    one="network",
    many="networks",
    path="networks",
    called="network",
    table=network_table,
    attributes=attributes.NETWORK,
    views=networks.views,
    visible=visible_networks,
    create=networks.create,
    update=networks.update,
    delete=networks.delete,
)
SUBNETS = Resource(
    one="subnet",
    many="subnets",
    path="subnets",
    called="subnet",
    table=subnet_table,
    attributes=attributes.SUBNET,
    views=_subnet_views,
    visible=_visible_subnets,
    create=subnets.create,
    update=subnets.update,
    delete=subnets.delete,
    columns={"network_id": "network_id", "cidr": "cidr"},
)
PORTS = Resource(
    one="port",
    many="ports",
    path="ports",
    called="port",
    table=port_table,
    attributes=attributes.PORT,
    views=ports.views,
    visible=_own(port_table),
    create=ports.create,
    update=ports.update,
    delete=ports.delete,
    columns={
        "network_id": "network_id",
        "device_id": "device_id",
        "device_owner": "device_owner",
        "mac_address": "mac",
        "status": "status",
    },
)
ROUTERS = Resource(
    one="router",
    many="routers",
    path="routers",
    called="router",
    table=router_table,
    attributes=attributes.ROUTER,
    views=routers.views,
    visible=_own(router_table),
    create=routers.create,
    update=routers.update,
    delete=routers.delete,
)
FLOATING_IPS = Resource(
    one="floatingip",
    many="floatingips",
    path="floatingips",
    called="floating IP",
    table=floating_table,
    attributes=attributes.FLOATING_IP,
    views=floating_ips.views,
    visible=_own(floating_table),
    create=floating_ips.create,
    update=floating_ips.update,
    delete=floating_ips.delete,
    columns={
        "floating_ip_address": "address",
        "port_id": "port_id",
        "router_id": "router_id",
        "floating_network_id": "external_network_id",
    },
)
SECURITY_GROUPS = Resource(
    one="security_group",
    many="security_groups",
    path="security-groups",
    called="security group",
    table=group_table,
    attributes=attributes.SECURITY_GROUP,
    views=security_groups.views,
    visible=_own(group_table),
    create=security_groups.create,
    update=security_groups.update,
    delete=security_groups.delete,
)
RULES = Resource(
    one="security_group_rule",
    many="security_group_rules",
    path="security-group-rules",
    called="security group rule",
    table=rules,
    attributes=attributes.RULE,
    views=_rule_views,
    visible=_own(rules),
    create=security_groups.create_rule,
    delete=security_groups.delete_rule,
    columns={"security_group_id": "security_group_id", "direction": "direction", "remote_group_id": "remote_group_id"},
    tagged=False,
)
RESOURCES = (NETWORKS, SUBNETS, PORTS, ROUTERS, FLOATING_IPS, SECURITY_GROUPS, RULES)


async def prepare(networks: Networks, context: RequestContext, resource: Resource) -> None:
    """Make the project's default security group before somebody looks at the groups."""
    if resource not in (SECURITY_GROUPS, RULES) or not context.project_id:
        return
    project = context.project_id
    async with networks.store.read() as session:
        if await rows.one(session, group_table, id=default_group_id(project)):
            return
    await networks.write(lambda session, _: ensure_default(session, project))
