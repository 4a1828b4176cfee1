"""The attributes of each resource: what a client may send, when, and what only admins may set or see."""

from collections.abc import Mapping
from typing import Any

import attrs

from novakit import errors
from novakit.api.network.checks import (
    ValueKind,
    Wrong,
    anything_small,
    boolean,
    dns_label,
    integer,
    nullable,
    one_of,
    record,
    several,
    spelt,
    text,
    uuid,
)
from novakit.api.service import Call
from novakit.network.service import Networks


@attrs.frozen(kw_only=True)
class Attribute:
    """One attribute that may be sent."""

    check: ValueKind
    post: bool = True
    put: bool = True
    needed: bool = False
    """Whether a POST must have it."""


Attributes = Mapping[str, Attribute]

MOST_TAGS = 50
"""Tags of one resource."""
name = Attribute(check=text())
flag = Attribute(check=boolean)
made_once = Attribute(check=nullable(text()), put=False)
admin_text = Attribute(check=nullable(text()), put=False)
route = record({"destination": text(64), "nexthop": text(64)}, ["destination", "nexthop"])
fixed = record({"subnet_id": uuid, "ip_address": text(64)})
nothing = nullable(one_of(None))
COMMON: Attributes = {
    "name": name,
    "description": name,
    "project_id": made_once,
    "tags": Attribute(check=several(text(60), MOST_TAGS), put=False),
}
NAMELESS: Attributes = {key: value for key, value in COMMON.items() if key != "name"}

NETWORK: Attributes = {
    **COMMON,
    "admin_state_up": flag,
    "shared": Attribute(check=boolean),
    "router:external": Attribute(check=boolean),
    "is_default": Attribute(check=boolean),
    "mtu": Attribute(check=integer(0, 65535)),
    "port_security_enabled": flag,
    "dns_domain": name,
    "availability_zone_hints": Attribute(check=several(one_of("nova"), 1), put=False),
    "qos_policy_id": Attribute(check=nothing),
    "provider:network_type": Attribute(check=nullable(one_of("vxlan", "flat")), put=False),
    "provider:physical_network": admin_text,
    "provider:segmentation_id": Attribute(check=nullable(integer(1, 16777215)), put=False),
}
SUBNET: Attributes = {
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
    "subnetpool_id": Attribute(check=nothing, put=False),
    "prefixlen": Attribute(check=nothing, put=False),
    "ipv6_address_mode": Attribute(check=nothing, put=False),
    "ipv6_ra_mode": Attribute(check=nothing, put=False),
    "segment_id": Attribute(check=nothing),
    "service_types": Attribute(check=several(text(), 0)),
}
PORT: Attributes = {
    **COMMON,
    "network_id": Attribute(check=uuid, put=False, needed=True),
    "admin_state_up": flag,
    "mac_address": Attribute(check=nullable(text(32))),
    "fixed_ips": Attribute(check=nullable(several(fixed))),
    "device_id": name,
    "device_owner": name,
    "security_groups": Attribute(check=nullable(several(uuid))),
    "port_security_enabled": flag,
    "allowed_address_pairs": Attribute(
        check=nullable(several(record({"ip_address": text(64), "mac_address": nullable(text(32))}, ["ip_address"])))
    ),
    "extra_dhcp_opts": Attribute(check=nullable(several(anything_small, 0))),
    "dns_name": Attribute(check=nullable(dns_label)),
    "qos_policy_id": Attribute(check=nothing),
    "binding:vnic_type": Attribute(check=nullable(one_of("normal"))),
    "binding:host_id": Attribute(check=nullable(text())),
    "binding:profile": Attribute(check=nullable(anything_small)),
}
GATEWAY = nullable(
    record(
        {
            "network_id": nullable(uuid),
            "enable_snat": boolean,
            "external_fixed_ips": several(fixed, 5),
            "qos_policy_id": nothing,
        }
    )
)
ROUTER: Attributes = {
    **COMMON,
    "admin_state_up": flag,
    "external_gateway_info": Attribute(check=GATEWAY),
    "routes": Attribute(check=nullable(several(route)), post=False),
    "distributed": Attribute(check=one_of(False, None)),
    "ha": Attribute(check=one_of(False, None)),
    "availability_zone_hints": Attribute(check=several(one_of("nova"), 1), put=False),
    "flavor_id": Attribute(check=nothing, put=False),
}
FLOATING_IP: Attributes = {
    **NAMELESS,
    "floating_network_id": Attribute(check=uuid, put=False, needed=True),
    "floating_ip_address": Attribute(check=nullable(text(64)), put=False),
    "subnet_id": Attribute(check=nullable(uuid), put=False),
    "port_id": Attribute(check=nullable(uuid)),
    "fixed_ip_address": Attribute(check=nullable(text(64))),
    "dns_name": Attribute(check=nullable(one_of("")), put=False),
    "dns_domain": Attribute(check=nullable(one_of("")), put=False),
    "qos_policy_id": Attribute(check=nothing),
}
SECURITY_GROUP: Attributes = {**COMMON, "stateful": flag}
RULE: Attributes = {
    "description": made_once,
    "project_id": made_once,
    "security_group_id": Attribute(check=uuid, put=False, needed=True),
    "direction": Attribute(check=one_of("ingress", "egress"), put=False, needed=True),
    "ethertype": Attribute(check=nullable(one_of("IPv4", "IPv6")), put=False),
    "protocol": Attribute(check=nullable(spelt(16)), put=False),
    "port_range_min": Attribute(check=nullable(integer(-1, 65536)), put=False),
    "port_range_max": Attribute(check=nullable(integer(-1, 65536)), put=False),
    "remote_ip_prefix": Attribute(check=nullable(text(64)), put=False),
    "remote_group_id": Attribute(check=nullable(uuid), put=False),
    "remote_address_group_id": Attribute(check=nothing, put=False),
}
HIDDEN = (
    *("provider:network_type", "provider:physical_network", "provider:segmentation_id", "distributed", "ha"),
    *("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details"),
)
"""What only those see whom a rule such as `get_port:binding:host_id` lets."""
LATER = ("port",)
"""What has rules that depend on the network it is on: the domain asks them, once it has found the network."""


