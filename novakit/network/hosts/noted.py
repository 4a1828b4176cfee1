"""What a host keeps of the networks around its guests, so that a database that never knew them can have them again.

Rows as they are in the tables, of everything that the guests of one host live with: their ports and security groups,
their networks, the routers on these with all their legs, the floating IPs that lead to them, and DHCP's ports.
What changes without anybody's asking is left out, so that equal notes mean that nothing was changed.
"""

import attrs

from novakit.store.network.remade import NotedRow
from novakit_hookspecs.fields import tuple_field


@attrs.frozen(kw_only=True)
class NotedNetworks:
    """Rows of the network service, by table."""

    networks: tuple[NotedRow, ...] = tuple_field()
    subnets: tuple[NotedRow, ...] = tuple_field()
    ports: tuple[NotedRow, ...] = tuple_field()
    addresses: tuple[NotedRow, ...] = tuple_field()
    """Of all ports."""
    port_groups: tuple[NotedRow, ...] = tuple_field()
    """Of the guests' ports."""
    groups: tuple[NotedRow, ...] = tuple_field()
    """Those of the guests, and those that their rules trust."""
    rules: tuple[NotedRow, ...] = tuple_field()
    routers: tuple[NotedRow, ...] = tuple_field()
    floating_ips: tuple[NotedRow, ...] = tuple_field()


NOTHING = NotedNetworks()
_UNKNOWN = "its routers, floating IPs and security group rules are not restored."
NO_NOTE = f"Its host keeps no note of what was around its ports: {_UNKNOWN}"
UNNAMED = f"Its host's note of networks does not name its ports: {_UNKNOWN}"
UNREADABLE = f"Its host's note of networks cannot be read, see the conductor's log: {_UNKNOWN}"
UNSEALED = f"Its host's note of networks was not sealed by this database, as its own note was: {_UNKNOWN}"


@attrs.frozen
class HeardNetworks:
    """What is believed of a host's note of networks."""

    noted: NotedNetworks = NOTHING
    lack: str = UNNAMED
    """Why nothing is known of a port that is not in it, in a sentence."""
    is_sealed: bool = False
    """Whether the database wrote it; else it is its host's word."""
