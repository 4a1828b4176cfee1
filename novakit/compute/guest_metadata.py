"""What a guest may read of itself: the OpenStack and EC2 trees, for the metadata service and the config drive."""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from novakit import world
from novakit.network import Fixed, PortInfo
from novakit.store.compute.servers import ServerRow
from novakit_fit.numa_request import BadTopology, requested_cells
from novakit_hookspecs.networks import VifBinding

OPENSTACK_VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
    "2020-10-14", "latest",
)  # fmt: skip
EC2_VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04", "latest",
)  # fmt: skip
DOMAIN = "novalocal"


def openstack_files(server: ServerRow, ports: Sequence[PortInfo], *, admin_pass: str | None = None) -> dict[str, bytes]:
    """Return the files of `openstack/latest/`, by name; `admin_pass` is in those of a config drive alone."""
    secret = {} if admin_pass is None else {"admin_pass": admin_pass}
    files = {
        "meta_data.json": orjson.dumps(_meta_data(server, ports) | secret),
        "network_data.json": orjson.dumps(_network_data(ports)),
        "vendor_data.json": b"{}",
        "vendor_data2.json": b"{}",
    }
    if server["user_data"]:
        files["user_data"] = base64.b64decode(server["user_data"])
    return files


def config_drive(server: ServerRow, ports: Sequence[PortInfo], *, admin_pass: str | None = None) -> dict[str, bytes]:
    """Return the files of a config drive, by path.

    The password is told here and not by the metadata service, which every program of a guest may ask at any time.
    """
    files = openstack_files(server, ports, admin_pass=admin_pass)
    return {f"openstack/{version}/{name}": body for version in ("latest", "2018-08-27") for name, body in files.items()}


def answer(path: str, server: ServerRow, ports: Sequence[PortInfo]) -> bytes | None:
    """Return what the metadata service says at `path`, or None where there is nothing."""
    words = [word for word in path.split("/") if word]
    if not words:
        return _listing([f"{version}" for version in EC2_VERSIONS])
    if words[0] == "openstack":
        return _openstack(words[1:], server, ports)
    if words[0] in EC2_VERSIONS:
        return _ec2(words[1:], server, ports)
    return None


def _openstack(words: Sequence[str], server: ServerRow, ports: Sequence[PortInfo]) -> bytes | None:
    if not words:
        return _listing(OPENSTACK_VERSIONS)
    if words[0] not in OPENSTACK_VERSIONS or len(words) > 2:
        return None
    files = openstack_files(server, ports)
    return _listing(files) if len(words) == 1 else files.get(words[1])


def _ec2(words: Sequence[str], server: ServerRow, ports: Sequence[PortInfo]) -> bytes | None:
    user_data = base64.b64decode(server["user_data"]) if server["user_data"] else None
    tree: Any = {"meta-data/": _ec2_tree(server, ports)} | ({"user-data": user_data} if user_data else {})
    for word in words:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(word, tree.get(f"{word}/"))
    if isinstance(tree, Mapping):
        return _listing(tree)
    return tree.encode() if isinstance(tree, str) else tree


def _ec2_tree(server: ServerRow, ports: Sequence[PortInfo]) -> dict[str, object]:
    fixed = next((address.ip for port in ports for address in port.addresses), "")
    floating = next((each for port in ports for address in port.addresses for each in address.floating_ips), "")
    hostname = f"{server['hostname']}.{DOMAIN}"
    tree: dict[str, object] = {
        "ami-id": f"ami-{server['number']:08x}",
        "ami-launch-index": str(server["launch_index"]),
        "ami-manifest-path": "FIXED",
        "block-device-mapping/": {"ami": "vda", "root": server["root_device_name"]},
        "hostname": hostname,
        "instance-action": "none",
        "instance-id": f"i-{server['number']:08x}",
        "instance-type": server["flavor"]["name"],
        "local-hostname": hostname,
        "local-ipv4": fixed,
        "placement/": {"availability-zone": server["availability_zone"] or ""},
        "public-hostname": hostname,
        "public-ipv4": floating,
        "reservation-id": server["reservation_id"],
        "security-groups": "\n".join(sorted({name for port in ports for _, name in port.security_groups})),
    }
    if server["key_name"]:
        tree["public-keys/"] = {f"0={server['key_name']}": None, "0/": {"openssh-key": server["public_key"]}}
    return tree


