"""Servers as clients see them, with exactly the keys of each version."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from novakit.api.compute.domain import Compute
from novakit.api.compute.image_properties import STANDARD
from novakit.api.compute.links import bookmark, links
from novakit.api.documents import Document
from novakit.api.service import Call
from novakit.compute.records import Server
from novakit.compute.states import status_of
from novakit.network import PortInfo

View = Document
FAULTY = ("ERROR", "DELETED")
WITH_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")


def moment(when: datetime) -> str:
    """Write a time to the second, as most fields have it."""
    return when.isoformat(timespec="seconds")[:19] + "Z"


def precise(when: datetime | None) -> str | None:
    """Write a time to the microsecond without a zone, as some old fields have it."""
    return when.isoformat(timespec="microseconds")[:26] if when else None


def host_id(server: Server) -> str:
    """Return what stands for the host in the eyes of one project; empty for none."""
    return _hidden(server.project_id, server.host) if server.host else ""


@lru_cache(maxsize=4096)
def _hidden(project_id: str, host: str) -> str:
    return hashlib.sha224((project_id + host).encode()).hexdigest()


def brief(call: Call[Compute], server_id: str, name: str) -> View:
    """Show id, name and links."""
    return {"id": server_id, "name": name, "links": links(call, "servers", server_id)}


def created(call: Call[Compute], server: Server, groups: Sequence[Mapping[str, str]]) -> View:
    """Show what the answer to a create holds."""
    return {
        "id": server.id,
        "links": links(call, "servers", server.id),
        "OS-DCF:diskConfig": _disk_config(server),
        "security_groups": list(groups),
    }


def _disk_config(server: Server) -> str:
    return "AUTO" if server.auto_disk_config else "MANUAL"


def full(
    call: Call[Compute], server: Server, ports: Sequence[PortInfo], host_status: str | None, *, detail: bool
) -> View:
    """Show everything; `detail` is the list of many, which leaves the server groups out."""
    shown = _core(call, server, ports, with_cards=True)
    admin = call.allows("os_compute_api:os-extended-server-attributes")
    shown |= {
        "OS-EXT-AZ:availability_zone": server.availability_zone or "",
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.key_name,
        "OS-SRV-USG:launched_at": precise(server.launched_at),
        "OS-SRV-USG:terminated_at": precise(server.terminated_at),
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": [],
    }
    if groups := security_groups(ports):
        shown["security_groups"] = groups
    if admin:
        shown |= _for_admins(call, server)
    if call.version >= (2, 16) and host_status is not None:
        shown["host_status"] = host_status
    if not detail and call.version >= (2, 71):
        shown["server_groups"] = list(server.server_groups)
    if call.version >= (2, 90) and not admin:
        shown["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    if call.version >= (2, 96):
        shown["pinned_availability_zone"] = server.pinned_availability_zone
    return shown


def updated(call: Call[Compute], server: Server, ports: Sequence[PortInfo]) -> View:
    """Show what the answer to an update held before 2.75; from then on it is the whole."""
    shown = _core(call, server, ports, with_cards=False)
    if call.version >= (2, 71):
        shown["server_groups"] = list(server.server_groups)
    return shown


def addresses(ports: Sequence[PortInfo], *, with_cards: bool) -> dict[str, list[View]]:
    """Show fixed and floating addresses by the name of their network."""
    shown: dict[str, list[View]] = {}
    for port in ports:
        found = shown.setdefault(port.network_name, [])
        for fixed in port.addresses:
            for ip, kind in [(fixed.ip, "fixed"), *((floating, "floating") for floating in fixed.floating_ips)]:
                address: View = {"version": 6 if ":" in ip else 4, "addr": ip}
                if with_cards:
                    address |= {"OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": port.mac}
                found.append(address)
    return shown


def security_groups(ports: Sequence[PortInfo]) -> list[dict[str, str]]:
    """Name every security group of a server's ports once for each of its cards, as clients expect."""
    return [{"name": name or group_id} for port in ports for group_id, name in port.security_groups]


def _core(call: Call[Compute], server: Server, ports: Sequence[PortInfo], *, with_cards: bool) -> View:
    """Show what every answer about a server has."""
    status = status_of(server.vm_state, server.task_state)
    building = server.vm_state == "building"
    shown: View = {
        "accessIPv4": server.access_ip_v4 or "",
        "accessIPv6": server.access_ip_v6 or "",
        "addresses": {} if building else addresses(ports, with_cards=with_cards),
        "created": moment(server.created_at),
        "flavor": _flavor(call, server),
        "hostId": host_id(server),
        "id": server.id,
        "image": _image(call, server),
        "links": links(call, "servers", server.id),
        "metadata": dict(server.metadata),
        "name": server.name,
        "status": status,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "updated": moment(server.updated_at),
        "OS-DCF:diskConfig": _disk_config(server),
    }
    if status in FAULTY and server.fault:
        shown["fault"] = _fault(call, server.fault)
    if status in WITH_PROGRESS:
        shown["progress"] = server.progress
    if call.version >= (2, 9):
        shown["locked"] = server.locked
    if call.version >= (2, 19):
        shown["description"] = server.description
    if call.version >= (2, 26):
        shown["tags"] = list(server.tags)
    if call.version >= (2, 63):
        shown["trusted_image_certificates"] = None
    if call.version >= (2, 73):
        shown["locked_reason"] = server.locked_reason
    if call.version >= (2, 100):
        shown["scheduler_hints"] = dict(server.scheduler_hints)
    return shown


def _for_admins(call: Call[Compute], server: Server) -> View:
    shown: View = {
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:instance_name": f"instance-{server.id[:8]}",
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.hypervisor_hostname or server.node,
    }
    if call.version >= (2, 3):
        properties = server.image_properties
        shown |= {
            "OS-EXT-SRV-ATTR:hostname": server.hostname,
            "OS-EXT-SRV-ATTR:kernel_id": properties.get("kernel_id") or "",
            "OS-EXT-SRV-ATTR:launch_index": server.launch_index,
            "OS-EXT-SRV-ATTR:ramdisk_id": properties.get("ramdisk_id") or "",
            "OS-EXT-SRV-ATTR:reservation_id": server.reservation_id,
            "OS-EXT-SRV-ATTR:root_device_name": server.root_device_name,
            "OS-EXT-SRV-ATTR:user_data": server.user_data,
        }
    return shown


def _flavor(call: Call[Compute], server: Server) -> View:
    flavor = server.flavor
    if call.version < (2, 47):
        return {"id": str(flavor["id"]), "links": bookmark(call, "flavors", str(flavor["id"]))}
    shown = {name: flavor[name] for name in ("vcpus", "ram", "disk", "ephemeral", "swap")}
    shown["original_name"] = flavor["name"]
    target = {"project_id": server.project_id}
    if call.allows("os_compute_api:servers:show:flavor-extra-specs", target):
        shown["extra_specs"] = dict(flavor["extra_specs"])
    return shown


def _image(call: Call[Compute], server: Server) -> View | str:
    if not server.image_id:
        return ""
    shown: View = {"id": server.image_id, "links": bookmark(call, "images", server.image_id)}
    if call.version >= (2, 98):
        shown["properties"] = {
            key: value for key, value in server.image_properties.items() if key in STANDARD and value is not None
        }
    return shown


def _fault(call: Call[Compute], fault: Mapping[str, object]) -> View:
    shown = {"code": fault["code"], "created": fault["created"], "message": fault["message"]}
    if fault.get("details") and (call.context.is_admin or fault["code"] != 500):
        shown["details"] = fault["details"]
    return shown
