"""`Compute`: everything the compute API asks of, in one object."""

import attrs

from novakit.agent.calls import HostCalls
from novakit.bus import Bus, Targets
from novakit.compute.aggregates import Aggregates
from novakit.compute.flavors.flavors import Flavors
from novakit.compute.hosts import Hosts
from novakit.compute.keypairs import Keypairs
from novakit.compute.quotas import Quotas
from novakit.compute.server_groups import ServerGroups
from novakit.compute.servers import Servers
from novakit.conductor.creation import Creation
from novakit.conductor.requests import Requests
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.store import Store
from novakit.store.compute.liveness import Liveness


@attrs.define
class Compute:
    """The compute service as its API sees it."""

    config: Config
    store: Store
    bus: Bus
    identity: Identity
    images: Images
    networks: Networks
    placement: Placement
    liveness: Liveness = attrs.Factory(lambda self: Liveness(self.config.conductor.host_down_after), takes_self=True)
    flavors: Flavors = attrs.field(init=False)
    keypairs: Keypairs = attrs.field(init=False)
    quotas: Quotas = attrs.field(init=False)
    servers: Servers = attrs.field(init=False)
    creation: Creation = attrs.field(init=False)
    requests: Requests = attrs.field(init=False)
    hosts: Hosts = attrs.field(init=False)
    aggregates: Aggregates = attrs.field(init=False)
    server_groups: ServerGroups = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.flavors = Flavors(self.store)
        self.quotas = Quotas(self.store)
        self.keypairs = Keypairs(self.store, self.quotas)
        self.servers = Servers(self.store, Targets(HostCalls, self.bus, self.config), self.networks)
        self.creation = Creation(
            self.store, self.bus, self.images, self.networks, self.quotas, self.config.device_profiles
        )
        self.requests = Requests(self.store, self.bus)
        self.hosts = Hosts(self.store, self.bus, self.liveness)
        self.aggregates = Aggregates(self.store, self.bus)
        self.server_groups = ServerGroups(self.store, self.quotas, self.bus)
