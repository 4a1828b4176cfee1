"""The names of what each resource shows: what lists may be filtered and sorted by, also where they are empty."""

from collections.abc import Mapping

_STANDARD = frozenset(
    {"id", "name", "description", "project_id", "tenant_id", "tags", "revision_number", "created_at", "updated_at"}
)

SHOWN: Mapping[str, frozenset[str]] = {
    "networks": _STANDARD
    | {
        *("admin_state_up", "status", "shared", "subnets", "mtu", "port_security_enabled", "router:external"),
        *("is_default", "dns_domain", "availability_zone_hints", "availability_zones", "ipv4_address_scope"),
        *("ipv6_address_scope", "qos_policy_id", "vlan_transparent"),
        *("provider:network_type", "provider:physical_network", "provider:segmentation_id"),
    },
    "subnets": _STANDARD
    | {
        *("network_id", "cidr", "ip_version", "gateway_ip", "enable_dhcp", "dns_nameservers", "host_routes"),
        *("allocation_pools", "ipv6_address_mode", "ipv6_ra_mode", "subnetpool_id", "segment_id", "service_types"),
        "dns_publish_fixed_ip",
    },
    "ports": _STANDARD
    | {
        *("network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner", "fixed_ips"),
        *("security_groups", "port_security_enabled", "allowed_address_pairs", "extra_dhcp_opts", "qos_policy_id"),
        *("dns_name", "dns_assignment", "binding:vnic_type", "binding:host_id", "binding:profile"),
        *("binding:vif_type", "binding:vif_details"),
    },
    "routers": _STANDARD
    | {
        *("admin_state_up", "status", "external_gateway_info", "routes", "availability_zone_hints"),
        *("availability_zones", "distributed", "ha", "flavor_id"),
    },
    "floatingips": (_STANDARD - {"name"})
    | {
        *("floating_ip_address", "floating_network_id", "router_id", "port_id", "fixed_ip_address", "status"),
        *("port_details", "port_forwardings", "dns_name", "dns_domain", "qos_policy_id"),
    },
    "security_groups": _STANDARD | {"stateful", "shared", "security_group_rules"},
    "security_group_rules": (_STANDARD - {"name"})
    | {
        *("security_group_id", "direction", "ethertype", "protocol", "remote_ip_prefix", "remote_group_id"),
        *("port_range_min", "port_range_max", "normalized_cidr", "remote_address_group_id", "belongs_to_default_sg"),
    },
}
"""By the plural of the resource; a test holds it to what is really shown."""

FLAGS = frozenset(
    {
        *("admin_state_up", "shared", "router:external", "is_default", "port_security_enabled", "enable_dhcp"),
        *("stateful", "distributed", "ha", "belongs_to_default_sg", "dns_publish_fixed_ip", "vlan_transparent"),
    }
)
"""Those that are true or false; a filter by one of them takes the usual words for both."""
