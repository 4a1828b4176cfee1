"""What the verbs work with: the store, the bus, and the other services as narrow clients."""

from collections.abc import Sequence

import attrs

from novakit.bus import Bus, Targets, client
from novakit.bus.tickets import Tickets
from novakit.calls.host import HostCalls
from novakit.calls.scheduler import SchedulerCalls
from novakit.concurrency.gather import Gather
from novakit.conductor.guests.note import Notary
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.store import Store
from novakit.store.compute import servers
from novakit.store.compute.liveness import Liveness
from novakit.store.compute.servers import ServerRow


@attrs.define
class ServerReader:
    """Reads the servers that operations under way work on, those that are wanted at one moment in one statement."""

    store: Store
    _reading: Gather[str, ServerRow | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reading = Gather(self._read)

    async def read(self, server_id: str) -> ServerRow | None:
        """Return the server; None for one that is deleted."""
        return await self._reading(server_id)

    async def _read(self, ids: Sequence[str]) -> list[ServerRow | None]:
        async with self.store.read() as session:
            found = {row["id"]: row for row in await servers.some(session, ids) if row["deleted_at"] is None}
        return [found.get(server_id) for server_id in ids]


@attrs.frozen(kw_only=True)
class Parts:
    """The conductor's tools."""

    config: Config
    store: Store
    bus: Bus
    identity: Identity
    images: Images
    tickets: Tickets
    networks: Networks
    placement: Placement
    wiring: Wiring
    notary: Notary
    liveness: Liveness = attrs.Factory(lambda self: Liveness(self.config.conductor.host_down_after), takes_self=True)
    servers: ServerReader = attrs.Factory(lambda self: ServerReader(self.store), takes_self=True)

    def image_url(self, image_id: str) -> str:
        """Return where hosts read and fill an image, with a ticket."""
        return f"{self.config.url}/novakit/hosts/v1/images/{image_id}"

    @property
    def hosts(self) -> Targets[HostCalls]:
        """The compute hosts, by name."""
        return Targets(HostCalls, self.bus, self.config)

    @property
    def scheduler(self) -> SchedulerCalls:
        """Whichever scheduler has least to do."""
        return client(SchedulerCalls, self.bus, self.config)
