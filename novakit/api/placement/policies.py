"""Who may do what in Placement: its rules, their public names and defaults."""

from collections.abc import Mapping

from novakit.policy import PROJECT, PolicyRule, table

BOTH = "rule:admin_or_service_api"

RULES: Mapping[str, PolicyRule] = table(
    ("admin_api", "role:admin", (), ""),
    ("service_api", "role:service", (), ""),
    ("admin_or_service_api", "role:admin or role:service", (), ""),
    ("project_reader_api", "role:reader and project_id:%(project_id)s", (), ""),
    (
        "admin_or_project_reader_or_service_api",
        "role:admin or rule:project_reader_api or role:service",
        (),
        "",
    ),
    ("placement:resource_providers:aggregates:list", BOTH, PROJECT, "GET /resource_providers/{uuid}/aggregates"),
    ("placement:resource_providers:aggregates:update", BOTH, PROJECT, "PUT /resource_providers/{uuid}/aggregates"),
    ("placement:allocations:manage", BOTH, PROJECT, "POST /allocations"),
    ("placement:allocations:list", BOTH, PROJECT, "GET /allocations/{consumer_uuid}"),
    ("placement:allocations:update", BOTH, PROJECT, "PUT /allocations/{consumer_uuid}"),
    ("placement:allocations:delete", BOTH, PROJECT, "DELETE /allocations/{consumer_uuid}"),
    ("placement:resource_providers:allocations:list", BOTH, PROJECT, "GET /resource_providers/{uuid}/allocations"),
    ("placement:allocation_candidates:list", BOTH, PROJECT, "GET /allocation_candidates"),
    ("placement:resource_providers:inventories:list", BOTH, PROJECT, "GET /resource_providers/{uuid}/inventories"),
    ("placement:resource_providers:inventories:create", BOTH, PROJECT, "POST /resource_providers/{uuid}/inventories"),
    (
        "placement:resource_providers:inventories:show",
        BOTH,
        PROJECT,
        "GET /resource_providers/{uuid}/inventories/{resource_class}",
    ),
    (
        "placement:resource_providers:inventories:update",
        BOTH,
        PROJECT,
        "PUT /resource_providers/{uuid}/inventories; PUT /resource_providers/{uuid}/inventories/{resource_class}",
    ),
    (
        "placement:resource_providers:inventories:delete",
        BOTH,
        PROJECT,
        "DELETE /resource_providers/{uuid}/inventories; DELETE /resource_providers/{uuid}/inventories/{resource_class}",
    ),
    ("placement:reshaper:reshape", "rule:service_api", PROJECT, "POST /reshaper"),
    ("placement:resource_classes:list", BOTH, PROJECT, "GET /resource_classes"),
    ("placement:resource_classes:create", BOTH, PROJECT, "POST /resource_classes"),
    ("placement:resource_classes:show", BOTH, PROJECT, "GET /resource_classes/{name}"),
    ("placement:resource_classes:update", BOTH, PROJECT, "PUT /resource_classes/{name}"),
    ("placement:resource_classes:delete", BOTH, PROJECT, "DELETE /resource_classes/{name}"),
    ("placement:resource_providers:list", BOTH, PROJECT, "GET /resource_providers"),
    ("placement:resource_providers:create", BOTH, PROJECT, "POST /resource_providers"),
    ("placement:resource_providers:show", BOTH, PROJECT, "GET /resource_providers/{uuid}"),
    ("placement:resource_providers:update", BOTH, PROJECT, "PUT /resource_providers/{uuid}"),
    ("placement:resource_providers:delete", BOTH, PROJECT, "DELETE /resource_providers/{uuid}"),
    ("placement:traits:list", BOTH, PROJECT, "GET /traits"),
    ("placement:traits:show", BOTH, PROJECT, "GET /traits/{name}"),
    ("placement:traits:update", BOTH, PROJECT, "PUT /traits/{name}"),
    ("placement:traits:delete", BOTH, PROJECT, "DELETE /traits/{name}"),
    ("placement:resource_providers:traits:list", BOTH, PROJECT, "GET /resource_providers/{uuid}/traits"),
    ("placement:resource_providers:traits:update", BOTH, PROJECT, "PUT /resource_providers/{uuid}/traits"),
    ("placement:resource_providers:traits:delete", BOTH, PROJECT, "DELETE /resource_providers/{uuid}/traits"),
    ("placement:resource_providers:usages", BOTH, PROJECT, "GET /resource_providers/{uuid}/usages"),
    ("placement:usages", "rule:admin_or_project_reader_or_service_api", PROJECT, "GET /usages"),
)
"""Every rule that a route of the Placement API asks, and the rules that these refer to."""
