"""Ports made again from what a host noted of them, with the MAC and the addresses that their guest has.

Networks and subnets that are gone with a database are made again under their ids, so that what is wired stays as it is;
so is what stood around the ports, as far as the host noted it: see `regained`.
Whatever somebody else has meanwhile is a conflict, and then nothing is made.
"""

from collections.abc import Mapping, Sequence

import attrs

from novakit import errors
from novakit.network.allocation.addresses import number_of, range_of, usable
from novakit.network.allocation.drafts import PortDraft, new_port, write
from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.hosts.regained import Regaining
from novakit.network.networks import HIGHEST_SEGMENT
from novakit.network.records import NotedAddress, NotedPort
from novakit.network.security_group_rules import ensure_default
from novakit.network.subnets import pools_of
from novakit.store.engine import Session
from novakit.store.network import networks, rows
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredPort, first_taken
from novakit.store.network.remade import NotedRow, again
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched

WITHOUT = "; free it, or adopt the guest with --without-ports"


async def restore(
    session: Session,
    touched: Touched,
    noted: Sequence[NotedPort],
    *,
    server_id: str,
    project_id: str,
    hostname: str,
    host: str,
    zone: str,
    beyond: Mapping[str, int],
    around: Regaining,
) -> None:
    """Make the ports of a server again, bound to its host, and what is around them.

    `beyond` is, by subnet, the highest address to be spared.
    Raises Conflict for a MAC, an address or a range that is taken.
    """
    drafts: list[PortDraft] = []
    await around.groups([port.id for port in noted])
    for place, port in enumerate(noted):
        network = await _network(session, port, around, beyond)
        row = new_port(
            network.id,
            id=port.id,
            project_id=project_id,
            mac=port.mac,
            made=port.made,
            hostname=hostname,
            port_security=network.port_security,
            device_id=server_id,
            device_owner=f"compute:{zone or 'nova'}",
            server_id=server_id,
            position=place,
            nic_tag=port.tag,
            host=host,
            status="BUILD",
        )
        if (known := around.port(port.id)) is not None:
            kept = {name: known[name] for name in KEPT if name in known}
            row = attrs.evolve(row, **kept)
        if not around.may_use(network):
            raise errors.Conflict(f"Its note, which is not sealed, names the network {network.id} of another project.")
        touched.networks.add(network.id)  # it may have another subnet now, of which all its hosts must hear
        if await _take_over(session, touched, row, around):
            continue
        await _require_free(session, port, network)
        groups = await _groups(session, port.groups, project_id)
        drafts.append(
            PortDraft(
                row=row,
                groups=groups if row.port_security else (),
                numbers=[await _number(session, network, each) for each in port.addresses],
            )
        )
        touched.members.update(groups)
    await write(session, drafts)
    await _around(session, noted, around)
    touched.gateway = True
    touched.hosts.add(host)


KEPT = ("name", "description", "tags", "admin_state_up", "vnic_type", "profile", "port_security", "allowed_pairs")
"""What of a port is as it was, and says nothing of its server."""
TAKEN = ("device_id", "device_owner", "server_id", "position", "nic_tag", "host", "status", "fault")
"""What of a port that is there follows from the server it is given to."""


async def _around(session: Session, noted: Sequence[NotedPort], around: Regaining) -> None:
    """Make again what the host noted of routers, floating IPs and DHCP, now that the ports are there."""
    own = {port.network_id for port in noted}
    await around.dhcp(dhcp_port_id(network) for network in own)
    await around.routers(own)
    await around.floating([port.id for port in noted])
    if unknown := [port.id for port in noted if around.port(port.id) is None]:
        around.left.append(f"{around.heard.lack} This is so for {len(unknown)} of its {len(noted)} ports.")


async def _take_over(session: Session, touched: Touched, wanted: StoredPort, around: Regaining) -> bool:
    """Give the server a port that is there and nobody's. Returns whether it is there. Raises Conflict."""
    there = next(iter(await rows.lock(session, StoredPort, id=wanted.id)), None)
    if there is None:
        return False
    if there.server_id not in (None, wanted.server_id) or (there.server_id is None and there.device_id):
        raise errors.Conflict(f"Its port {wanted.id} belongs to {there.device_id} now{WITHOUT}.")
    if not around.is_sealed and there.project_id != wanted.project_id:
        raise errors.Conflict(f"Its port {wanted.id} belongs to another project now{WITHOUT}.")
    touched.hosts |= {there.host} if there.host else set()
    new = {name: getattr(wanted, name) for name in TAKEN}
    await rows.change(session, StoredPort, wanted.id, **new, hostname=there.hostname or wanted.hostname)
    return True