def read(attributes: Attributes, given: Any, call: Call[Networks], *, new: bool, what: str) -> dict[str, Any]:
    """Check what was sent for one thing; raise `BadRequest` or `Forbidden` with the name of the attribute."""
    if not isinstance(given, dict):
        raise _bad(f"Invalid input for {what}. Reason: it is not an object.")
    given = _with_project(given)
    if unknown := sorted(str(key)[:64] for key in set(given) - set(attributes)):
        raise _bad(f"Unrecognized attribute(s) '{', '.join(unknown[:10])}'")
    values = {}
    for key, value in given.items():
        attribute = attributes[key]
        if not (attribute.post if new else attribute.put):
            raise _bad(f"Attribute '{key}' not allowed in {'POST' if new else 'PUT'}")
        try:
            values[key] = attribute.check(value)
        except Wrong as error:
            raise _bad(f"Invalid input for {key}. Reason: {error.message}") from error
    if new and (lacking := [key for key, attribute in attributes.items() if attribute.needed and key not in values]):
        raise _bad(f"Failed to parse request. Required attribute '{lacking[0]}' not specified")
    if what not in LATER:
        _authorize(call, f"{'create' if new else 'update'}_{what}", values)
    return values


def _authorize(call: Call[Networks], rule: str, values: Mapping[str, Any]) -> None:
    """Ask the rule of each attribute that was sent, and of each part of one that has parts."""
    for key, value in values.items():
        parts = [f"{key}:{part}" for part in value] if isinstance(value, dict) else []
        for name in (f"{rule}:{one}" for one in (key, *parts)):
            if name in call.policy.table:
                call.authorize(name)


def _with_project(given: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(given)
    if "tenant_id" in values:
        project = values.pop("tenant_id")
        if values.setdefault("project_id", project) != project:
            raise _bad("'project_id' and 'tenant_id' are given and do not match.")
    return values


def _bad(sentence: str) -> errors.BadRequest:
    return errors.BadRequest(sentence, kind="HTTPBadRequest")
