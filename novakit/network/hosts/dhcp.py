"""The ports through which DHCP and metadata of a network are served."""

from collections import defaultdict
from collections.abc import Mapping

from novakit.errors import Conflict
from novakit.network.allocation.drafts import PortDraft, choose, new_port, write
from novakit.network.records import derived_id
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.ports import StoredAddress, StoredPort, addresses_of, subnets_needing_dhcp
from novakit.store.network.subnets import StoredSubnet

OWNER = "network:dhcp"


def dhcp_port_id(network_id: str) -> str:
    """Return the id of a network's DHCP port, made or not."""
    return derived_id("dhcp-port", network_id)


async def missing(session: Session) -> dict[str, list[StoredSubnet]]:
    """Find the subnets that need an address for DHCP and have none, by network."""
    needing = await subnets_needing_dhcp(session)
    if not needing:
        return {}
    port_ids = [dhcp_port_id(network_id) for network_id in {row.network_id for row in needing}]
    have = {row.subnet_id for row in await addresses_of(session, port_ids)}
    found: dict[str, list[StoredSubnet]] = defaultdict(list)
    for subnet in needing:
        if subnet.id not in have:
            found[subnet.network_id].append(subnet)
    return found


async def make(session: Session, wanted: Mapping[str, list[StoredSubnet]]) -> None:
    """Make or complete the DHCP ports of networks; a network without a free address stays without DHCP."""
    for network_id, subnets in wanted.items():
        locked = await rows.lock(session, StoredSubnet, id=rows.ids(subnets))
        port_id = dhcp_port_id(network_id)
        present = await rows.one(session, StoredPort, id=port_id)
        have = {row.subnet_id for row in await addresses_of(session, [port_id])}
        row = new_port(
            network_id,
            id=port_id,
            device_id=f"dhcp-{network_id}",
            device_owner=OWNER,
            port_security=False,
            project_id=locked[0].project_id if locked else "",
        )
        for subnet in locked:
            draft = PortDraft(row=row, wants=[(subnet.id, None)])
            if subnet.id in have:
                continue
            try:
                await choose(session, [draft], {network_id: [subnet]})
            except Conflict:
                continue
            if present is None:
                await write(session, [draft])
                present = await rows.one(session, StoredPort, id=port_id)
            else:
                key, number = draft.numbers[0]
                await rows.add(session, [StoredAddress(key, number, port_id)])
                await rows.change(session, StoredPort, port_id)  # so that its revision tells of the address
