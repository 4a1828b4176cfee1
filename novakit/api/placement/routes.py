"""The route table of the Placement API."""

from novakit.api.placement import (
    aggregates,
    allocation_candidates,
    allocations,
    inventories,
    reshaper,
    resource_classes,
    resource_providers,
    root,
    traits,
    usages,
)
from novakit.api.placement.frame import MAXIMUM, MINIMUM, error_body, error_page
from novakit.api.service import Microversions, Route, Service
from novakit.placement import Placement

_PROVIDER = "/resource_providers/{uuid}"

ROUTES = (
    Route(method="GET", path="/", handler=root.show, public=True),
    Route(method="GET", path="", handler=root.show, public=True),
    Route(method="GET", path="/resource_classes", handler=resource_classes.list_all, since=(1, 2)),
    Route(method="POST", path="/resource_classes", handler=resource_classes.create, since=(1, 2)),
    Route(method="GET", path="/resource_classes/{name}", handler=resource_classes.show, since=(1, 2)),
    Route(
        method="PUT",
        path="/resource_classes/{name}",
        handler=resource_classes.rename,
        since=(1, 2),
        until=(1, 6),
    ),
    Route(method="PUT", path="/resource_classes/{name}", handler=resource_classes.ensure, since=(1, 7)),
    Route(method="DELETE", path="/resource_classes/{name}", handler=resource_classes.delete, since=(1, 2)),
    Route(method="GET", path="/resource_providers", handler=resource_providers.list_all),
    Route(method="POST", path="/resource_providers", handler=resource_providers.create),
    Route(method="GET", path=_PROVIDER, handler=resource_providers.show),
    Route(method="PUT", path=_PROVIDER, handler=resource_providers.update),
    Route(method="DELETE", path=_PROVIDER, handler=resource_providers.delete),
    Route(method="GET", path=f"{_PROVIDER}/inventories", handler=inventories.list_all),
    Route(method="POST", path=f"{_PROVIDER}/inventories", handler=inventories.create),
    Route(method="PUT", path=f"{_PROVIDER}/inventories", handler=inventories.replace),
    Route(method="DELETE", path=f"{_PROVIDER}/inventories", handler=inventories.delete_all),
    Route(method="GET", path=f"{_PROVIDER}/inventories/{{resource_class}}", handler=inventories.show),
    Route(method="PUT", path=f"{_PROVIDER}/inventories/{{resource_class}}", handler=inventories.update),
    Route(method="DELETE", path=f"{_PROVIDER}/inventories/{{resource_class}}", handler=inventories.delete),
    Route(method="GET", path=f"{_PROVIDER}/usages", handler=usages.of_provider),
    Route(method="GET", path=f"{_PROVIDER}/aggregates", handler=aggregates.show, since=(1, 1)),
    Route(method="PUT", path=f"{_PROVIDER}/aggregates", handler=aggregates.replace, since=(1, 1)),
    Route(method="GET", path=f"{_PROVIDER}/allocations", handler=allocations.list_of_provider),
    Route(method="GET", path=f"{_PROVIDER}/traits", handler=traits.list_of_provider, since=(1, 6)),
    Route(method="PUT", path=f"{_PROVIDER}/traits", handler=traits.replace, since=(1, 6)),
    Route(method="DELETE", path=f"{_PROVIDER}/traits", handler=traits.delete_of_provider, since=(1, 6)),
    Route(method="POST", path="/allocations", handler=allocations.post, since=(1, 13)),
    Route(method="GET", path="/allocations/{consumer_uuid}", handler=allocations.show),
    Route(method="PUT", path="/allocations/{consumer_uuid}", handler=allocations.put),
    Route(method="DELETE", path="/allocations/{consumer_uuid}", handler=allocations.delete),
    Route(method="GET", path="/allocation_candidates", handler=allocation_candidates.list_all, since=(1, 10)),
    Route(method="GET", path="/traits", handler=traits.list_all, since=(1, 6)),
    Route(method="GET", path="/traits/{name}", handler=traits.show, since=(1, 6)),
    Route(method="PUT", path="/traits/{name}", handler=traits.ensure, since=(1, 6)),
    Route(method="DELETE", path="/traits/{name}", handler=traits.delete, since=(1, 6)),
    Route(method="GET", path="/usages", handler=usages.of_project, since=(1, 9)),
    Route(method="POST", path="/reshaper", handler=reshaper.post, since=(1, 30)),
)

SERVICE: Service[Placement] = Service(
    name="placement",
    routes=ROUTES,
    shape=lambda error, request_id: error_body(error, request_id, None),
    shape_by_version=error_body,
    page=error_page,
    microversions=Microversions(
        service="placement",
        minimum=MINIMUM,
        maximum=MAXIMUM,
        vary="openstack-api-version",
        pattern=r"(-?\d{1,99})\.(-?\d{1,99})",
        outside="Unacceptable version header: {}. Versions {} to {} are served.",
        malformed="invalid version string: {}; use MAJOR.MINOR, such as 1.39",
    ),
)
