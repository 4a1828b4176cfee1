"""Every table of the database: importing this module makes the metadata whole."""

# ruff: noqa: F401
from novakit.store import deployment, images, login_attempts, operations, placement
from novakit.store.compute import (
    aggregates,
    flavors,
    host_plugins,
    hosts,
    keypairs,
    left_guests,
    quotas,
    refused_hosts,
    server_groups,
    servers,
    strangers,
)
from novakit.store.identity import directory
from novakit.store.network import (
    floating_ips,
    networks,
    ports,
    routers,
    security_group_rules,
    security_groups,
    subnets,
)
from novakit.store.network import hosts as network_hosts
from novakit.store.network import quotas as network_quotas
from novakit.store.scheduler import decisions, host_metrics, numa

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
