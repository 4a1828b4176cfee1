"""The compute API as a whole: every route, in one table."""

from typing import Any

from novakit.api.compute import (
    aggregates,
    availability_zones,
    flavors,
    hypervisors,
    instance_actions,
    keypairs,
    not_served,
    quota_sets,
    server_actions,
    server_groups,
    server_metadata,
    server_networks,
    server_tags,
    servers,
    services,
    versions,
)
from novakit.api.compute.faults import shape
from novakit.api.service import Service

SERVICE: Service[Any] = Service(
    name="compute",
    routes=[
        *versions.ROUTES,
        *flavors.ROUTES,
        *keypairs.ROUTES,
        *servers.ROUTES,
        *server_actions.ROUTES,
        *server_metadata.ROUTES,
        *server_tags.ROUTES,
        *server_networks.ROUTES,
        *instance_actions.ROUTES,
        *server_groups.ROUTES,
        *quota_sets.ROUTES,
        *availability_zones.ROUTES,
        *services.ROUTES,
        *hypervisors.ROUTES,
        *aggregates.ROUTES,
        *not_served.ROUTES,
    ],
    shape=shape,
    microversions=versions.MICROVERSIONS,
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
)
"""`SERVICE.app(compute, authenticate)` is mounted at /compute; `compute` is `novakit.compute.service.Compute`."""
