"""Every topic of the bus, with the record that is published on it.

News are hints: it is no fault when nobody listens, and a listener that missed one finds out by looking.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
import structlog

from novakit.bus.interface import Bus, Message
from novakit_hookspecs.fields import frozen_names
from novakit_hookspecs.plain import to_plain, to_record

log = structlog.get_logger(__name__)

R = TypeVar("R")


@attrs.frozen
class Topic(Generic[R]):
    """Something that is told to everybody who wants to know."""

    name: str
    record: type[R]

    async def publish(self, bus: Bus, news: R) -> None:
        """Tell it; raise `BusError` where the bus cannot be reached."""
        await bus.publish(self.name, to_plain(news))

    def listen(self, bus: Bus, hear: Callable[[R], None]) -> Callable[[], None]:
        """Hear it from now on; the result ends that. What cannot be understood is logged and passed over."""

        def heard(message: Message) -> None:
            try:
                news = to_record(dict(message.body), self.record, tolerant=True)
            except (TypeError, ValueError) as error:
                log.warning(
                    "a published message could not be read", topic=self.name, sender=message.sender, why=str(error)
                )
                return
            hear(news)

        return bus.listen(self.name, heard)


@attrs.frozen(kw_only=True)
class Changed:
    """Something changed; look for yourself."""


@attrs.frozen(kw_only=True)
class NewWork:
    """There are operations to do, and some that are to be stopped."""

    cancelled: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Ids of the operations that a delete has cancelled."""


@attrs.frozen(kw_only=True)
class NetworksChanged:
    """The wanted network state of hosts changed."""

    hosts: frozenset[str] = attrs.field(converter=frozen_names)


@attrs.frozen(kw_only=True)
class ServersChanged:
    """What is noted of servers changed, with nothing done on their hosts: names, metadata, tags, locks."""

    servers: frozenset[str] = attrs.field(converter=frozen_names)


@attrs.frozen(kw_only=True)
class GroupChanged:
    """A server group has another rule or other members."""

    id: str


@attrs.frozen(kw_only=True)
class BuildEnded:
    """A build ended on a host."""

    host: str
    worked: bool
    """False when the host failed; what a host refuses is the request's fault, and not published."""


OPERATIONS_NEW = Topic("operations.new", NewWork)
NETWORKS_CHANGED = Topic("networks.changed", NetworksChanged)
SERVERS_CHANGED = Topic("servers.changed", ServersChanged)
HOSTS_CHANGED = Topic("hosts.changed", Changed)
PLACEMENT_CHANGED = Topic("placement.changed", Changed)
AGGREGATES_CHANGED = Topic("aggregates.changed", Changed)
GROUPS_CHANGED = Topic("server_groups.changed", GroupChanged)
BUILDS_ENDED = Topic("builds.ended", BuildEnded)