async def _require_free(session: Session, port: NotedPort, network: StoredNetwork) -> None:
    if other := await rows.one(session, StoredPort, network_id=network.id, mac=port.mac):
        raise errors.Conflict(f"Its MAC address {port.mac} is that of port {other.id} now{WITHOUT}.")
    for address in port.addresses:
        subnet, number = await _number(session, network, address)
        if await first_taken(session, subnet, [number]):
            raise errors.Conflict(f"Its address {address.ip} belongs to another port now{WITHOUT}.")


async def _number(session: Session, network: StoredNetwork, address: NotedAddress) -> tuple[str, int]:
    """Find the subnet of an address, which may have another id than it had where the network was made anew."""
    for subnet in await rows.find(session, StoredSubnet, network_id=network.id):
        if subnet.cidr == address.subnet.cidr:
            return subnet.id, number_of(address.ip)
    raise errors.Conflict(
        f"Its network {network.id} has no subnet {address.subnet.cidr} any more; create it again first."
    )


async def _network(session: Session, port: NotedPort, around: Regaining, beyond: Mapping[str, int]) -> StoredNetwork:
    """Find the network of a port, or make it and its subnets again."""
    network = await rows.one(session, StoredNetwork, id=port.network_id)
    if network is None:
        network = await _external_like(session, port)
    if network is None:
        known = around.network(port.network_id) or {}
        told = {"id": port.network_id, "name": port.network_name, "mtu": port.mtu, "network_type": "vxlan"}
        network = again(
            StoredNetwork,
            {**told, **known},
            project_id=await around.owner(known.get("project_id", around.was)),
            segment=await _segment(session, known),
            # A new database has a default network of its own; an external one was looked for by its range.
            is_default=False,
            physical_network=None,
            external=False,
            shared=bool(known.get("shared")) and around.may_make_open,
        )
        await rows.add(session, [network])
    if not network.external:
        for address in port.addresses:
            await _subnet(session, network, address, around.subnet(address.subnet.id), beyond)
    return network


async def _segment(session: Session, known: NotedRow) -> int:
    """Give a network the number that it had, which other hosts' guests on it still use; another where that is taken."""
    had: int | None = known.get("segment")
    if had is not None and await rows.one(session, StoredNetwork, segment=had) is None:
        return had
    return await networks.next_segment(session, HIGHEST_SEGMENT)


async def _external_like(session: Session, port: NotedPort) -> StoredNetwork | None:
    """Find an external network with the port's range: every new database makes its own for the same bridge."""
    for address in port.addresses:
        for subnet in await rows.find(session, StoredSubnet, cidr=address.subnet.cidr):
            if network := await rows.one(session, StoredNetwork, id=subnet.network_id, external=True):
                return network
    return None


async def _subnet(
    session: Session,
    network: StoredNetwork,
    address: NotedAddress,
    known: NotedRow | None,
    beyond: Mapping[str, int],
) -> None:
    noted = address.subnet
    for other in await rows.find(session, StoredSubnet, network_id=network.id):
        if other.cidr == noted.cidr:
            return
        if range_of(other.cidr).overlaps(range_of(noted.cidr)):
            raise errors.Conflict(f"Its range {noted.cidr} overlaps with the subnet {other.cidr} of its network.")
    told = {
        "id": noted.id,
        "cidr": noted.cidr,
        "gateway_ip": noted.gateway_ip,
        "dhcp": noted.dhcp,
        "dns_servers": list(noted.dns_servers),
        "host_routes": list(noted.host_routes),
        "pools": pools_of(range_of(noted.cidr), None, noted.gateway_ip),
    }
    row = again(
        StoredSubnet,
        {**told, **(known or {})},
        project_id=network.project_id,
        network_id=network.id,
        # New addresses are looked for beyond those of guests that may be taken over later.
        cursor=max(beyond.get(noted.id, 0) + 1, usable(range_of(noted.cidr))[0]),
    )
    await rows.add(session, [row])


async def _groups(session: Session, noted: Sequence[str], project_id: str) -> list[str]:
    """Return those of the groups that the project still has, or its default group."""
    found = await rows.find(session, StoredSecurityGroup, id=list(noted), project_id=project_id) if noted else []
    return rows.ids(found) or [await ensure_default(session, project_id)]
