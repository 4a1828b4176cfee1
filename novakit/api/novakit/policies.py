"""Who may do what under /novakit: rules of our own, and those of server groups, which the compute API has too."""

from collections.abc import Mapping

from novakit.api.compute import policies as compute
from novakit.api.compute.policies import ADMIN, READER
from novakit.policy import PROJECT, Rule, table

_GROUPS = "os_compute_api:os-server-groups:"
RULES: Mapping[str, Rule] = {
    **{name: rule for name, rule in compute.RULES.items() if not rule.scopes or name.startswith(_GROUPS)},
    **table(
        ("novakit:decisions:list", READER, PROJECT, "GET /v1/decisions"),
        ("novakit:decisions:list:all_projects", ADMIN, PROJECT, "GET /v1/decisions"),
        ("novakit:decisions:show", READER, PROJECT, "GET /v1/decisions/{id}"),
        ("novakit:explain", READER, PROJECT, "POST /v1/explain"),
        ("novakit:explain:host", ADMIN, PROJECT, "POST /v1/explain"),
        ("novakit:capacity", ADMIN, PROJECT, "POST /v1/capacity"),
        ("novakit:scheduler", ADMIN, PROJECT, "GET /v1/scheduler"),
        ("novakit:trace", ADMIN, PROJECT, "GET /v1/trace"),
        ("novakit:audit", ADMIN, PROJECT, "GET /v1/audit"),
        ("novakit:guests:list", ADMIN, PROJECT, "GET /v1/guests"),
        ("novakit:guests:adopt", ADMIN, PROJECT, "POST /v1/guests/{id}/adopt"),
        ("novakit:guests:remove", ADMIN, PROJECT, "DELETE /v1/guests/{id}"),
    ),
}
