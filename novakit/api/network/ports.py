"""Ports: what clients send and see."""

from novakit.api.network.bodies.attributes import (
    COMMON,
    Attribute,
    Attributes,
    AttributesBody,
    fixed,
    flag,
    ignored,
    name,
)
from novakit.api.network.bodies.kinds import (
    anything_small,
    boolean,
    dns_label,
    nullable,
    one_of,
    record,
    several,
    text,
    uuid,
)
from novakit.api.network.resources import STANDARD, Resource, View
from novakit.network.allocation.addresses import ip_of
from novakit.network.floating_ips import OWNER as FLOATING
from novakit.network.ports import NewPort, PortChange, PortDetails

PAIR = record({"ip_address": text(64), "mac_address": nullable(text(32))}, ["ip_address"])
ATTRIBUTES: Attributes = {
    **COMMON,
    "network_id": Attribute(check=uuid, put=False, needed=True),
    "admin_state_up": flag,
    "mac_address": Attribute(check=nullable(text(32)), field="mac"),
    "fixed_ips": Attribute(check=nullable(several(fixed))),
    "device_id": name,
    "device_owner": name,
    "security_groups": Attribute(check=nullable(several(uuid))),
    "port_security_enabled": Attribute(check=boolean, field="port_security"),
    "allowed_address_pairs": Attribute(check=nullable(several(PAIR)), field="allowed_pairs"),
    "extra_dhcp_opts": Attribute(check=nullable(several(anything_small, 0)), kept=False),
    "dns_name": Attribute(check=nullable(dns_label), field="hostname"),
    "qos_policy_id": ignored,
    "binding:vnic_type": Attribute(check=nullable(one_of("normal")), field="vnic_type"),
    "binding:host_id": Attribute(check=nullable(text()), field="host"),
    "binding:profile": Attribute(check=nullable(anything_small), field="profile"),
}


def view(one: PortDetails) -> View:
    """Show a port; all in one go, for there are lists of thousands."""
    row = one.port
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "tags": row.tags,
        "revision_number": row.revision,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "network_id": row.network_id,
        "mac_address": row.mac,
        "admin_state_up": row.admin_state_up,
        "status": "N/A" if row.device_owner == FLOATING else row.status,
        "device_id": row.device_id,
        "device_owner": row.device_owner,
        "fixed_ips": [{"subnet_id": subnet, "ip_address": ip_of(number)} for subnet, number in one.addresses],
        "security_groups": list(one.groups),
        "port_security_enabled": row.port_security,
        "allowed_address_pairs": [{"mac_address": mac, "ip_address": ip} for mac, ip in row.allowed_pairs]
        if row.allowed_pairs
        else [],
        "extra_dhcp_opts": [],
        "qos_policy_id": None,
        "dns_name": row.hostname,
        "dns_assignment": [],
        "binding:vnic_type": row.vnic_type,
        "binding:host_id": row.host or "",
        "binding:profile": row.profile,
        "binding:vif_type": one.binding.vif_type if one.binding else "binding_failed" if row.host else "unbound",
        "binding:vif_details": {"port_filter": one.binding.port_filter} if one.binding else {},
    }


PORTS = Resource(
    one="port",
    many="ports",
    path="ports",
    things=lambda service: service.ports,
    new=AttributesBody(kind=NewPort, attributes=ATTRIBUTES, verb="create", what="port"),
    change=AttributesBody(kind=PortChange, attributes=ATTRIBUTES, verb="update", what="port"),
    view=view,
    shown=STANDARD
    | {
        *("network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner", "fixed_ips"),
        *("security_groups", "port_security_enabled", "allowed_address_pairs", "extra_dhcp_opts", "qos_policy_id"),
        *("dns_name", "dns_assignment", "binding:vnic_type", "binding:host_id", "binding:profile"),
        *("binding:vif_type", "binding:vif_details"),
    },
    flags=frozenset({"admin_state_up", "port_security_enabled"}),
    columns={
        "network_id": "network_id",
        "device_id": "device_id",
        "device_owner": "device_owner",
        "mac_address": "mac",
        "status": "status",
    },
)
