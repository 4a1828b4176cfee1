"""Who may do what on the network: the rules of the network API, their public names and defaults."""

from collections.abc import Mapping

from novakit.policy import PROJECT, PolicyRule, table

ADMIN = "rule:admin_only"
ADMIN_OR_SERVICE = "(rule:admin_only) or (rule:service_api)"
MANAGER = "(rule:admin_only) or (role:manager and project_id:%(project_id)s)"
MEMBER = "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
READER = "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
MEMBER_OR_SERVICE = "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:service_api"
SERVICE_OR_MEMBER = "(rule:admin_only) or (rule:service_api) or role:member and project_id:%(project_id)s"
NETWORK_MEMBER = "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
NETWORK_MEMBER_OR_SERVICE = "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
NETWORK_MEMBER_OR_SHARED = (
    "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared"
)
NO_NETWORK_DEVICE = (
    "not rule:network_device or (rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
)
TAGS_MEMBER = "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:context_is_advsvc"
SUBNET_MEMBER = "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"

_BASE = table(
    ("context_is_admin", "role:admin", (), ""),
    ("context_with_global_access", "!", (), ""),
    # Not role:service: what has that role here is a compute host, and no host changes a network by this API.
    ("service_api", "!", (), ""),
    ("owner", "project_id:%(project_id)s", (), ""),
    ("admin_or_owner", "rule:context_is_admin or rule:owner", (), ""),
    ("context_is_advsvc", "role:advsvc", (), ""),
    ("admin_or_network_owner", "rule:context_is_admin or project_id:%(network:project_id)s", (), ""),
    ("admin_owner_or_network_owner", "rule:owner or rule:admin_or_network_owner", (), ""),
    ("network_owner", "project_id:%(network:project_id)s", (), ""),
    ("admin_only", "rule:context_is_admin", (), ""),
    ("regular_user", "", (), ""),
    ("shared", "field:networks:shared=True", (), ""),
    ("admin_or_ext_parent_owner", "rule:context_is_admin or project_id:%(ext_parent:project_id)s", (), ""),
    ("ext_parent_owner", "project_id:%(ext_parent:project_id)s", (), ""),
    ("sg_owner", "project_id:%(security_group:project_id)s", (), ""),
    ("external", "field:networks:router:external=True", (), ""),
    ("network_device", "field:port:device_owner=~^network:", (), ""),
    # No default here refers to these three; the public one of delete_port does, and so may an operator's.
    ("compute_device", "field:port:device_owner=~^compute:", (), ""),
    ("baremetal_device", "field:port:device_owner=~^baremetal:", (), ""),
    ("manila_device", "field:port:device_owner=~^manila:", (), ""),
    ("admin_or_data_plane_int", "rule:context_is_admin or role:data_plane_integrator", (), ""),
    ("admin_or_sg_owner", "rule:context_is_admin or project_id:%(security_group:project_id)s", (), ""),
    ("admin_owner_or_sg_owner", "rule:owner or rule:admin_or_sg_owner", (), ""),
    ("shared_security_group", "field:security_groups:shared=True", (), ""),
    ("rule_default_sg", "field:security_group_rules:belongs_to_default_sg=True", (), ""),
    ("external_network", "field:subnets:router:external=True", (), ""),
)
_AVAILABILITY_ZONE = table(
    ("get_availability_zone", "role:reader", PROJECT, "GET /availability_zones"),
)
_FLOATINGIP = table(
    ("create_floatingip", MEMBER, PROJECT, "POST /floatingips"),
    ("create_floatingip:floating_ip_address", MANAGER, PROJECT, "POST /floatingips"),
    ("create_floatingip:tags", MEMBER, PROJECT, "POST /floatingips"),
    ("get_floatingip", READER, PROJECT, "GET /floatingips; GET /floatingips/{id}"),
    ("get_floatingip:tags", READER, PROJECT, "GET /floatingips/{id}/tags; GET /floatingips/{id}/tags/{tag}"),
    ("update_floatingip", MEMBER, PROJECT, "PUT /floatingips/{id}"),
    ("update_floatingip:tags", MEMBER, PROJECT, "PUT /floatingips/{id}/tags; PUT /floatingips/{id}/tags/{tag}"),
    ("delete_floatingip", MEMBER, PROJECT, "DELETE /floatingips/{id}"),
    ("delete_floatingip:tags", MEMBER, PROJECT, "DELETE /floatingips/{id}/tags; DELETE /floatingips/{id}/tags/{tag}"),
)
_NETWORK = table(
    ("create_network", MEMBER, PROJECT, "POST /networks"),
    ("create_network:shared", ADMIN, PROJECT, "POST /networks"),
    ("create_network:router:external", ADMIN, PROJECT, "POST /networks"),
    ("create_network:is_default", ADMIN, PROJECT, "POST /networks"),
    ("create_network:port_security_enabled", MEMBER, PROJECT, "POST /networks"),
    ("create_network:provider:network_type", ADMIN, PROJECT, "POST /networks"),
    ("create_network:provider:physical_network", ADMIN, PROJECT, "POST /networks"),
    ("create_network:provider:segmentation_id", ADMIN, PROJECT, "POST /networks"),
    ("create_network:tags", MEMBER, PROJECT, "POST /networks"),
    (
        "get_network",
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:service_api"
        " or rule:shared or rule:external or rule:context_is_advsvc",
        PROJECT,
        "GET /networks; GET /networks/{id}",
    ),
    ("get_network:provider:network_type", ADMIN, PROJECT, "GET /networks; GET /networks/{id}"),
    ("get_network:provider:physical_network", ADMIN, PROJECT, "GET /networks; GET /networks/{id}"),
    ("get_network:provider:segmentation_id", ADMIN, PROJECT, "GET /networks; GET /networks/{id}"),
    (
        "get_network:tags",
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared"
        " or rule:external or rule:context_is_advsvc",
        PROJECT,
        "GET /networks/{id}/tags; GET /networks/{id}/tags/{tag}",
    ),
    ("update_network", MEMBER, PROJECT, "PUT /networks/{id}"),
    ("update_network:shared", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:provider:network_type", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:provider:physical_network", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:provider:segmentation_id", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:router:external", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:is_default", ADMIN, PROJECT, "PUT /networks/{id}"),
    ("update_network:port_security_enabled", MEMBER, PROJECT, "PUT /networks/{id}"),
    ("update_network:tags", MEMBER, PROJECT, "PUT /networks/{id}/tags; PUT /networks/{id}/tags/{tag}"),
    ("delete_network", MEMBER, PROJECT, "DELETE /networks/{id}"),
    ("delete_network:tags", MEMBER, PROJECT, "DELETE /networks/{id}/tags; DELETE /networks/{id}/tags/{tag}"),
)
_PORT = table(
    (
        "create_port",
        "(rule:admin_only) or (rule:service_api) or (role:member and (rule:network_owner or rule:shared))",
        PROJECT,
        "POST /ports",
    ),
    ("create_port:device_id", MEMBER_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:device_owner", NO_NETWORK_DEVICE, PROJECT, "POST /ports"),
    ("create_port:mac_address", NETWORK_MEMBER, PROJECT, "POST /ports"),
    ("create_port:fixed_ips", NETWORK_MEMBER_OR_SHARED, PROJECT, "POST /ports"),
    ("create_port:fixed_ips:ip_address", NETWORK_MEMBER, PROJECT, "POST /ports"),
    ("create_port:fixed_ips:subnet_id", NETWORK_MEMBER_OR_SHARED, PROJECT, "POST /ports"),
    ("create_port:port_security_enabled", NETWORK_MEMBER, PROJECT, "POST /ports"),
    ("create_port:binding:host_id", ADMIN_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:binding:profile", "rule:service_api", PROJECT, "POST /ports"),
    ("create_port:binding:vnic_type", MEMBER_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:allowed_address_pairs", NETWORK_MEMBER_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:allowed_address_pairs:mac_address", NETWORK_MEMBER_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:allowed_address_pairs:ip_address", NETWORK_MEMBER_OR_SERVICE, PROJECT, "POST /ports"),
    ("create_port:tags", TAGS_MEMBER, PROJECT, "POST /ports"),
    (
        "get_port",
        "(rule:admin_only) or (rule:service_api) or role:reader and rule:network_owner"
        " or role:reader and project_id:%(project_id)s",
        PROJECT,
        "GET /ports; GET /ports/{id}",
    ),
    ("get_port:binding:vif_type", ADMIN_OR_SERVICE, PROJECT, "GET /ports; GET /ports/{id}"),
    ("get_port:binding:vif_details", ADMIN_OR_SERVICE, PROJECT, "GET /ports; GET /ports/{id}"),
    ("get_port:binding:host_id", ADMIN_OR_SERVICE, PROJECT, "GET /ports; GET /ports/{id}"),
    ("get_port:binding:profile", ADMIN_OR_SERVICE, PROJECT, "GET /ports; GET /ports/{id}"),
    (
        "get_port:tags",
        "rule:context_is_advsvc or (rule:admin_only) or (role:reader and rule:network_owner)"
        " or role:reader and project_id:%(project_id)s",
        PROJECT,
        "GET /ports/{id}/tags; GET /ports/{id}/tags/{tag}",
    ),
    ("update_port", SERVICE_OR_MEMBER, PROJECT, "PUT /ports/{id}"),
    ("update_port:device_id", MEMBER_OR_SERVICE, PROJECT, "PUT /ports/{id}"),
    ("update_port:device_owner", NO_NETWORK_DEVICE, PROJECT, "PUT /ports/{id}"),
    (
        "update_port:mac_address",
        "(rule:admin_only) or (rule:service_api) or role:manager and rule:network_owner",
        PROJECT,
        "PUT /ports/{id}",
    ),
    ("update_port:fixed_ips", NETWORK_MEMBER, PROJECT, "PUT /ports/{id}"),
    ("update_port:fixed_ips:ip_address", NETWORK_MEMBER, PROJECT, "PUT /ports/{id}"),
    ("update_port:fixed_ips:subnet_id", NETWORK_MEMBER_OR_SHARED, PROJECT, "PUT /ports/{id}"),
    ("update_port:port_security_enabled", NETWORK_MEMBER, PROJECT, "PUT /ports/{id}"),
    ("update_port:binding:host_id", ADMIN_OR_SERVICE, PROJECT, "PUT /ports/{id}"),
    ("update_port:binding:profile", "rule:service_api", PROJECT, "PUT /ports/{id}"),
    ("update_port:binding:vnic_type", SERVICE_OR_MEMBER, PROJECT, "PUT /ports/{id}"),
    ("update_port:allowed_address_pairs", NETWORK_MEMBER_OR_SERVICE, PROJECT, "PUT /ports/{id}"),
    ("update_port:allowed_address_pairs:mac_address", NETWORK_MEMBER_OR_SERVICE, PROJECT, "PUT /ports/{id}"),
    ("update_port:allowed_address_pairs:ip_address", NETWORK_MEMBER_OR_SERVICE, PROJECT, "PUT /ports/{id}"),
    ("update_port:tags", TAGS_MEMBER, PROJECT, "PUT /ports/{id}/tags; PUT /ports/{id}/tags/{tag}"),
    (
        "delete_port",
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
        " or role:member and project_id:%(project_id)s",
        PROJECT,
        "DELETE /ports/{id}",
    ),
    (
        "delete_port:tags",
        "rule:context_is_advsvc or role:member and project_id:%(project_id)s or (rule:admin_only)"
        " or (role:member and rule:network_owner)",
        PROJECT,
        "DELETE /ports/{id}/tags; DELETE /ports/{id}/tags/{tag}",
    ),
)
_QUOTAS = table(
    (
        "get_quota",
        READER,
        PROJECT,
        "GET /quotas/{project_id}; GET /quotas/{project_id}/default; GET /quotas/{project_id}/details; "
        "GET /quotas/{project_id}/details.json",
    ),
    ("update_quota", ADMIN, PROJECT, "PUT /quotas/{project_id}"),
    ("delete_quota", ADMIN, PROJECT, "DELETE /quotas/{project_id}"),
)
_ROUTER = table(
    ("create_router", MEMBER, PROJECT, "POST /routers"),
    ("create_router:distributed", ADMIN, PROJECT, "POST /routers"),
    ("create_router:ha", ADMIN, PROJECT, "POST /routers"),
    ("create_router:external_gateway_info", MEMBER, PROJECT, "POST /routers"),
    ("create_router:external_gateway_info:network_id", MEMBER, PROJECT, "POST /routers"),
    ("create_router:external_gateway_info:enable_snat", ADMIN, PROJECT, "POST /routers"),
    ("create_router:external_gateway_info:external_fixed_ips", ADMIN, PROJECT, "POST /routers"),
    ("create_router:tags", MEMBER, PROJECT, "POST /routers"),
    ("get_router", READER, PROJECT, "GET /routers; GET /routers/{id}"),
    ("get_router:distributed", ADMIN, PROJECT, "GET /routers; GET /routers/{id}"),
    ("get_router:ha", ADMIN, PROJECT, "GET /routers; GET /routers/{id}"),
    ("get_router:tags", READER, PROJECT, "GET /routers/{id}/tags; GET /routers/{id}/tags/{tag}"),
    ("update_router", MEMBER, PROJECT, "PUT /routers/{id}"),
    ("update_router:distributed", ADMIN, PROJECT, "PUT /routers/{id}"),
    ("update_router:ha", ADMIN, PROJECT, "PUT /routers/{id}"),
    ("update_router:external_gateway_info", MEMBER, PROJECT, "PUT /routers/{id}"),
    ("update_router:external_gateway_info:network_id", MEMBER, PROJECT, "PUT /routers/{id}"),
    ("update_router:external_gateway_info:enable_snat", ADMIN, PROJECT, "PUT /routers/{id}"),
    ("update_router:external_gateway_info:external_fixed_ips", ADMIN, PROJECT, "PUT /routers/{id}"),
    ("update_router:tags", MEMBER, PROJECT, "PUT /routers/{id}/tags; PUT /routers/{id}/tags/{tag}"),
    ("delete_router", MEMBER, PROJECT, "DELETE /routers/{id}"),
    ("delete_router:tags", MEMBER, PROJECT, "DELETE /routers/{id}/tags; DELETE /routers/{id}/tags/{tag}"),
    ("add_router_interface", MEMBER, PROJECT, "PUT /routers/{id}/add_router_interface"),
    ("remove_router_interface", MEMBER, PROJECT, "PUT /routers/{id}/remove_router_interface"),
)
_SECURITY_GROUP = table(
    ("create_security_group", MEMBER, PROJECT, "POST /security-groups"),
    ("create_security_group:tags", MEMBER, PROJECT, "POST /security-groups"),
    (
        "get_security_group",
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group",
        PROJECT,
        "GET /security-groups; GET /security-groups/{id}",
    ),
    (
        "get_security_group:tags",
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group",
        PROJECT,
        "GET /security-groups/{id}/tags; GET /security-groups/{id}/tags/{tag}",
    ),
    ("update_security_group", MEMBER, PROJECT, "PUT /security-groups/{id}"),
    (
        "update_security_group:tags",
        MEMBER,
        PROJECT,
        "PUT /security-groups/{id}/tags; PUT /security-groups/{id}/tags/{tag}",
    ),
    ("delete_security_group", MEMBER, PROJECT, "DELETE /security-groups/{id}"),
    (
        "delete_security_group:tags",
        MEMBER,
        PROJECT,
        "DELETE /security-groups/{id}/tags; DELETE /security-groups/{id}/tags/{tag}",
    ),
    (
        "create_security_group_rule",
        "(rule:admin_only) or (role:member and rule:sg_owner)",
        PROJECT,
        "POST /security-group-rules",
    ),
    (
        "get_security_group_rule",
        "(rule:admin_only) or (role:reader and rule:sg_owner)",
        PROJECT,
        "GET /security-group-rules; GET /security-group-rules/{id}",
    ),
    (
        "delete_security_group_rule",
        "(rule:admin_only) or (role:member and rule:sg_owner)",
        PROJECT,
        "DELETE /security-group-rules/{id}",
    ),
)
_SUBNET = table(
    ("create_subnet", "(rule:admin_only) or (role:member and rule:network_owner)", PROJECT, "POST /subnets"),
    ("create_subnet:tags", SUBNET_MEMBER, PROJECT, "POST /subnets"),
    (
        "get_subnet",
        "role:reader and project_id:%(project_id)s or rule:shared or rule:external_network"
        " or (rule:admin_only) or (role:reader and rule:network_owner) or rule:service_api",
        PROJECT,
        "GET /subnets; GET /subnets/{id}",
    ),
    (
        "get_subnet:tags",
        "role:reader and project_id:%(project_id)s or rule:shared or rule:external_network"
        " or (rule:admin_only) or (role:reader and rule:network_owner)",
        PROJECT,
        "GET /subnets/{id}/tags; GET /subnets/{id}/tags/{tag}",
    ),
    ("update_subnet", SUBNET_MEMBER, PROJECT, "PUT /subnets/{id}"),
    ("update_subnet:tags", SUBNET_MEMBER, PROJECT, "PUT /subnets/{id}/tags; PUT /subnets/{id}/tags/{tag}"),
    ("delete_subnet", SUBNET_MEMBER, PROJECT, "DELETE /subnets/{id}"),
    ("delete_subnet:tags", SUBNET_MEMBER, PROJECT, "DELETE /subnets/{id}/tags; DELETE /subnets/{id}/tags/{tag}"),
)

RULES: Mapping[str, PolicyRule] = {
    **_BASE,
    **_AVAILABILITY_ZONE,
    **_FLOATINGIP,
    **_NETWORK,
    **_PORT,
    **_QUOTAS,
    **_ROUTER,
    **_SECURITY_GROUP,
    **_SUBNET,
    **table(
        # No public rule: whoever has a token may know what the service is made of, and which quotas are the usual ones.
        ("novakit:extensions", "@", (), "GET /extensions; GET /extensions/{alias}"),
        ("novakit:security_group_rule:update", MEMBER, PROJECT, "PUT /security-group-rules/{id}"),
        ("novakit:quotas:list", ADMIN, PROJECT, "GET /quotas"),
    ),
}
"""Every rule that a route of the network API or its handler asks, and the rules that these refer to."""
