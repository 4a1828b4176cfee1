"""Security groups: made, shown, changed and deleted."""

from collections import defaultdict
from collections.abc import Sequence

import attrs

from novakit.context import RequestContext
from novakit.left_out import LEFT_OUT, LeftOut, sent
from novakit.network import quotas
from novakit.network.access import project_of, the_own
from novakit.network.refusals import bad, conflict
from novakit.network.resources import ResourceKind, Resources, in_rows
from novakit.network.security_group_rules import default_group_id, ensure_default, make_default, open_egress
from novakit.store.engine import Session
from novakit.store.network import rows, security_groups
from novakit.store.network.ports import PortInGroup
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.touched import Touched


@attrs.frozen(kw_only=True)
class SecurityGroupChange:
    """What of a security group can be changed."""

    name: str | LeftOut = LEFT_OUT
    description: str | LeftOut = LEFT_OUT
    stateful: bool | LeftOut = LEFT_OUT


@attrs.frozen(kw_only=True)
class NewSecurityGroup(SecurityGroupChange):
    """A security group that is asked for."""

    project_id: str | LeftOut | None = LEFT_OUT
    tags: Sequence[str] = ()


@attrs.frozen
class SecurityGroupDetails:
    """A security group with its rules."""

    group: StoredSecurityGroup
    rules: Sequence[StoredRule]


async def details(session: Session, found: Sequence[StoredSecurityGroup]) -> list[SecurityGroupDetails]:
    """Add the rules: one statement for any number of groups."""
    by_group: dict[str, list[StoredRule]] = defaultdict(list)
    for rule in await rows.find(session, StoredRule, security_group_id=rows.ids(found)) if found else ():
        by_group[rule.security_group_id].append(rule)
    return [SecurityGroupDetails(row, by_group[row.id]) for row in found]


async def create(
    session: Session, touched: Touched, context: RequestContext, values: NewSecurityGroup
) -> SecurityGroupDetails:
    """Make a security group that lets everything out and nothing in."""
    project = project_of(context, values.project_id)
    await ensure_default(session, project)
    if (values.name or "").lower() == "default":
        raise conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
    _refuse_stateless(values)
    await quotas.reserve(session, project, "security_group")
    row = StoredSecurityGroup(
        **rows.fresh(
            project_id=project, name=values.name or "", description=values.description or "", tags=values.tags
        ),
        stateful=True,
    )
    rules = open_egress(row.id, project)
    await rows.add(session, [row])
    await rows.add(session, rules)
    return SecurityGroupDetails(row, rules)


def _refuse_stateless(values: SecurityGroupChange) -> None:
    if values.stateful is False:
        raise bad("InvalidInput", "Invalid input for operation: this cloud has stateful security groups only.")


async def update(
    session: Session, touched: Touched, context: RequestContext, key: str, values: SecurityGroupChange
) -> SecurityGroupDetails:
    """Rename a security group; the default one keeps its name."""
    row = await the_own(session, context, StoredSecurityGroup, "security group", key)
    default = key == default_group_id(row.project_id)
    name = values.name
    if name is not LEFT_OUT and name != row.name and (default or name.lower() == "default"):
        raise conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
    _refuse_stateless(values)
    new = {field: value for field, value in sent(values).items() if field != "stateful"}
    await rows.change(session, StoredSecurityGroup, key, **new)
    return (await details(session, await rows.find(session, StoredSecurityGroup, id=key)))[0]


async def delete(session: Session, touched: Touched, context: RequestContext, key: str) -> None:
    """Delete a security group that no port is in. Raises Conflict (SecurityGroupInUse)."""
    row = await the_own(session, context, StoredSecurityGroup, "security group", key)
    if key == default_group_id(row.project_id) and not context.is_admin:
        raise conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
    if await rows.one(session, PortInGroup, group_id=key):
        raise conflict("SecurityGroupInUse", f"Security Group {key} in use.")
    trusting = {rule.security_group_id for rule in await rows.find(session, StoredRule, remote_group_id=key)}
    touched.groups |= trusting - {key}
    await rows.remove(session, StoredSecurityGroup, id=key)


SecurityGroups = Resources[StoredSecurityGroup, SecurityGroupDetails, NewSecurityGroup, SecurityGroupChange]
SECURITY_GROUPS = ResourceKind(
    called="security group",
    stored=StoredSecurityGroup,
    seen_by=security_groups.seen_by,
    listed=in_rows(StoredSecurityGroup, details),
    create=create,
    update=update,
    delete=delete,
    before_looking=make_default,
)
