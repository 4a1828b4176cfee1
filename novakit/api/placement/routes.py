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
from novakit.api.placement.frame import MAXIMUM, MINIMUM, denied, error_body, error_page
from novakit.api.placement.policies import RULES
from novakit.api.service import Microversions, Route, Service
from novakit.front.sharing import Cost
from novakit.placement import Placement

_PROVIDER = "/resource_providers/{uuid}"

ROUTES = (
    Route(method="GET", path="/", handler=root.discover, public=True),
    Route(method="GET", path="", handler=root.discover, public=True),
    Route(
        method="GET",
        path="/resource_classes",
        handler=resource_classes.list_all,
        since=(1, 2),
        rule="placement:resource_classes:list",
    ),
    Route(
        method="POST",
        path="/resource_classes",
        handler=resource_classes.create,
        since=(1, 2),
        rule="placement:resource_classes:create",
    ),
    Route(
        method="GET",
        path="/resource_classes/{name}",
        handler=resource_classes.show,
        since=(1, 2),
        rule="placement:resource_classes:show",
    ),
    Route(
        method="PUT",
        path="/resource_classes/{name}",
        handler=resource_classes.rename,
        since=(1, 2),
        until=(1, 6),
        rule="placement:resource_classes:update",
    ),
    Route(
        method="PUT",
        path="/resource_classes/{name}",
        handler=resource_classes.ensure,
        since=(1, 7),
        rule="placement:resource_classes:update",
    ),
    Route(
        method="DELETE",
        path="/resource_classes/{name}",
        handler=resource_classes.delete,
        since=(1, 2),
        rule="placement:resource_classes:delete",
    ),
    Route(
        method="GET",
        path="/resource_providers",
        handler=resource_providers.list_all,
        rule="placement:resource_providers:list",
    ),
    Route(
        method="POST",
        path="/resource_providers",
        handler=resource_providers.create,
        rule="placement:resource_providers:create",
    ),
    Route(method="GET", path=_PROVIDER, handler=resource_providers.show, rule="placement:resource_providers:show"),
    Route(method="PUT", path=_PROVIDER, handler=resource_providers.update, rule="placement:resource_providers:update"),
    Route(
        method="DELETE", path=_PROVIDER, handler=resource_providers.delete, rule="placement:resource_providers:delete"
    ),
    Route(
        method="GET",
        path=f"{_PROVIDER}/inventories",
        handler=inventories.list_all,
        rule="placement:resource_providers:inventories:list",
    ),
    Route(
        method="POST",
        path=f"{_PROVIDER}/inventories",
        handler=inventories.create,
        rule="placement:resource_providers:inventories:create",
    ),
    Route(
        method="PUT",
        path=f"{_PROVIDER}/inventories",
        handler=inventories.replace,
        rule="placement:resource_providers:inventories:update",
    ),
    Route(
        method="DELETE",
        path=f"{_PROVIDER}/inventories",
        handler=inventories.delete_all,
        rule="placement:resource_providers:inventories:delete",
    ),
    Route(
        method="GET",
        path=f"{_PROVIDER}/inventories/{{resource_class}}",
        handler=inventories.show,
        rule="placement:resource_providers:inventories:show",
    ),
    Route(
        method="PUT",
        path=f"{_PROVIDER}/inventories/{{resource_class}}",
        handler=inventories.update,
        rule="placement:resource_providers:inventories:update",
    ),
    Route(
        method="DELETE",
        path=f"{_PROVIDER}/inventories/{{resource_class}}",
        handler=inventories.delete,
        rule="placement:resource_providers:inventories:delete",
    ),
    Route(
        method="GET", path=f"{_PROVIDER}/usages", handler=usages.of_provider, rule="placement:resource_providers:usages"
    ),
    Route(
        method="GET",
        path=f"{_PROVIDER}/aggregates",
        handler=aggregates.show,
        since=(1, 1),
        rule="placement:resource_providers:aggregates:list",
    ),
    Route(
        method="PUT",
        path=f"{_PROVIDER}/aggregates",
        handler=aggregates.replace,
        since=(1, 1),
        rule="placement:resource_providers:aggregates:update",
    ),
    Route(
        method="GET",
        path=f"{_PROVIDER}/allocations",
        handler=allocations.list_of_provider,
        rule="placement:resource_providers:allocations:list",
    ),
    Route(
        method="GET",
        path=f"{_PROVIDER}/traits",
        handler=traits.list_of_provider,
        since=(1, 6),
        rule="placement:resource_providers:traits:list",
    ),
    Route(
        method="PUT",
        path=f"{_PROVIDER}/traits",
        handler=traits.replace,
        since=(1, 6),
        rule="placement:resource_providers:traits:update",
    ),
    Route(
        method="DELETE",
        path=f"{_PROVIDER}/traits",
        handler=traits.delete_of_provider,
        since=(1, 6),
        rule="placement:resource_providers:traits:delete",
    ),
    Route(
        method="POST", path="/allocations", handler=allocations.post, since=(1, 13), rule="placement:allocations:manage"
    ),
    Route(
        method="GET", path="/allocations/{consumer_uuid}", handler=allocations.show, rule="placement:allocations:list"
    ),
    Route(
        method="PUT",
        path="/allocations/{consumer_uuid}",
        handler=allocations.put,
        frees=True,
        rule="placement:allocations:update",
    ),
    Route(
        method="DELETE",
        path="/allocations/{consumer_uuid}",
        handler=allocations.delete,
        rule="placement:allocations:delete",
    ),
    Route(
        method="GET",
        path="/allocation_candidates",
        handler=allocation_candidates.list_all,
        since=(1, 10),
        rule="placement:allocation_candidates:list",
        cost=Cost.HEAVY,
    ),
    Route(method="GET", path="/traits", handler=traits.list_all, since=(1, 6), rule="placement:traits:list"),
    Route(method="GET", path="/traits/{name}", handler=traits.show, since=(1, 6), rule="placement:traits:show"),
    Route(method="PUT", path="/traits/{name}", handler=traits.ensure, since=(1, 6), rule="placement:traits:update"),
    Route(method="DELETE", path="/traits/{name}", handler=traits.delete, since=(1, 6), rule="placement:traits:delete"),
    Route(method="GET", path="/usages", handler=usages.of_project, since=(1, 9), rule="placement:usages"),
    Route(method="POST", path="/reshaper", handler=reshaper.post, since=(1, 30), rule="placement:reshaper:reshape"),
)

SERVICE: Service[Placement] = Service(
    name="placement",
    routes=ROUTES,
    policies=RULES,
    admin="admin_api",
    denied=denied,
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
