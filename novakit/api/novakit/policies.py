"""Who may do what under /novakit: rules of our own, and those of server groups, which the compute API has too."""

from collections.abc import Mapping

from novakit.api.compute import policies as compute
from novakit.compute.rules import ADMIN, MEMBER, READER
from novakit.policy import PROJECT, PolicyRule, table

_GROUP, _MEMBER = "/v1/server-groups/{id}", "/v1/server-groups/{id}/members/{server_id}"
RULES: Mapping[str, PolicyRule] = {
    **{name: rule for name, rule in compute.RULES.items() if not rule.scopes},
    **table(
        ("os_compute_api:os-server-groups:index", READER, PROJECT, "GET /v1/server-groups"),
        ("os_compute_api:os-server-groups:show", READER, PROJECT, f"GET {_GROUP}"),
        (
            "os_compute_api:os-server-groups:create",
            MEMBER,
            PROJECT,
            f"POST /v1/server-groups; PATCH {_GROUP}; PUT {_MEMBER}",
        ),
        ("os_compute_api:os-server-groups:delete", MEMBER, PROJECT, f"DELETE {_GROUP}; DELETE {_MEMBER}"),
        ("novakit:decisions:list", READER, PROJECT, "GET /v1/decisions"),
        ("novakit:decisions:list:all_projects", ADMIN, PROJECT, "GET /v1/decisions"),
        ("novakit:decisions:show", READER, PROJECT, "GET /v1/decisions/{id}"),
        ("novakit:explain", READER, PROJECT, "POST /v1/explain"),
        ("novakit:explain:host", ADMIN, PROJECT, "POST /v1/explain"),
        ("novakit:capacity", ADMIN, PROJECT, "POST /v1/capacity"),
        ("novakit:scheduler", ADMIN, PROJECT, "GET /v1/scheduler"),
        ("novakit:trace", ADMIN, PROJECT, "GET /v1/trace"),
        ("novakit:audit", ADMIN, PROJECT, "GET /v1/audit"),
        ("novakit:plugins", ADMIN, PROJECT, "GET /v1/plugins"),
        ("novakit:image-quotas:show", READER, PROJECT, "GET /v1/image-quotas/{project}"),
        (
            "novakit:image-quotas:update",
            ADMIN,
            PROJECT,
            "PUT /v1/image-quotas/{project}; DELETE /v1/image-quotas/{project}",
        ),
        ("novakit:image-files:list", ADMIN, PROJECT, "GET /v1/image-files"),
        ("novakit:image-files:adopt", ADMIN, PROJECT, "POST /v1/image-files/{name}/adopt"),
        ("novakit:image-files:remove", ADMIN, PROJECT, "DELETE /v1/image-files/{name}"),
        ("novakit:guests:list", ADMIN, PROJECT, "GET /v1/guests"),
        ("novakit:guests:adopt", ADMIN, PROJECT, "POST /v1/guests/{id}/adopt"),
        ("novakit:guests:remove", ADMIN, PROJECT, "DELETE /v1/guests/{id}"),
        ("novakit:strangers:list", ADMIN, PROJECT, "GET /v1/strangers"),
        ("novakit:strangers:remove", ADMIN, PROJECT, "DELETE /v1/strangers/{id}"),
    ),
}
