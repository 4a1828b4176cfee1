"""Networks: what clients send and see."""

from novakit.api.network.bodies.attributes import (
    COMMON,
    Attribute,
    Attributes,
    AttributesBody,
    flag,
    ignored,
    name,
    zones,
)
from novakit.api.network.bodies.kinds import boolean, integer, nullable, one_of, text
from novakit.api.network.resources import STANDARD, Resource, ShownResource, standard
from novakit.network.networks import NetworkChange, NetworkDetails, NewNetwork

ATTRIBUTES: Attributes = {
    **COMMON,
    "admin_state_up": flag,
    "shared": flag,
    "router:external": Attribute(check=boolean, field="external"),
    "is_default": flag,
    "mtu": Attribute(check=integer(0, 65535)),
    "port_security_enabled": Attribute(check=boolean, field="port_security"),
    "dns_domain": name,
    "availability_zone_hints": zones,
    "qos_policy_id": ignored,
    "provider:network_type": Attribute(check=nullable(one_of("vxlan", "flat")), field="network_type", put=False),
    "provider:physical_network": Attribute(check=nullable(text()), field="physical_network", put=False),
    "provider:segmentation_id": Attribute(check=nullable(integer(1, 16777215)), field="segment", put=False),
}


def view(one: NetworkDetails) -> ShownResource:
    """Show a network."""
    row = one.network
    return {
        **standard(row),
        "admin_state_up": row.admin_state_up,
        "status": "ACTIVE",
        "shared": row.shared,
        "subnets": list(one.subnet_ids),
        "mtu": row.mtu,
        "port_security_enabled": row.port_security,
        "router:external": row.external,
        "is_default": row.is_default,
        "dns_domain": row.dns_domain,
        "availability_zone_hints": [],
        "availability_zones": ["nova"],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "qos_policy_id": None,
        "vlan_transparent": None,
        "provider:network_type": row.network_type,
        "provider:physical_network": row.physical_network,
        "provider:segmentation_id": None if row.network_type == "flat" else row.segment,
    }


NETWORKS = Resource(
    one="network",
    many="networks",
    path="networks",
    things=lambda service: service.networks,
    new=AttributesBody(kind=NewNetwork, attributes=ATTRIBUTES, verb="create", what="network", many="networks"),
    change=AttributesBody(kind=NetworkChange, attributes=ATTRIBUTES, verb="update", what="network"),
    view=view,
    shown=STANDARD
    | {
        *("admin_state_up", "status", "shared", "subnets", "mtu", "port_security_enabled", "router:external"),
        *("is_default", "dns_domain", "availability_zone_hints", "availability_zones", "ipv4_address_scope"),
        *("ipv6_address_scope", "qos_policy_id", "vlan_transparent"),
        *("provider:network_type", "provider:physical_network", "provider:segmentation_id"),
    },
    flags=frozenset(
        {
            *("admin_state_up", "shared", "router:external", "is_default", "port_security_enabled"),
            "vlan_transparent",
        }
    ),
)
