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
from novakit.api.network.resources import NETWORK, STANDARD, Resource, ShownResource
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


def view(one: PortDetails) -> ShownResource:
    """Show a port; all in one go, for there are lists of thousands."""
    port, binding = one
    # Taken apart at once: to take each value by its name costs a fifth of the whole.
    (
        id,
        project,
        name,
        description,
        tags,
        revision,
        created_at,
        updated_at,
        network,
        mac,
        is_up,
        status,
        device,
        owner,
        hostname,
        host,
        vnic_type,
        profile,
        is_secure,
        pairs,
        addresses,
        groups,
    ) = port
    return {
        "id": id,
        "name": name,
        "description": description,
        "project_id": project,
        "tenant_id": project,
        "tags": tags,
        "revision_number": revision,
        "created_at": created_at,
        "updated_at": updated_at,
        "network_id": network,
        "mac_address": mac,
        "admin_state_up": is_up,
        "status": "N/A" if owner == FLOATING else status,
        "device_id": device,
        "device_owner": owner,
        "fixed_ips": [{"subnet_id": subnet, "ip_address": ip_of(number)} for number, subnet in addresses],
        "security_groups": groups,
        "port_security_enabled": is_secure,
        "allowed_address_pairs": [{"mac_address": address, "ip_address": ip} for address, ip in pairs] if pairs else [],
        "extra_dhcp_opts": [],
        "qos_policy_id": None,
        "dns_name": hostname,
        "dns_assignment": [],
        "binding:vnic_type": vnic_type,
        "binding:host_id": host or "",
        "binding:profile": profile,
        "binding:vif_type": binding.vif_type if binding else "binding_failed" if host else "unbound",
        "binding:vif_details": {"port_filter": binding.port_filter} if binding else {},
    }


PORTS = Resource(
    one="port",
    many="ports",
    path="ports",
    things=lambda service: service.ports,
    new=AttributesBody(kind=NewPort, attributes=ATTRIBUTES, verb="create", what="port", many="ports"),
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
    part_of={"network_id": NETWORK},
)
