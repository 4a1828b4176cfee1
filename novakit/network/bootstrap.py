"""What a new cloud begins with."""

from typing import Any

from novakit.context import RequestContext
from novakit.network import networks, subnets
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.hosts import Touched
from novakit.store.network.networks import networks as network_rows
from novakit.store.network.networks import subnets as subnet_rows


async def external_network(
    session: Session,
    touched: Touched,
    *,
    project_id: str,
    cidr: str,
    gateway: str | None,
    physical_network: str,
) -> dict[str, Any]:
    """Make the external network of a physical network with one subnet without DHCP, unless it is there."""
    admin: frozenset[str] = frozenset({"admin"})
    context = RequestContext(request_id="bootstrap", user_id="bootstrap", project_id=project_id, roles=admin)
    present = await rows.one(session, network_rows, physical_network=physical_network)
    if present is None:
        shown = await networks.create(
            session,
            touched,
            context,
            {
                "name": "public",
                "router:external": True,
                "is_default": True,
                "provider:network_type": "flat",
                "provider:physical_network": physical_network,
            },
        )
    else:
        shown = (await networks.views(session, [present]))[0]
    if not await rows.one(session, subnet_rows, network_id=shown["id"]):
        wanted = {"network_id": shown["id"], "name": "public-subnet", "cidr": cidr, "enable_dhcp": False}
        subnet = await subnets.create(session, touched, context, {**wanted, "gateway_ip": gateway})
        shown["subnets"] = [subnet["id"]]
    return shown
