"""The Open vSwitch network of novakit: ports, security groups, DHCP, routers and floating IPs."""

from collections.abc import Iterable

from novakit_hookspecs import hookimpl
from novakit_hookspecs.findings import ExaminesHost
from novakit_hookspecs.hosts import PreparesHost
from novakit_hookspecs.networks import API, ListsHoldings, NetworkSpec, RemovesAbandoned, ServesMetadata, VifBinding
from novakit_net_ovs.driver import OvsNetworks
from novakit_net_ovs.options import OvsOptions

__all__ = ["OvsNetworks", "OvsOptions", "novakit_networks"]


@hookimpl
def novakit_networks() -> Iterable[NetworkSpec]:
    """Offer the driver `ovs`."""
    yield NetworkSpec(
        name="ovs",
        api=API,
        build=OvsNetworks,
        options=OvsOptions,
        facets=frozenset({ServesMetadata, ListsHoldings, RemovesAbandoned, PreparesHost, ExaminesHost}),
        binding=VifBinding(vif_type="ovs"),
    )
