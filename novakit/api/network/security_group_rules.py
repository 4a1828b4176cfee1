"""Rules of security groups: what clients send and see."""

from novakit.api.network.bodies.attributes import Attribute, Attributes, AttributesBody, made_once
from novakit.api.network.bodies.kinds import integer, nullable, one_of, spelt, text, uuid
from novakit.api.network.resources import GROUP, STANDARD, Resource, ShownResource, standard
from novakit.network.security_group_rules import NewRule, RuleDetails, default_group_id, normal_prefix

NUMBER = nullable(integer(-1, 65536))
ATTRIBUTES: Attributes = {
    "description": made_once,
    "project_id": Attribute(check=nullable(text()), put=False, kept=False),
    "security_group_id": Attribute(check=uuid, put=False, needed=True),
    "direction": Attribute(check=one_of("ingress", "egress"), put=False, needed=True),
    "ethertype": Attribute(check=nullable(one_of("IPv4", "IPv6")), put=False),
    "protocol": Attribute(check=nullable(spelt(16)), put=False),
    "port_range_min": Attribute(check=NUMBER, field="port_min", put=False),
    "port_range_max": Attribute(check=NUMBER, field="port_max", put=False),
    "remote_ip_prefix": Attribute(check=nullable(text(64)), put=False),
    "remote_group_id": Attribute(check=nullable(uuid), put=False),
    "remote_address_group_id": Attribute(check=nullable(one_of(None)), put=False, kept=False),
}


def view(row: RuleDetails) -> ShownResource:
    """Show a rule."""
    shown = standard(row)
    del shown["name"]
    return {
        **shown,
        "security_group_id": row.security_group_id,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "remote_ip_prefix": row.remote_ip_prefix,
        "remote_group_id": row.remote_group_id,
        "port_range_min": row.port_min,
        "port_range_max": row.port_max,
        "normalized_cidr": normal_prefix(row.remote_ip_prefix),
        "remote_address_group_id": None,
        "belongs_to_default_sg": row.security_group_id == default_group_id(row.project_id),
    }


SECURITY_GROUP_RULES: Resource[RuleDetails, NewRule, NewRule] = Resource(
    one="security_group_rule",
    many="security_group_rules",
    path="security-group-rules",
    things=lambda service: service.security_group_rules,
    new=AttributesBody(
        kind=NewRule, attributes=ATTRIBUTES, verb="create", what="security_group_rule", many="security_group_rules"
    ),
    change=None,
    view=view,
    shown=(STANDARD - {"name"})
    | {
        *("security_group_id", "direction", "ethertype", "protocol", "remote_ip_prefix", "remote_group_id"),
        *("port_range_min", "port_range_max", "normalized_cidr", "remote_address_group_id", "belongs_to_default_sg"),
    },
    flags=frozenset({"belongs_to_default_sg"}),
    columns={"security_group_id": "security_group_id", "direction": "direction", "remote_group_id": "remote_group_id"},
    tagged=False,
    part_of={"security_group_id": GROUP},
)
