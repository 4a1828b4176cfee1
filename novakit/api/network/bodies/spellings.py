"""Other spellings of what a filter asks for: an address in capitals is the address that is shown in small letters."""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from novakit.api import ids
from novakit.api.network.bodies import kinds
from novakit.network.allocation.addresses import normal_mac
from novakit.network.security_group_rules import PROTOCOLS

Spell = Callable[[str], Sequence[str]]
"""Gives every form in which a value may be shown; the value itself where it has no other."""


def _id(text: str) -> Sequence[str]:
    return [str(UUID(text)) if re.match(kinds.UUID, text) else text]


def _project(text: str) -> Sequence[str]:
    return [ids.kept(text)]


def _mac(text: str) -> Sequence[str]:
    return [normal_mac(text) or text]


def _address(text: str) -> Sequence[str]:
    try:
        return [str(ipaddress.ip_address(text))]
    except ValueError:
        return [text]


def _range(text: str) -> Sequence[str]:
    try:
        return [str(ipaddress.ip_network(text, strict=False))]
    except ValueError:
        return [text]


def _prefix(text: str) -> Sequence[str]:
    try:
        return [str(ipaddress.ip_interface(text))]
    except ValueError:
        return [text]


def _protocol(text: str) -> Sequence[str]:
    """Name all words and the number of one protocol: each rule shows the word that it was made with."""
    word = text.lower()
    number = int(word) if re.fullmatch("[0-9]{1,3}", word) else PROTOCOLS.get(word)
    if number is None:
        return [text]
    return [str(number), *(name for name, each in PROTOCOLS.items() if each == number)]


def _kind(text: str) -> Sequence[str]:
    return [{"ipv4": "IPv4", "ipv6": "IPv6"}.get(text.lower(), text)]


FILTERS: Mapping[str, Spell] = {
    **dict.fromkeys(("id", "network_id", "port_id", "router_id", "security_groups", "security_group_id"), _id),
    **dict.fromkeys(("remote_group_id", "floating_network_id", "subnet_id"), _id),
    **dict.fromkeys(("gateway_ip", "ip_address", "fixed_ip_address", "floating_ip_address"), _address),
    **dict.fromkeys(("project_id", "tenant_id"), _project),
    "mac_address": _mac,
    "cidr": _range,
    "normalized_cidr": _range,
    "remote_ip_prefix": _prefix,
    "protocol": _protocol,
    "ethertype": _kind,
    "direction": lambda text: [text.lower()],
}
"""By attribute; what is not here is compared as it is sent."""


def spelt(key: str, value: str) -> Sequence[str]:
    """Return every form of a filter's value, that of an inner name too: fixed_ips=ip_address=10.0.0.1."""
    if key == "fixed_ips":
        name, sign, inner = value.partition("=")
        return [f"{name}{sign}{one}" for one in FILTERS[name](inner)] if name in FILTERS else [value]
    return FILTERS[key](value) if key in FILTERS else [value]
