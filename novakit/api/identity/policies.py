"""Who may do what with users, projects, roles and tokens: the identity API's rules, their public names and defaults.

One default says more than the public one: users list the roles that they have themselves.
"""

from collections.abc import Mapping

from novakit.policy import PolicyRule, table
from novakit.policy.rules import ANY_SCOPE, SYSTEM_OR_PROJECT

ADMIN = "rule:admin_required"
SYSTEM_READER = "rule:admin_required or (role:reader and system_scope:all)"

RULES: Mapping[str, PolicyRule] = table(
    ("admin_required", "role:admin or is_admin:1", (), ""),
    ("service_role", "role:service", (), ""),
    ("service_or_admin", "rule:admin_required or rule:service_role", (), ""),
    ("owner", "user_id:%(user_id)s", (), ""),
    ("admin_or_owner", "rule:admin_required or rule:owner", (), ""),
    ("token_subject", "user_id:%(target.token.user_id)s", (), ""),
    ("admin_or_token_subject", "rule:admin_required or rule:token_subject", (), ""),
    ("service_admin_or_token_subject", "rule:service_or_admin or rule:token_subject", (), ""),
    (
        "domain_managed_target_role",
        "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s",
        (),
        "",
    ),
    ("identity:get_auth_catalog", "", (), "GET /v3/auth/catalog; HEAD /v3/auth/catalog"),
    ("identity:get_auth_projects", "", (), "GET /v3/auth/projects; HEAD /v3/auth/projects"),
    ("identity:get_auth_domains", "", (), "GET /v3/auth/domains; HEAD /v3/auth/domains"),
    ("identity:get_auth_system", "", (), "GET /v3/auth/system; HEAD /v3/auth/system"),
    (
        "identity:get_domain",
        "rule:admin_required or (role:reader and system_scope:all) or "
        "token.domain.id:%(target.domain.id)s or token.project.domain.id:%(target.domain.id)s",
        ANY_SCOPE,
        "GET /v3/domains/{id}",
    ),
    (
        "identity:list_domains",
        "rule:admin_required or (role:reader and system_scope:all) or (role:reader and domain_id:%(target.domain.id)s)",
        ANY_SCOPE,
        "GET /v3/domains",
    ),
    ("identity:create_domain", ADMIN, SYSTEM_OR_PROJECT, "POST /v3/domains"),
    ("identity:get_endpoint", SYSTEM_READER, SYSTEM_OR_PROJECT, "GET /v3/endpoints/{id}"),
    ("identity:list_endpoints", SYSTEM_READER, SYSTEM_OR_PROJECT, "GET /v3/endpoints"),
    ("identity:create_endpoint", ADMIN, SYSTEM_OR_PROJECT, "POST /v3/endpoints"),
    ("identity:update_endpoint", ADMIN, SYSTEM_OR_PROJECT, "PATCH /v3/endpoints/{id}"),
    ("identity:delete_endpoint", ADMIN, SYSTEM_OR_PROJECT, "DELETE /v3/endpoints/{id}"),
    (
        "identity:check_grant",
        "(rule:admin_required) or ((role:reader and system_scope:all) or ((role:reader and "
        "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or "
        "(role:reader and domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or "
        "(role:reader and domain_id:%(target.group.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:reader and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
        "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s))",
        ANY_SCOPE,
        "HEAD /v3/projects/{project}/users/{user}/roles/{role}; GET /v3/projects/{project}/users/{user}/roles/{role}",
    ),
    (
        "identity:list_grants",
        "(rule:admin_required) or ((role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or "
        "(role:reader and domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or "
        "(role:reader and domain_id:%(target.group.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:reader and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s))",
        ANY_SCOPE,
        "GET /v3/projects/{project}/users/{user}/roles; HEAD /v3/projects/{project}/users/{user}/roles",
    ),
    (
        "identity:create_grant",
        "(rule:admin_required) or ((role:admin and domain_id:%(target.user.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.user.domain_id)s "
        "and domain_id:%(target.domain.id)s) or (role:admin and domain_id:%(target.group.domain_id)s "
        "and domain_id:%(target.project.domain_id)s) or (role:admin and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
        "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s) or ((role:manager and "
        "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or "
        "(role:manager and domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or "
        "(role:manager and domain_id:%(target.group.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:manager and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
        "rule:domain_managed_target_role",
        ANY_SCOPE,
        "PUT /v3/projects/{project}/users/{user}/roles/{role}",
    ),
    (
        "identity:revoke_grant",
        "(rule:admin_required) or ((role:admin and domain_id:%(target.user.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:admin and domain_id:%(target.user.domain_id)s "
        "and domain_id:%(target.domain.id)s) or (role:admin and domain_id:%(target.group.domain_id)s "
        "and domain_id:%(target.project.domain_id)s) or (role:admin and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
        "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s) or ((role:manager and "
        "domain_id:%(target.user.domain_id)s and domain_id:%(target.project.domain_id)s) or "
        "(role:manager and domain_id:%(target.user.domain_id)s and domain_id:%(target.domain.id)s) or "
        "(role:manager and domain_id:%(target.group.domain_id)s and "
        "domain_id:%(target.project.domain_id)s) or (role:manager and "
        "domain_id:%(target.group.domain_id)s and domain_id:%(target.domain.id)s)) and "
        "rule:domain_managed_target_role",
        ANY_SCOPE,
        "DELETE /v3/projects/{project}/users/{user}/roles/{role}",
    ),
    ("identity:list_system_grants_for_user", SYSTEM_READER, SYSTEM_OR_PROJECT, "GET /v3/system/users/{user}/roles"),
    (
        "identity:check_system_grant_for_user",
        SYSTEM_READER,
        SYSTEM_OR_PROJECT,
        "GET /v3/system/users/{user}/roles/{role}",
    ),
    ("identity:create_system_grant_for_user", ADMIN, SYSTEM_OR_PROJECT, "PUT /v3/system/users/{user}/roles/{role}"),
    ("identity:revoke_system_grant_for_user", ADMIN, SYSTEM_OR_PROJECT, "DELETE /v3/system/users/{user}/roles/{role}"),
    (
        "identity:get_project",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.project.domain_id)s and not None:%(target.project.domain_id)s) or "
        "project_id:%(target.project.id)s",
        ANY_SCOPE,
        "GET /v3/projects/{id}",
    ),
    (
        "identity:list_projects",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.domain_id)s)",
        ANY_SCOPE,
        "GET /v3/projects",
    ),
    (
        "identity:list_user_projects",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
        ANY_SCOPE,
        "GET /v3/users/{id}/projects",
    ),
    (
        "identity:create_project",
        "(rule:admin_required) or (role:manager and domain_id:%(target.project.domain_id)s and not "
        "None:%(target.project.domain_id)s)",
        ANY_SCOPE,
        "POST /v3/projects",
    ),
    (
        "identity:update_project",
        "(rule:admin_required) or (role:manager and domain_id:%(target.project.domain_id)s and not "
        "None:%(target.project.domain_id)s)",
        ANY_SCOPE,
        "PATCH /v3/projects/{id}",
    ),
    (
        "identity:delete_project",
        "(rule:admin_required) or (role:manager and domain_id:%(target.project.domain_id)s and not "
        "None:%(target.project.domain_id)s)",
        ANY_SCOPE,
        "DELETE /v3/projects/{id}",
    ),
    ("identity:get_region", "", ANY_SCOPE, "GET /v3/regions/{id}; HEAD /v3/regions/{id}"),
    ("identity:list_regions", "", ANY_SCOPE, "GET /v3/regions; HEAD /v3/regions"),
    ("identity:create_region", ADMIN, SYSTEM_OR_PROJECT, "POST /v3/regions; PUT /v3/regions/{id}"),
    (
        "identity:get_role",
        "(rule:admin_required or (role:reader and system_scope:all)) or (role:manager and "
        "rule:domain_managed_target_role)",
        ANY_SCOPE,
        "GET /v3/roles/{id}; HEAD /v3/roles/{id}",
    ),
    (
        "identity:list_roles",
        "(rule:admin_required or (role:reader and system_scope:all)) or (role:manager and not domain_id:None)",
        ANY_SCOPE,
        "GET /v3/roles; HEAD /v3/roles",
    ),
    ("identity:create_role", ADMIN, SYSTEM_OR_PROJECT, "POST /v3/roles"),
    ("identity:update_role", ADMIN, SYSTEM_OR_PROJECT, "PATCH /v3/roles/{id}"),
    ("identity:delete_role", ADMIN, SYSTEM_OR_PROJECT, "DELETE /v3/roles/{id}"),
    (
        "identity:list_role_assignments",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.domain_id)s) or user_id:%(target.user.id)s",
        ANY_SCOPE,
        "GET /v3/role_assignments; HEAD /v3/role_assignments",
    ),
    ("identity:get_service", SYSTEM_READER, SYSTEM_OR_PROJECT, "GET /v3/services/{id}"),
    ("identity:list_services", SYSTEM_READER, SYSTEM_OR_PROJECT, "GET /v3/services"),
    ("identity:create_service", ADMIN, SYSTEM_OR_PROJECT, "POST /v3/services"),
    ("identity:update_service", ADMIN, SYSTEM_OR_PROJECT, "PATCH /v3/services/{id}"),
    ("identity:delete_service", ADMIN, SYSTEM_OR_PROJECT, "DELETE /v3/services/{id}"),
    (
        "identity:check_token",
        "rule:admin_required or (role:reader and system_scope:all) or rule:token_subject",
        ANY_SCOPE,
        "HEAD /v3/auth/tokens",
    ),
    (
        "identity:validate_token",
        "rule:admin_required or (role:reader and system_scope:all) or rule:service_role or rule:token_subject",
        ANY_SCOPE,
        "GET /v3/auth/tokens",
    ),
    ("identity:revoke_token", "rule:admin_required or rule:token_subject", ANY_SCOPE, "DELETE /v3/auth/tokens"),
    (
        "identity:get_user",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "token.domain.id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
        ANY_SCOPE,
        "GET /v3/users/{id}; HEAD /v3/users/{id}",
    ),
    (
        "identity:list_users",
        "(rule:admin_required) or (role:reader and system_scope:all) or (role:reader and "
        "domain_id:%(target.domain_id)s)",
        ANY_SCOPE,
        "GET /v3/users; HEAD /v3/users",
    ),
    (
        "identity:create_user",
        "(rule:admin_required) or (role:manager and token.domain.id:%(target.user.domain_id)s)",
        ANY_SCOPE,
        "POST /v3/users",
    ),
    (
        "identity:update_user",
        "(rule:admin_required) or (role:manager and token.domain.id:%(target.user.domain_id)s)",
        ANY_SCOPE,
        "PATCH /v3/users/{id}",
    ),
    (
        "identity:delete_user",
        "(rule:admin_required) or (role:manager and token.domain.id:%(target.user.domain_id)s)",
        ANY_SCOPE,
        "DELETE /v3/users/{id}",
    ),
    # No public rule: users change their own password whatever roles they have.
    ("novakit:change_password", "user_id:%(target.user.id)s", ANY_SCOPE, "POST /v3/users/{id}/password"),
)
"""Every rule that a route of the identity API or its handler asks, and the rules that these refer to."""
