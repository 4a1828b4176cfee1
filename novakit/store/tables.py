"""Every table of the database: importing this module makes the metadata whole."""

from novakit.store import (  # noqa: F401
    aggregates,
    decisions,
    flavors,
    floating_ips,
    host_metrics,
    hosts,
    identity,
    images,
    keypairs,
    network_hosts,
    network_quotas,
    networks,
    numa,
    operations,
    placement,
    ports,
    quotas,
    routers,
    security_groups,
    server_groups,
    servers,
)

SCHEDULER_WRITES = frozenset(
    {
        "allocations",
        "consumers",
        "decisions",
        "inventories",
        "numa_claims",
        "resource_providers",
        "server_group_members",
    }
)
"""The tables that a scheduler may write: the ledger it claims in, and its decisions."""
