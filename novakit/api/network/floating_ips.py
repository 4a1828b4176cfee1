"""Floating IPs: what clients send and see."""

from novakit.api.network.bodies.attributes import NAMELESS, Attribute, Attributes, AttributesBody, ignored
from novakit.api.network.bodies.kinds import nullable, one_of, text, uuid
from novakit.api.network.resources import STANDARD, Resource, ShownResource, standard
from novakit.network.allocation.addresses import ip_of
from novakit.network.floating_ips import FloatingIpChange, FloatingIpDetails, NewFloatingIp

ATTRIBUTES: Attributes = {
    **NAMELESS,
    "floating_network_id": Attribute(check=uuid, put=False, needed=True),
    "floating_ip_address": Attribute(check=nullable(text(64)), put=False),
    "subnet_id": Attribute(check=nullable(uuid), put=False),
    "port_id": Attribute(check=nullable(uuid)),
    "fixed_ip_address": Attribute(check=nullable(text(64))),
    "dns_name": Attribute(check=nullable(one_of("")), put=False, kept=False),
    "dns_domain": Attribute(check=nullable(one_of("")), put=False, kept=False),
    "qos_policy_id": ignored,
}


def view(one: FloatingIpDetails) -> ShownResource:
    """Show a floating IP and what it leads to."""
    row = one.floating_ip
    shown = standard(row)
    del shown["name"]
    return {
        **shown,
        "floating_ip_address": row.address,
        "floating_network_id": row.external_network_id,
        "fixed_ip_address": ip_of(row.fixed_number) if row.port_id and row.fixed_number is not None else None,
        "port_id": row.port_id,
        "router_id": row.router_id,
        "status": row.status,
        "dns_name": "",
        "dns_domain": "",
        "qos_policy_id": None,
        "port_forwardings": [],
        "port_details": _target(one),
    }


def _target(one: FloatingIpDetails) -> ShownResource | None:
    port = one.target
    if port is None:
        return None
    return {
        "name": port.name,
        "network_id": port.network_id,
        "mac_address": port.mac,
        "admin_state_up": port.admin_state_up,
        "status": port.status,
        "device_id": port.device_id,
        "device_owner": port.device_owner,
    }


FLOATING_IPS = Resource(
    one="floatingip",
    many="floatingips",
    path="floatingips",
    things=lambda service: service.floating_ips,
    new=AttributesBody(kind=NewFloatingIp, attributes=ATTRIBUTES, verb="create", what="floatingip", many="floatingips"),
    change=AttributesBody(kind=FloatingIpChange, attributes=ATTRIBUTES, verb="update", what="floatingip"),
    view=view,
    shown=(STANDARD - {"name"})
    | {
        *("floating_ip_address", "floating_network_id", "router_id", "port_id", "fixed_ip_address", "status"),
        *("port_details", "port_forwardings", "dns_name", "dns_domain", "qos_policy_id"),
    },
    columns={
        "floating_ip_address": "address",
        "port_id": "port_id",
        "router_id": "router_id",
        "floating_network_id": "external_network_id",
    },
)
