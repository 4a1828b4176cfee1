"""What the verbs work with: the store, the bus, and the other services as narrow clients."""

import attrs

from novakit.agent.calls import HostCalls
from novakit.bus import Bus, Targets, client
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.scheduler.calls import SchedulerCalls
from novakit.store import Store


@attrs.frozen(kw_only=True)
class Parts:
    """The conductor's tools."""

    config: Config
    store: Store
    bus: Bus
    identity: Identity
    images: Images
    networks: Networks
    placement: Placement
    wiring: Wiring

    @property
    def hosts(self) -> Targets[HostCalls]:
        """The compute hosts, by name."""
        return Targets(HostCalls, self.bus, self.config)

    @property
    def scheduler(self) -> SchedulerCalls:
        """Whichever scheduler has least to do."""
        return client(SchedulerCalls, self.bus, self.config)
