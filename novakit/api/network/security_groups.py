"""Security groups: what clients send and see."""

from novakit.api.network.bodies.attributes import COMMON, Attributes, AttributesBody, flag
from novakit.api.network.resources import STANDARD, Resource, ShownResource, standard
from novakit.api.network.security_group_rules import view as rule_view
from novakit.network.security_groups import NewSecurityGroup, SecurityGroupChange, SecurityGroupDetails

ATTRIBUTES: Attributes = {**COMMON, "stateful": flag}


def view(one: SecurityGroupDetails) -> ShownResource:
    """Show a security group with its rules."""
    return {
        **standard(one.group),
        "stateful": one.group.stateful,
        "shared": False,
        "security_group_rules": [rule_view(rule) for rule in one.rules],
    }


SECURITY_GROUPS = Resource(
    one="security_group",
    many="security_groups",
    path="security-groups",
    things=lambda service: service.security_groups,
    new=AttributesBody(
        kind=NewSecurityGroup, attributes=ATTRIBUTES, verb="create", what="security_group", many="security_groups"
    ),
    change=AttributesBody(kind=SecurityGroupChange, attributes=ATTRIBUTES, verb="update", what="security_group"),
    view=view,
    shown=STANDARD | {"stateful", "shared", "security_group_rules"},
    flags=frozenset({"stateful", "shared"}),
)
