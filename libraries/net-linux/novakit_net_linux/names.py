"""How things of ours are called on the host, so that they are recognised after any crash.

A Linux device name has 15 characters at most, so it carries the first 12 digits of the port's id; bridge ports carry
the whole id beside it.
Namespaces are file names and carry the whole id.
"""

import re

TAP = "nkt"
"""A guest's tap; a prefix of our own, so that no tap of another service is ever taken for ours."""
DHCP = "nd-"
ROUTER = "qr-"
GATEWAY = "qg-"
DHCP_NAMESPACE = "nkd-"
ROUTER_NAMESPACE = "nkr-"

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMESPACE = re.compile(rf"(?:{DHCP_NAMESPACE}|{ROUTER_NAMESPACE})({_UUID})")
_TAP = re.compile(rf"{TAP}[0-9a-f]{{12}}")
_SERVICE = re.compile(rf"(?:{DHCP}|{ROUTER}|{GATEWAY})[0-9a-f]{{12}}")


def device(prefix: str, owner: str) -> str:
    """Name the device of a port."""
    return prefix + owner.replace("-", "")[: 15 - len(prefix)]


def tap(port_id: str) -> str:
    """Name the tap of a guest's port."""
    return device(TAP, port_id)


def dhcp_namespace(network_id: str) -> str:
    """Name the namespace of a network's DHCP and metadata service."""
    return DHCP_NAMESPACE + network_id


def router_namespace(router_id: str) -> str:
    """Name the namespace of a router."""
    return ROUTER_NAMESPACE + router_id


def namespace_owner(namespace: str) -> str | None:
    """Return the network or router a namespace of ours belongs to; None when it is not ours."""
    match = _NAMESPACE.fullmatch(namespace)
    return match[1] if match else None


def is_tap(name: str) -> bool:
    """Whether a device is a tap of ours by its name."""
    return bool(_TAP.fullmatch(name))


def is_service(name: str) -> bool:
    """Whether a device is a leg of a DHCP server or a router of ours by its name."""
    return bool(_SERVICE.fullmatch(name))


def patch(bridge: str, other: str) -> str:
    """Name the patch port on one bridge that leads to another."""
    return f"nkp-{bridge}-{other}"
