"""Notes as hosts give them back: read, and checked as what a stranger says, before anybody works with them.

A note that fails costs its own guest alone, which then has none.
"""

import ipaddress
import re

import attrs

from novakit.calls.host import GuestNote
from novakit.conductor.guests import note as notes
from novakit.conductor.guests.note import Heard, Notary, Note, NotedServer
from novakit.network.allocation.addresses import normal_mac
from novakit.network.records import NotedAddress, NotedPort
from novakit.store.compute.servers import LENGTHS
from novakit_hookspecs.fields import UUID_PATTERN

LONGEST = 1 << 20
"""Characters of a note: ten times what a server of 64 KiB of user data, 128 metadata and many ports needs."""
MOST_PORTS = 128
"""Ports of one guest, and addresses of one port; no hypervisor takes as many."""
MOST_CLAIMED = 256
"""Providers that one guest takes something of, and resource classes of each: itself and its devices."""
LARGEST = 0x7FFFFFFF
"""The largest amount that Placement's API takes."""


def read(kept: GuestNote) -> Note:
    """Read a note of unknown origin. Raises ValueError for one that no conductor wrote, and for another guest's."""
    if len(kept.text) > LONGEST:
        raise ValueError(f"The note of {kept.server} is too long.")
    note = notes.read(kept)
    if not all(len(text) <= 255 for text in (note.deployment, note.host, note.operation)):
        raise ValueError(f"The note of {kept.server} is not one that a conductor wrote.")
    _require_server(note.server)
    for text in (note.server.created_at, note.server.launched_at, note.ended):
        if text is not None and notes.moment(text).tzinfo is None:
            raise ValueError(f"{text[:64]!r} has no time zone.")
    if len(note.ports) > MOST_PORTS or len(note.devices) > MOST_CLAIMED:
        raise ValueError(f"The note of {kept.server} names too many ports or devices.")
    for port in note.ports:
        _require_port(port)
    claim = note.claim or {}
    if len(claim) > MOST_CLAIMED or any(len(amounts) > MOST_CLAIMED for amounts in claim.values()):
        raise ValueError(f"The note of {kept.server} claims from too many providers.")
    for amounts in claim.values():
        for amount in amounts.values():
            _require_amount(amount, least=1)
    return note


def heard(notary: Notary, host: str, kept: GuestNote, note: Note) -> Heard:
    """Return what a host gave back and was read, with whether this database wrote it for this host."""
    return Heard(note, is_sealed=notary.is_sealed(host, kept) and note.host == host)


def _require_server(server: NotedServer) -> None:
    for field in attrs.fields(NotedServer):
        value, most = getattr(server, field.name), LENGTHS.get(field.name)
        if isinstance(value, str) and most is not None and len(value) > most:
            raise ValueError(f"{field.name} is too long.")
    for name in ("id", "name"):
        # The metadata service and the scheduler say which flavor it is.
        if not isinstance(server.flavor.get(name), str):
            raise ValueError(f"Its flavor has no {name}.")
    for name in ("vcpus", "ram", "disk"):
        _require_amount(server.flavor.get(name))
    for name in ("ephemeral", "swap"):
        _require_amount(server.flavor.get(name) or 0)
    if not isinstance(server.flavor.get("extra_specs") or {}, dict):
        raise ValueError("The extra specs of its flavor are not texts.")
    _require_amount(server.vcpus)
    _require_amount(server.memory_mb)


def _require_amount(value: object, *, least: int = 0) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise ValueError(f"{str(value)[:32]!r} is not an amount.")


def _require_port(port: NotedPort) -> None:
    if not re.fullmatch(UUID_PATTERN, port.id) or not re.fullmatch(UUID_PATTERN, port.network_id):
        raise ValueError("The id of a port or of its network is not valid.")
    if normal_mac(port.mac) != port.mac or not 0 < port.mtu < 1 << 16:
        raise ValueError(f"The MAC address or the MTU of port {port.id} is not valid.")
    if len(port.network_name) > 255 or len(port.addresses) > MOST_PORTS or len(port.groups) > MOST_CLAIMED:
        raise ValueError(f"The note of port {port.id} has a name that is too long, or too many addresses or groups.")
    for address in port.addresses:
        _require_address(address)


def _require_address(address: NotedAddress) -> None:
    """Refuse an address outside its subnet, and a subnet that nobody could have made. Raises ValueError."""
    subnet = address.subnet
    inside = ipaddress.IPv4Network(subnet.cidr)
    if ipaddress.IPv4Address(address.ip) not in inside:
        raise ValueError(f"{address.ip} is not an address of {subnet.cidr}.")
    for ip in (*subnet.dns_servers, *(hop for _, hop in subnet.host_routes), subnet.gateway_ip or address.ip):
        ipaddress.IPv4Address(ip)
    for destination, _ in subnet.host_routes:
        ipaddress.IPv4Network(destination)