def _listing(names: Mapping[str, object] | Sequence[str]) -> bytes:
    return "\n".join(name for name in names if name != "0/").encode()


def _meta_data(server: ServerRow, ports: Sequence[PortInfo]) -> dict[str, object]:
    document: dict[str, object] = {
        "uuid": server["id"],
        "name": server["name"],
        "hostname": f"{server['hostname']}.{DOMAIN}",
        "launch_index": server["launch_index"],
        "availability_zone": server["availability_zone"],
        "project_id": server["project_id"],
        "meta": server["metadata"],
        "random_seed": base64.b64encode(world.chance().randbytes(512)).decode(),
        "devices": [_device(port) for port in ports if port.tag],
        "dedicated_cpus": _dedicated_cpus(server),
    }
    if server["key_name"]:
        document["public_keys"] = {server["key_name"]: server["public_key"]}
        document["keys"] = [{"name": server["key_name"], "type": "ssh", "data": server["public_key"]}]
    return document


def _dedicated_cpus(server: ServerRow) -> list[int]:
    """Return which of the guest's CPUs are its own, and shared with no other guest."""
    flavor, properties = server["flavor"], {key: str(value) for key, value in server["image_properties"].items()}
    try:
        wanted = requested_cells(flavor["vcpus"], flavor["ram"], flavor.get("extra_specs", {}), properties)
    except BadTopology:
        return []  # an older version let it pass; such a server is placed nowhere
    return sorted(cpu for cell in wanted.cells for cpu in cell.pinned) if wanted else []


def _device(port: PortInfo) -> dict[str, object]:
    """Show a tagged NIC; the guest knows it by its MAC address, as the hypervisor alone chooses the bus address."""
    return {"type": "nic", "bus": "none", "address": "none", "mac": port.mac, "tags": [port.tag]}


def _network_data(ports: Sequence[PortInfo]) -> dict[str, object]:
    links: list[dict[str, object]] = []
    networks: list[dict[str, object]] = []
    dns: list[str] = []
    for port in ports:
        link = f"tap{port.id[:11]}"
        kind = port.vif_type or VifBinding().vif_type
        links.append({"id": link, "vif_id": port.id, "type": kind, "mtu": port.mtu, "ethernet_mac_address": port.mac})
        for address in port.addresses:
            networks.append(_network(f"network{len(networks)}", link, port.network_id, address))
            dns += [each for each in address.subnet.dns_servers if each not in dns]
    return {"links": links, "networks": networks, "services": _name_servers(dns)}


def _network(name: str, link: str, network_id: str, address: Fixed) -> dict[str, object]:
    """Show one address: to be asked for by DHCP, or with all that DHCP would have said where the subnet has none."""
    network = ipaddress.ip_network(address.subnet.cidr)
    family = f"ipv{network.version}"
    shown = {"id": name, "link": link, "network_id": network_id}
    if address.subnet.dhcp:
        return {**shown, "type": f"{family}_dhcp"}
    default = ipaddress.ip_network("0.0.0.0/0" if network.version == 4 else "::/0")
    gateway = address.subnet.gateway_ip
    routes = [_route(default, gateway)] if gateway else []
    routes += [_route(ipaddress.ip_network(to), via) for to, via in address.subnet.host_routes]
    return {
        **shown,
        "type": family,
        "ip_address": address.ip,
        "netmask": str(network.netmask),
        "routes": routes,
        "services": _name_servers(address.subnet.dns_servers),
    }


def _route(to: ipaddress.IPv4Network | ipaddress.IPv6Network, gateway: str) -> dict[str, str]:
    return {"network": str(to.network_address), "netmask": str(to.netmask), "gateway": gateway}


def _name_servers(addresses: Sequence[str]) -> list[dict[str, str]]:
    return [{"type": "dns", "address": each} for each in addresses]
