"""What a new cloud begins with."""

from novakit.context import RequestContext
from novakit.network import networks, subnets
from novakit.network.networks import NetworkDetails, NewNetwork
from novakit.network.subnets import NewSubnet
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.touched import Touched


async def external_network(
    session: Session,
    touched: Touched,
    *,
    project_id: str,
    cidr: str,
    gateway: str | None,
    physical_network: str,
) -> NetworkDetails:
    """Make the external network of a physical network with one subnet without DHCP, unless it is there."""
    admin: frozenset[str] = frozenset({"admin"})
    context = RequestContext(request_id="bootstrap", user_id="bootstrap", project_id=project_id, roles=admin)
    present = await rows.find(session, StoredNetwork, physical_network=physical_network)
    if present:
        (known,) = await networks.details(session, present)
    else:
        public = NewNetwork(
            name="public", external=True, is_default=True, network_type="flat", physical_network=physical_network
        )
        known = await networks.create(session, touched, context, public)
    if known.subnet_ids:
        return known
    wanted = NewSubnet(
        network_id=known.network.id, name="public-subnet", cidr=cidr, enable_dhcp=False, gateway_ip=gateway
    )
    subnet = await subnets.create(session, touched, context, wanted)
    return NetworkDetails(known.network, [subnet.id])
