"""Ports about to be made: choosing their addresses, writing many of them at once, and dropping them again.

The idea: whatever needs ports, a server's NICs, a gateway or a floating IP, hands in drafts of all of them, so that the
addresses of one subnet are chosen in one go and what is made together is written together.
The invariant: the subnets from which addresses are chosen are locked until the end of the transaction, and the key of
`port_addresses` refuses a second owner of an address should a lock be forgotten.
The cost: 3 statements to write any number of ports, and 1 for each window of addresses that is looked through.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import attrs

from novakit.network.allocation.addresses import ip_of, new_mac, take
from novakit.network.refusals import conflict, no_address_left
from novakit.store.engine import Session
from novakit.store.network import floating_ips, rows
from novakit.store.network.ports import PortInGroup, StoredAddress, StoredPort, first_taken, groups_of
from novakit.store.network.subnets import StoredSubnet
from novakit.store.network.touched import Touched


@attrs.define(kw_only=True)
class PortDraft:
    """A port about to be made or to get other addresses."""

    row: StoredPort
    wants: list[tuple[str, int | None]] | None = None
    """Subnet and address, or None for any address of it; None instead of the list is one address of any subnet."""
    groups: Sequence[str] = ()
    numbers: list[tuple[str, int]] = attrs.field(factory=list)
    """What was chosen."""


def new_port(
    network_id: str,
    *,
    id: str | None = None,
    project_id: str = "",
    name: str = "",
    description: str = "",
    tags: Sequence[str] = (),
    mac: str | None = None,
    admin_state_up: bool = True,
    status: str = "DOWN",
    device_id: str = "",
    device_owner: str = "",
    server_id: str | None = None,
    made: bool = False,
    position: int = 0,
    nic_tag: str | None = None,
    hostname: str = "",
    host: str | None = None,
    vnic_type: str = "normal",
    profile: Mapping[str, object] | None = None,
    port_security: bool = True,
    allowed_pairs: Sequence[tuple[str, str]] = (),
) -> StoredPort:
    """Make the row of a port."""
    return StoredPort(
        **rows.fresh(id=id, project_id=project_id, name=name, description=description, tags=tags),
        network_id=network_id,
        mac=mac or new_mac(),
        admin_state_up=admin_state_up,
        status=status,
        fault=None,
        device_id=device_id,
        device_owner=device_owner,
        server_id=server_id,
        made=made,
        position=position,
        nic_tag=nic_tag,
        hostname=hostname,
        host=host,
        vnic_type=vnic_type,
        profile=profile or {},
        port_security=port_security,
        allowed_pairs=list(allowed_pairs),
    )


async def choose(
    session: Session,
    drafts: Sequence[PortDraft],
    subnets: Mapping[str, Sequence[StoredSubnet]],
    near: Mapping[str, Collection[int]] | None = None,
) -> None:
    """Give every draft its addresses, from the locked subnets of each network.

    `near` are, by subnet, the addresses near its cursor that are in use, where the caller knows them.
    Raises IpAddressInUse when a wanted one is taken and IpAddressGenerationFailure when none is left.
    """
    by_id = {subnet.id: subnet for group in subnets.values() for subnet in group}
    taken: dict[str, set[int]] = defaultdict(set)
    # First, or an address that one draft leaves to chance could be the one that another one names.
    await _choose_named(session, drafts, taken)
    waiting: dict[str, list[PortDraft]] = defaultdict(list)
    for draft in drafts:
        for subnet_id, number in draft.wants or ():
            if number is None:
                waiting[subnet_id].append(draft)
    for subnet_id, askers in waiting.items():
        chosen = await take(session, by_id[subnet_id], len(askers), taken[subnet_id])
        if len(chosen) < len(askers):
            raise no_address_left(by_id[subnet_id].network_id)
        for draft, number in zip(askers, chosen, strict=True):
            draft.numbers.append((subnet_id, number))
    await _choose_any(session, drafts, subnets, taken, near or {})


async def _choose_named(session: Session, drafts: Sequence[PortDraft], taken: dict[str, set[int]]) -> None:
    for draft in drafts:
        for subnet_id, number in draft.wants or ():
            if number is not None:
                if number in taken[subnet_id]:
                    raise in_use(number, draft.row.network_id)
                taken[subnet_id].add(number)
                draft.numbers.append((subnet_id, number))
    for subnet_id, numbers in taken.items():
        if numbers and (found := await first_taken(session, subnet_id, numbers)):
            raise in_use(*found)


async def _choose_any(
    session: Session,
    drafts: Sequence[PortDraft],
    subnets: Mapping[str, Sequence[StoredSubnet]],
    taken: dict[str, set[int]],
    near: Mapping[str, Collection[int]],
) -> None:
    waiting: dict[str, list[PortDraft]] = defaultdict(list)
    for draft in drafts:
        if draft.wants is None and subnets.get(draft.row.network_id):
            waiting[draft.row.network_id].append(draft)
    for network_id, askers in waiting.items():
        left = list(reversed(askers))
        for subnet in subnets[network_id]:
            known = taken[subnet.id], near.get(subnet.id)
            for number in await take(session, subnet, len(left), *known) if left else ():
                left.pop().numbers.append((subnet.id, number))
        if left:
            raise no_address_left(network_id)


def in_use(number: int, network_id: str) -> Exception:
    """Make the error for an address that another port has."""
    return conflict(
        "IpAddressInUse",
        f"Unable to complete operation for network {network_id}. The IP address {ip_of(number)} is in use.",
    )


async def write(session: Session, drafts: Sequence[PortDraft]) -> None:
    """Insert ports with their addresses and groups: three statements for any number."""
    await rows.add(session, [draft.row for draft in drafts])
    chosen = [(draft.row.id, subnet_id, number) for draft in drafts for subnet_id, number in draft.numbers]
    await rows.add(session, [StoredAddress(subnet_id, number, port_id) for port_id, subnet_id, number in chosen])
    await rows.add(
        session, [PortInGroup(draft.row.id, group) for draft in drafts for group in dict.fromkeys(draft.groups)]
    )


async def drop(session: Session, touched: Touched, found: Sequence[StoredPort]) -> None:
    """Delete ports with all that hangs on them; floating IPs become free."""
    keys = rows.ids(found)
    touched.gateway = True
    touched.hosts |= {row.host for row in found if row.host}
    touched.members |= {line.group_id for line in await groups_of(session, keys)}
    await floating_ips.free(session, keys)
    await rows.remove(session, StoredPort, id=keys)
