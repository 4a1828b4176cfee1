"""What a router's ports must keep: subnets that do not overlap, and those that its floating IPs and routes need."""

from collections.abc import Sequence

from novakit.network.allocation.addresses import containing, number_of, range_of
from novakit.network.refusals import bad, conflict
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.ports import StoredPort, addresses_of
from novakit.store.network.routers import StoredRouter
from novakit.store.network.subnets import StoredSubnet

INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"


async def ports_of(session: Session, router_id: str, *owners: str) -> list[StoredPort]:
    """Return the ports of a router, all of them or those of some owners."""
    return await rows.find(session, StoredPort, device_id=router_id, device_owner=owners or (INTERFACE, GATEWAY))


async def refuse_overlap(
    session: Session, router_id: str, new: Sequence[StoredSubnet], *, besides: str | None = None
) -> None:
    """Refuse subnets that overlap one that the router is joined to by a port other than `besides`."""
    own = [port for port in await ports_of(session, router_id) if port.id != besides]
    joined = {line.subnet_id for line in await addresses_of(session, rows.ids(own))}
    for other in await rows.find(session, StoredSubnet, id=joined) if joined else ():
        for subnet in new:
            if subnet.id == other.id:
                raise bad("BadRequest", f"Bad router request: Router already has a port on subnet {subnet.id}.")
            if range_of(subnet.cidr).overlaps(range_of(other.cidr)):
                raise bad(
                    "BadRequest",
                    f"Bad router request: Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr "
                    f"{other.cidr} of subnet {other.id}.",
                )


async def refuse_needed(session: Session, router: StoredRouter, lost: Sequence[StoredSubnet]) -> None:
    """Refuse to part a router from subnets that a floating IP or a route of it needs."""
    parted = f"Router interface for subnet {{}} on router {router.id} cannot be deleted, as it is required by"
    for floating in await rows.find(session, StoredFloatingIp, router_id=router.id):
        if floating.fixed_number is not None and (subnet := containing(lost, floating.fixed_number)):
            reason = f"{parted.format(subnet.id)} one or more floating IPs."
            raise conflict("RouterInterfaceInUseByFloatingIP", reason)
    for destination, hop in router.routes:
        if subnet := containing(lost, number_of(hop)):
            reason = f"{parted.format(subnet.id)} the route {destination} via {hop}."
            raise conflict("RouterInterfaceInUseByRoute", reason)


async def check_moved(session: Session, port: StoredPort, before: set[str], after: set[str]) -> None:
    """Hold a router's port whose addresses were changed to what its router needs.

    `before` and `after` are the ids of the subnets it had and has addresses on.
    """
    if not after:
        raise bad("BadRequest", "Bad router request: Router port must have at least one fixed IP.")
    (router,) = await rows.lock(session, StoredRouter, id=port.device_id)
    await refuse_overlap(session, router.id, await rows.find(session, StoredSubnet, id=after), besides=port.id)
    if lost := before - after:
        await refuse_needed(session, router, await rows.find(session, StoredSubnet, id=lost))
