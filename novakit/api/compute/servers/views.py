"""Servers as clients see them, with exactly the keys of each version."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain

import attrs
import orjson

from novakit.api.compute.domain import Compute
from novakit.api.compute.image_properties import STANDARD
from novakit.api.compute.links import bookmark, links, root_url
from novakit.api.documents import Document
from novakit.api.service import Call, Version
from novakit.compute.records import Server
from novakit.compute.states import status_of
from novakit.network import ShownPort

FAULTY = ("ERROR", "DELETED")
WITH_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")


def precise(when: datetime | None) -> str | None:
    """Write a time to the microsecond without a zone, as some old fields have it."""
    if when is None:
        return None
    # Half of the time of `isoformat`, which is a tenth of that of a long list; it leaves out microseconds of zero.
    return orjson.dumps(when)[1:27].decode() if when.microsecond else when.isoformat(timespec="microseconds")[:26]


def host_id(server: Server) -> str:
    """Return what stands for the host in the eyes of one project; empty for none."""
    return _hidden(server.project_id, server.host) if server.host else ""


@lru_cache(maxsize=4096)
def _hidden(project_id: str, host: str) -> str:
    return hashlib.sha224((project_id + host).encode()).hexdigest()


def brief(call: Call[Compute], server_id: str, name: str) -> Document:
    """Show id, name and links."""
    return {"id": server_id, "name": name, "links": links(call, "servers", server_id)}


def created(call: Call[Compute], server: Server, groups: Sequence[Mapping[str, str]]) -> Document:
    """Show what the answer to a create holds."""
    return {
        "id": server.id,
        "links": links(call, "servers", server.id),
        "OS-DCF:diskConfig": _disk_config(server),
        "security_groups": list(groups),
    }


def _disk_config(server: Server) -> str:
    return "AUTO" if server.auto_disk_config else "MANUAL"


@attrs.define
class ServerViews:
    """Shows servers to one caller, at one version and URL; what is the same for many of a list is worked out once."""

    call: Call[Compute]
    _root: str = attrs.field(init=False)
    _admin: bool = attrs.field(init=False)
    _flavors: dict[tuple[int, str], Document] = attrs.field(factory=dict, init=False)
    """By flavor and project."""
    _images: dict[tuple[str, int], Document] = attrs.field(factory=dict, init=False)
    """By image and what the server knows of its properties."""
    _groups: dict[tuple[str, ...], list[dict[str, str]]] = attrs.field(factory=dict, init=False)
    """By the names of security groups."""
    _kept: list[object] = attrs.field(factory=list, init=False)
    """What those are known by, so that nothing else gets its identity."""

    def __attrs_post_init__(self) -> None:
        self._root = root_url(self.call)
        self._admin = self.call.allows("os_compute_api:os-extended-server-attributes")

    def full(self, server: Server, ports: Sequence[ShownPort], host_status: str | None, *, detail: bool) -> Document:
        """Show everything; `detail` is the list of many, which leaves the server groups out."""
        version = self.call.version
        shown = self._core(server, ports, with_cards=True)
        shown["OS-EXT-AZ:availability_zone"] = server.availability_zone or ""
        shown["config_drive"] = "True" if server.config_drive else ""
        shown["key_name"] = server.key_name
        shown["OS-SRV-USG:launched_at"] = precise(server.launched_at)
        shown["OS-SRV-USG:terminated_at"] = precise(server.terminated_at)
        shown["OS-EXT-STS:task_state"] = server.task_state
        shown["OS-EXT-STS:vm_state"] = server.vm_state
        shown["OS-EXT-STS:power_state"] = server.power_state
        shown["os-extended-volumes:volumes_attached"] = []
        if ports and (groups := self._security_groups(ports)):
            shown["security_groups"] = groups
        if self._admin:
            shown |= _for_admins(version, server)
        if version >= (2, 16) and host_status is not None:
            shown["host_status"] = host_status
        if not detail and version >= (2, 71):
            shown["server_groups"] = list(server.server_groups)
        if version >= (2, 90) and not self._admin:
            shown["OS-EXT-SRV-ATTR:hostname"] = server.hostname
        if version >= (2, 96):
            shown["pinned_availability_zone"] = server.pinned_availability_zone
        return shown

    def updated(self, server: Server, ports: Sequence[ShownPort]) -> Document:
        """Show what the answer to an update held before 2.75; from then on it is the whole."""
        shown = self._core(server, ports, with_cards=False)
        if self.call.version >= (2, 71):
            shown["server_groups"] = list(server.server_groups)
        return shown

    def _core(self, server: Server, ports: Sequence[ShownPort], *, with_cards: bool) -> Document:
        """Show what every answer about a server has."""
        version, root, vm_state = self.call.version, self._root, server.vm_state
        status = status_of(vm_state, server.task_state)
        place = f"servers/{server.id}"
        shown: Document = {
            "accessIPv4": server.access_ip_v4 or "",
            "accessIPv6": server.access_ip_v6 or "",
            "addresses": {} if vm_state == "building" else addresses(ports, with_cards=with_cards),
            "created": server.created_at,
            "flavor": self._flavor(server),
            "hostId": host_id(server),
            "id": server.id,
            "image": self._image(server),
            "links": [{"rel": "self", "href": f"{root}/v2.1/{place}"}, {"rel": "bookmark", "href": f"{root}/{place}"}],
            "metadata": server.metadata,
            "name": server.name,
            "status": status,
            "tenant_id": server.project_id,
            "user_id": server.user_id,
            "updated": server.updated_at,
            "OS-DCF:diskConfig": _disk_config(server),
        }
        if status in FAULTY and server.fault:
            shown["fault"] = _fault(self.call, server.fault)
        if status in WITH_PROGRESS:
            shown["progress"] = server.progress
        if version >= (2, 9):
            shown["locked"] = server.locked
        if version >= (2, 19):
            shown["description"] = server.description
        if version >= (2, 26):
            shown["tags"] = server.tags
        if version >= (2, 63):
            shown["trusted_image_certificates"] = None
        if version >= (2, 73):
            shown["locked_reason"] = server.locked_reason
        if version >= (2, 100):
            shown["scheduler_hints"] = server.scheduler_hints
        return shown

    def _security_groups(self, ports: Sequence[ShownPort]) -> list[dict[str, str]]:
        names = tuple(chain.from_iterable(port.security_groups for port in ports))
        known = self._groups.get(names)
        if known is None:
            known = self._groups[names] = security_groups(ports)
        return known

    def _flavor(self, server: Server) -> Document:
        key = id(server.flavor), server.project_id
        known = self._flavors.get(key)
        if known is None:
            known = self._flavors[key] = self._new_flavor(server)
            self._kept.append(server.flavor)
        return known

    def _new_flavor(self, server: Server) -> Document:
        flavor = server.flavor
        if self.call.version < (2, 47):
            return {"id": str(flavor["id"]), "links": bookmark(self.call, "flavors", str(flavor["id"]))}
        shown = {name: flavor[name] for name in ("vcpus", "ram", "disk", "ephemeral", "swap")}
        shown["original_name"] = flavor["name"]
        target = {"project_id": server.project_id}
        if self.call.allows("os_compute_api:servers:show:flavor-extra-specs", target):
            shown["extra_specs"] = dict(flavor["extra_specs"])
        return shown

    def _image(self, server: Server) -> Document | str:
        if not server.image_id:
            return ""
        key = server.image_id, id(server.image_properties)
        known = self._images.get(key)
        if known is None:
            known = self._images[key] = self._new_image(server.image_id, server.image_properties)
            self._kept.append(server.image_properties)
        return known

    def _new_image(self, image_id: str, properties: Mapping[str, object]) -> Document:
        shown: Document = {"id": image_id, "links": bookmark(self.call, "images", image_id)}
        if self.call.version >= (2, 98):
            shown["properties"] = {
                key: value for key, value in properties.items() if key in STANDARD and value is not None
            }
        return shown


def addresses(ports: Sequence[ShownPort], *, with_cards: bool) -> dict[str, list[Document]]:
    """Show fixed and floating addresses by the name of their network."""
    shown: dict[str, list[Document]] = {}
    for network_name, mac, own, _ in ports:
        found = shown.setdefault(network_name, [])
        for ip, floating_ips in own:
            found.append(_address(ip, "fixed", mac if with_cards else None))
            for floating in floating_ips:
                found.append(_address(floating, "floating", mac if with_cards else None))
    return shown


def _address(ip: str, kind: str, mac: str | None) -> Document:
    version = 6 if ":" in ip else 4
    if mac is None:
        return {"version": version, "addr": ip}
    return {"version": version, "addr": ip, "OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": mac}


def security_groups(ports: Sequence[ShownPort]) -> list[dict[str, str]]:
    """Name every security group of a server's ports once for each of its NICs, as clients expect."""
    return [{"name": name} for port in ports for name in port.security_groups]


def _for_admins(version: Version, server: Server) -> Document:
    shown: Document = {
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:instance_name": f"instance-{server.id[:8]}",
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.node,
    }
    if version >= (2, 3):
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


def _fault(call: Call[Compute], fault: Mapping[str, object]) -> Document:
    shown = {"code": fault["code"], "created": fault["created"], "message": fault["message"]}
    if fault.get("details") and (call.context.is_admin or fault["code"] != 500):
        shown["details"] = fault["details"]
    return shown
