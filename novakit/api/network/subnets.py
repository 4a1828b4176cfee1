"""Subnets: what clients send and see."""

from novakit.api.network.bodies.attributes import (
    COMMON,
    Attribute,
    Attributes,
    AttributesBody,
    flag,
    ignored,
    made_once,
    route,
)
from novakit.api.network.bodies.kinds import integer, nullable, one_of, record, several, text, uuid
from novakit.api.network.resources import NETWORK, STANDARD, Resource, ShownResource, standard
from novakit.api.network.resources import route as route_view
from novakit.network.allocation.addresses import ip_of
from novakit.network.subnets import NewSubnet, SubnetChange, SubnetDetails

ATTRIBUTES: Attributes = {
    **COMMON,
    "network_id": Attribute(check=uuid, put=False, needed=True),
    "ip_version": Attribute(check=integer(4, 6), put=False),
    "cidr": made_once,
    "gateway_ip": Attribute(check=nullable(text(64))),
    "allocation_pools": Attribute(
        check=nullable(several(record({"start": text(64), "end": text(64)}, ["start", "end"])))
    ),
    "dns_nameservers": Attribute(check=nullable(several(text(64)))),
    "host_routes": Attribute(check=nullable(several(route))),
    "enable_dhcp": flag,
    "subnetpool_id": Attribute(check=nullable(one_of(None)), put=False, kept=False),
    "prefixlen": Attribute(check=nullable(one_of(None)), put=False, kept=False),
    "ipv6_address_mode": Attribute(check=nullable(one_of(None)), put=False, kept=False),
    "ipv6_ra_mode": Attribute(check=nullable(one_of(None)), put=False, kept=False),
    "segment_id": ignored,
    "service_types": Attribute(check=several(text(), 0), kept=False),
}


def view(row: SubnetDetails) -> ShownResource:
    """Show a subnet."""
    return {
        **standard(row),
        "network_id": row.network_id,
        "cidr": row.cidr,
        "ip_version": 4,
        "gateway_ip": row.gateway_ip,
        "enable_dhcp": row.dhcp,
        "dns_nameservers": row.dns_servers,
        "host_routes": [route_view(pair) for pair in row.host_routes],
        "allocation_pools": [{"start": ip_of(first), "end": ip_of(last)} for first, last in row.pools],
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "subnetpool_id": None,
        "segment_id": None,
        "service_types": [],
        "dns_publish_fixed_ip": False,
    }


SUBNETS = Resource(
    one="subnet",
    many="subnets",
    path="subnets",
    things=lambda service: service.subnets,
    new=AttributesBody(kind=NewSubnet, attributes=ATTRIBUTES, verb="create", what="subnet", many="subnets"),
    change=AttributesBody(kind=SubnetChange, attributes=ATTRIBUTES, verb="update", what="subnet"),
    view=view,
    shown=STANDARD
    | {
        *("network_id", "cidr", "ip_version", "gateway_ip", "enable_dhcp", "dns_nameservers", "host_routes"),
        *("allocation_pools", "ipv6_address_mode", "ipv6_ra_mode", "subnetpool_id", "segment_id", "service_types"),
        "dns_publish_fixed_ip",
    },
    flags=frozenset({"enable_dhcp", "dns_publish_fixed_ip"}),
    columns={"network_id": "network_id", "cidr": "cidr"},
    part_of={"network_id": NETWORK},
    inherits=("router:external",),
)
