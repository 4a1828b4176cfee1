"""What the verbs work with: the store, the bus, and the other services as narrow clients."""

import attrs

from novakit.bus import Bus
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
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
