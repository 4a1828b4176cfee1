"""What a guest takes of its host in the ledger, as a stranger and as a server."""

import uuid
from collections.abc import Mapping

from novakit import errors
from novakit.conductor.audit import needed
from novakit.conductor.guests.note import Note
from novakit.placement.ledger import AllocationClaim
from novakit.store.engine import Session
from novakit.store.placement import usages
from novakit.store.placement.hosts import device_id

STRANGER = "STRANGER"
"""The type of the consumers that hold what strangers take of their hosts."""
Allocations = Mapping[str, Mapping[str, int]]


def consumer_of(guest: str, host: str) -> str:
    """Name the consumer that holds what a stranger takes: not the guest's own id, which a server elsewhere may have."""
    return str(uuid.uuid5(uuid.UUID(guest), f"stranger on {host}"))


def stranger_claim(guest: str, host: str, allocations: Allocations | None = None, **owner: str) -> AllocationClaim:
    """Make the claim of a stranger; one of nothing gives everything back."""
    return AllocationClaim(
        consumer_id=consumer_of(guest, host),
        project_id=owner.get("project_id", ""),
        user_id=owner.get("user_id", ""),
        consumer_type=STRANGER,
        allocations=allocations or {},
    )


async def claim_of(session: Session, note: Note, provider: str) -> dict[str, dict[str, int]]:
    """Return what the guest of a note takes, by provider: as it was claimed, else as its flavor and devices say.

    `provider` is the host's own: whatever its note names, a guest takes nothing of another host.
    Raises Conflict where the host has lost a provider or a device.
    """
    if note.claim is not None:
        ids = await usages.ids_within(session, provider, note.claim)
        if missing := sorted(note.claim.keys() - ids.keys()):
            raise errors.Conflict(f"It takes something of {', '.join(missing)}, and its host has no such provider.")
        return {ids[name]: dict(amounts) for name, amounts in note.claim.items()}
    root = needed(note.server.flavor, note.server.image_properties)
    found: dict[str, dict[str, int]] = {}
    for address in note.devices:
        device = device_id(provider, address)
        stock = await usages.inventories_of(session, [device])
        if device not in stock:
            raise errors.Conflict(f"Its host does not report its device {address}.")
        name = next(iter(stock[device]))
        found[device] = {name: 1}
        root[name] = root.get(name, 1) - 1
    return {provider: {name: amount for name, amount in root.items() if amount > 0}, **found}


def totals(allocations: Allocations) -> dict[str, int]:
    """Sum amounts over providers, by resource class."""
    found: dict[str, int] = {}
    for amounts in allocations.values():
        for name, amount in amounts.items():
            found[name] = found.get(name, 0) + amount
    return found
