"""Ports about to be made: choosing their addresses and writing many of them at once."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from novakit.network.allocation.addresses import ip_of, new_mac, take
from novakit.network.refusals import conflict, no_address_left
from novakit.store.engine import Row, Session
from novakit.store.network import rows
from novakit.store.network.ports import addresses, first_taken, port_groups, ports


@attrs.define(kw_only=True)
class PortDraft:
    """A port about to be made or to get other addresses."""

    row: dict[str, Any]
    wants: list[tuple[str, int | None]] | None = None
    """Subnet and address, or None for any address of it; None instead of the list is one address of any subnet."""
    groups: Sequence[str] = ()
    numbers: list[tuple[str, int]] = attrs.field(factory=list)
    """What was chosen."""


def new_port(network_id: str, **values: Any) -> dict[str, Any]:
    """Make the row of a port."""
    standard = {
        "mac": new_mac(),
        "admin_state_up": True,
        "status": "DOWN",
        "fault": None,
        "device_id": "",
        "device_owner": "",
        "server_id": None,
        "made": False,
        "position": 0,
        "nic_tag": None,
        "hostname": "",
        "host": None,
        "vnic_type": "normal",
        "profile": {},
        "port_security": True,
        "allowed_pairs": [],
    }
    return rows.fresh(network_id=network_id, **{**standard, **values})


async def choose(session: Session, drafts: Sequence[PortDraft], subnets: Mapping[str, Sequence[Row]]) -> None:
    """Give every draft its addresses, from the locked subnets of each network.

    Raises IpAddressInUse when a wanted one is taken and IpAddressGenerationFailure when none is left.
    """
    by_id = {subnet["id"]: subnet for group in subnets.values() for subnet in group}
    taken: dict[str, set[int]] = defaultdict(set)
    await _choose_named(session, drafts, taken)
    waiting: dict[str, list[PortDraft]] = defaultdict(list)
    for draft in drafts:
        for subnet_id, number in draft.wants or ():
            if number is None:
                waiting[subnet_id].append(draft)
    for subnet_id, askers in waiting.items():
        chosen = await take(session, by_id[subnet_id], len(askers), taken[subnet_id])
        if len(chosen) < len(askers):
            raise no_address_left(by_id[subnet_id]["network_id"])
        for draft, number in zip(askers, chosen, strict=True):
            draft.numbers.append((subnet_id, number))
    await _choose_any(session, drafts, subnets, taken)


async def _choose_named(session: Session, drafts: Sequence[PortDraft], taken: dict[str, set[int]]) -> None:
    for draft in drafts:
        for subnet_id, number in draft.wants or ():
            if number is not None:
                if number in taken[subnet_id]:
                    raise in_use(number, draft.row["network_id"])
                taken[subnet_id].add(number)
                draft.numbers.append((subnet_id, number))
    for subnet_id, numbers in taken.items():
        if numbers and (found := await first_taken(session, subnet_id, numbers)):
            raise in_use(found["number"], found["network_id"])


async def _choose_any(
    session: Session, drafts: Sequence[PortDraft], subnets: Mapping[str, Sequence[Row]], taken: dict[str, set[int]]
) -> None:
    waiting: dict[str, list[PortDraft]] = defaultdict(list)
    for draft in drafts:
        if draft.wants is None and subnets.get(draft.row["network_id"]):
            waiting[draft.row["network_id"]].append(draft)
    for network_id, askers in waiting.items():
        left = list(reversed(askers))
        for subnet in subnets[network_id]:
            for number in await take(session, subnet, len(left), taken[subnet["id"]]) if left else ():
                left.pop().numbers.append((subnet["id"], number))
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
    await rows.add(session, ports, [draft.row for draft in drafts])
    await rows.add(
        session,
        addresses,
        [
            {"subnet_id": subnet_id, "number": number, "port_id": draft.row["id"]}
            for draft in drafts
            for subnet_id, number in draft.numbers
        ],
    )
    await rows.add(
        session,
        port_groups,
        [{"port_id": draft.row["id"], "group_id": group} for draft in drafts for group in dict.fromkeys(draft.groups)],
    )
