"""The compute API as a whole: every route, in one table."""

from novakit.api.compute import keypairs, not_served, quotas, server_groups, versions
from novakit.api.compute.domain import Compute
from novakit.api.compute.faults import shape
from novakit.api.compute.flavors import flavors
from novakit.api.compute.hosts import aggregates, availability_zones, hypervisors, services
from novakit.api.compute.policies import RULES
from novakit.api.compute.servers import actions, instance_actions, metadata, networks, servers, tags
from novakit.api.service import Service

SERVICE: Service[Compute] = Service(
    name="compute",
    routes=[
        *versions.ROUTES,
        *flavors.ROUTES,
        *keypairs.ROUTES,
        *servers.ROUTES,
        *actions.ROUTES,
        *metadata.ROUTES,
        *tags.ROUTES,
        *networks.ROUTES,
        *instance_actions.ROUTES,
        *server_groups.ROUTES,
        *quotas.ROUTES,
        *availability_zones.ROUTES,
        *services.ROUTES,
        *hypervisors.ROUTES,
        *aggregates.ROUTES,
        *not_served.ROUTES,
    ],
    shape=shape,
    policies=RULES,
    microversions=versions.MICROVERSIONS,
    first_version_at=(versions.FIRST, versions.CURRENT),
    project_below=(versions.FIRST, versions.CURRENT),
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
)
"""`SERVICE.app(compute, authenticate)` is mounted at /compute; `compute` is `novakit.api.compute.domain.Compute`."""
