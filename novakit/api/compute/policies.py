"""Who may do what to servers and all around them: the compute API's rules, their public names and defaults.

Those of a server's actions, of `POST /servers` and `DELETE /servers/ID` stand in the records of what is done: a verb's
in its module, of what is no verb beside what does it, of what is not served yet beside its body.
"""

import re
from collections.abc import Mapping

from novakit.api.compute.schemas import not_served
from novakit.api.compute.servers.actions import PLAIN
from novakit.api.compute.servers.rules import with_rules_of
from novakit.compute.rules import ADMIN, ANYBODY, MANAGER, MEMBER, OWNER, READER
from novakit.conductor.verbs import VERBS
from novakit.policy import PROJECT, PolicyRule, table

_WITHOUT_RECORD = table(
    ("context_is_admin", "role:admin", (), ""),
    ("admin_or_owner", "is_admin:True or project_id:%(project_id)s", (), ""),
    ("admin_api", "is_admin:True", (), ""),
    ("project_manager_api", "role:manager and project_id:%(project_id)s", (), ""),
    ("project_member_api", "role:member and project_id:%(project_id)s", (), ""),
    ("project_reader_api", "role:reader and project_id:%(project_id)s", (), ""),
    ("service_api", "role:service", (), ""),
    ("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin", (), ""),
    ("project_member_or_admin", "rule:project_member_api or rule:context_is_admin", (), ""),
    ("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin", (), ""),
    ("service_or_admin", "rule:service_api or rule:context_is_admin", (), ""),
    # Flavors have no public rule: whoever has a token lists those that it may use.
    ("novakit:flavors:list", ANYBODY, PROJECT, "GET /flavors; GET /flavors/detail"),
    ("novakit:flavors:show", ANYBODY, PROJECT, "GET /flavors/{id}"),
    ("os_compute_api:servers:index", READER, PROJECT, "GET /servers"),
    ("os_compute_api:servers:detail", READER, PROJECT, "GET /servers/detail"),
    ("os_compute_api:servers:index:get_all_tenants", ADMIN, PROJECT, "GET /servers"),
    ("os_compute_api:servers:detail:get_all_tenants", ADMIN, PROJECT, "GET /servers/detail"),
    ("os_compute_api:servers:allow_all_filters", ADMIN, PROJECT, "GET /servers; GET /servers/detail"),
    ("os_compute_api:servers:show", READER, PROJECT, "GET /servers/{id}"),
    (
        "os_compute_api:servers:show:flavor-extra-specs",
        READER,
        PROJECT,
        "GET /servers/detail; GET /servers/{id}; PUT /servers/{id}",
    ),
    (
        "os_compute_api:servers:show:host_status",
        ADMIN,
        PROJECT,
        "GET /servers/{id}; GET /servers/detail; PUT /servers/{id}",
    ),
    (
        "os_compute_api:servers:show:host_status:unknown-only",
        ADMIN,
        PROJECT,
        "GET /servers/{id}; GET /servers/detail; PUT /servers/{id}",
    ),
    ("os_compute_api:servers:update", MEMBER, PROJECT, "PUT /servers/{id}"),
    ("os_compute_api:server-metadata:index", READER, PROJECT, "GET /servers/{id}/metadata"),
    ("os_compute_api:server-metadata:show", READER, PROJECT, "GET /servers/{id}/metadata/{key}"),
    ("os_compute_api:server-metadata:create", MEMBER, PROJECT, "POST /servers/{id}/metadata"),
    ("os_compute_api:server-metadata:update_all", MEMBER, PROJECT, "PUT /servers/{id}/metadata"),
    ("os_compute_api:server-metadata:update", MEMBER, PROJECT, "PUT /servers/{id}/metadata/{key}"),
    ("os_compute_api:server-metadata:delete", MEMBER, PROJECT, "DELETE /servers/{id}/metadata/{key}"),
    ("os_compute_api:os-server-tags:delete_all", MEMBER, PROJECT, "DELETE /servers/{id}/tags"),
    ("os_compute_api:os-server-tags:index", READER, PROJECT, "GET /servers/{id}/tags"),
    ("os_compute_api:os-server-tags:update_all", MEMBER, PROJECT, "PUT /servers/{id}/tags"),
    ("os_compute_api:os-server-tags:delete", MEMBER, PROJECT, "DELETE /servers/{id}/tags/{tag}"),
    ("os_compute_api:os-server-tags:update", MEMBER, PROJECT, "PUT /servers/{id}/tags/{tag}"),
    ("os_compute_api:os-server-tags:show", READER, PROJECT, "GET /servers/{id}/tags/{tag}"),
    ("os_compute_api:ips:show", READER, PROJECT, "GET /servers/{id}/ips/{network}"),
    ("os_compute_api:ips:index", READER, PROJECT, "GET /servers/{id}/ips"),
    ("os_compute_api:os-attach-interfaces:list", READER, PROJECT, "GET /servers/{id}/os-interface"),
    ("os_compute_api:os-attach-interfaces:show", READER, PROJECT, "GET /servers/{id}/os-interface/{port}"),
    ("os_compute_api:os-attach-interfaces:create", MEMBER, PROJECT, "POST /servers/{id}/os-interface"),
    ("os_compute_api:os-attach-interfaces:delete", MEMBER, PROJECT, "DELETE /servers/{id}/os-interface/{port}"),
    ("os_compute_api:os-security-groups:list", READER, PROJECT, "GET /servers/{id}/os-security-groups"),
    (
        "os_compute_api:os-instance-actions:events:details",
        ADMIN,
        PROJECT,
        "GET /servers/{id}/os-instance-actions/{request}",
    ),
    ("os_compute_api:os-instance-actions:events", ADMIN, PROJECT, "GET /servers/{id}/os-instance-actions/{request}"),
    ("os_compute_api:os-instance-actions:list", READER, PROJECT, "GET /servers/{id}/os-instance-actions"),
    ("os_compute_api:os-instance-actions:show", READER, PROJECT, "GET /servers/{id}/os-instance-actions/{request}"),
    ("os_compute_api:os-remote-consoles", MEMBER, PROJECT, "POST /servers/{id}/remote-consoles"),
    ("os_compute_api:os-volumes-attachments:index", READER, PROJECT, "GET /servers/{id}/os-volume_attachments"),
    ("os_compute_api:os-volumes-attachments:create", MEMBER, PROJECT, "POST /servers/{id}/os-volume_attachments"),
    (
        "os_compute_api:os-extended-server-attributes",
        ADMIN,
        PROJECT,
        "GET /servers/{id}; GET /servers/detail; PUT /servers/{id}",
    ),
    ("os_compute_api:os-aggregates:set_metadata", ADMIN, PROJECT, "POST /os-aggregates/{id}/action (set_metadata)"),
    ("os_compute_api:os-aggregates:add_host", ADMIN, PROJECT, "POST /os-aggregates/{id}/action (add_host)"),
    ("os_compute_api:os-aggregates:create", ADMIN, PROJECT, "POST /os-aggregates"),
    ("os_compute_api:os-aggregates:remove_host", ADMIN, PROJECT, "POST /os-aggregates/{id}/action (remove_host)"),
    ("os_compute_api:os-aggregates:update", ADMIN, PROJECT, "PUT /os-aggregates/{id}"),
    ("os_compute_api:os-aggregates:index", ADMIN, PROJECT, "GET /os-aggregates"),
    ("os_compute_api:os-aggregates:delete", ADMIN, PROJECT, "DELETE /os-aggregates/{id}"),
    ("os_compute_api:os-aggregates:show", ADMIN, PROJECT, "GET /os-aggregates/{id}"),
    ("os_compute_api:os-availability-zone:list", ANYBODY, PROJECT, "GET /os-availability-zone"),
    ("os_compute_api:os-availability-zone:detail", ADMIN, PROJECT, "GET /os-availability-zone/detail"),
    ("os_compute_api:extensions", ANYBODY, PROJECT, "GET /extensions; GET /extensions/{alias}"),
    (
        "os_compute_api:os-flavor-access:add_tenant_access",
        ADMIN,
        PROJECT,
        "POST /flavors/{id}/action (addTenantAccess)",
    ),
    (
        "os_compute_api:os-flavor-access:remove_tenant_access",
        ADMIN,
        PROJECT,
        "POST /flavors/{id}/action (removeTenantAccess)",
    ),
    ("os_compute_api:os-flavor-access", ADMIN, PROJECT, "GET /flavors/{id}/os-flavor-access"),
    ("os_compute_api:os-flavor-extra-specs:show", READER, PROJECT, "GET /flavors/{id}/os-extra_specs/{key}"),
    ("os_compute_api:os-flavor-extra-specs:create", ADMIN, PROJECT, "POST /flavors/{id}/os-extra_specs"),
    ("os_compute_api:os-flavor-extra-specs:update", ADMIN, PROJECT, "PUT /flavors/{id}/os-extra_specs/{key}"),
    ("os_compute_api:os-flavor-extra-specs:delete", ADMIN, PROJECT, "DELETE /flavors/{id}/os-extra_specs/{key}"),
    (
        "os_compute_api:os-flavor-extra-specs:index",
        READER,
        PROJECT,
        "GET /flavors/{id}/os-extra_specs; POST /flavors; GET /flavors/detail; GET /flavors/{id}; PUT /flavors/{id}",
    ),
    ("os_compute_api:os-flavor-manage:create", ADMIN, PROJECT, "POST /flavors"),
    ("os_compute_api:os-flavor-manage:update", ADMIN, PROJECT, "PUT /flavors/{id}"),
    ("os_compute_api:os-flavor-manage:delete", ADMIN, PROJECT, "DELETE /flavors/{id}"),
    ("os_compute_api:os-hypervisors:list", ADMIN, PROJECT, "GET /os-hypervisors"),
    ("os_compute_api:os-hypervisors:list-detail", ADMIN, PROJECT, "GET /os-hypervisors/detail"),
    ("os_compute_api:os-hypervisors:statistics", ADMIN, PROJECT, "GET /os-hypervisors/statistics"),
    ("os_compute_api:os-hypervisors:show", ADMIN, PROJECT, "GET /os-hypervisors/{id}"),
    ("os_compute_api:os-hypervisors:uptime", ADMIN, PROJECT, "GET /os-hypervisors/{id}/uptime"),
    ("os_compute_api:os-hypervisors:search", ADMIN, PROJECT, "GET /os-hypervisors/{id}/search"),
    ("os_compute_api:os-hypervisors:servers", ADMIN, PROJECT, "GET /os-hypervisors/{id}/servers"),
    ("os_compute_api:os-keypairs:index", OWNER, PROJECT, "GET /os-keypairs"),
    ("os_compute_api:os-keypairs:create", OWNER, PROJECT, "POST /os-keypairs"),
    ("os_compute_api:os-keypairs:delete", OWNER, PROJECT, "DELETE /os-keypairs/{name}"),
    ("os_compute_api:os-keypairs:show", OWNER, PROJECT, "GET /os-keypairs/{name}"),
    ("os_compute_api:limits", ANYBODY, PROJECT, "GET /limits"),
    ("os_compute_api:limits:other_project", ADMIN, PROJECT, "GET /limits"),
    ("os_compute_api:os-migrations:index", MANAGER, PROJECT, "GET /os-migrations"),
    ("os_compute_api:os-quota-sets:update", ADMIN, PROJECT, "PUT /os-quota-sets/{project}"),
    ("os_compute_api:os-quota-sets:defaults", ANYBODY, PROJECT, "GET /os-quota-sets/{project}/defaults"),
    ("os_compute_api:os-quota-sets:show", READER, PROJECT, "GET /os-quota-sets/{project}"),
    ("os_compute_api:os-quota-sets:delete", ADMIN, PROJECT, "DELETE /os-quota-sets/{project}"),
    ("os_compute_api:os-quota-sets:detail", READER, PROJECT, "GET /os-quota-sets/{project}/detail"),
    ("os_compute_api:os-server-groups:create", MEMBER, PROJECT, "POST /os-server-groups"),
    ("os_compute_api:os-server-groups:delete", MEMBER, PROJECT, "DELETE /os-server-groups/{id}"),
    ("os_compute_api:os-server-groups:index", READER, PROJECT, "GET /os-server-groups"),
    ("os_compute_api:os-server-groups:index:all_projects", ADMIN, PROJECT, "GET /os-server-groups"),
    ("os_compute_api:os-server-groups:show", READER, PROJECT, "GET /os-server-groups/{id}"),
    ("os_compute_api:servers:migrations:index", MANAGER, PROJECT, "GET /servers/{id}/migrations"),
    ("os_compute_api:os-services:list", ADMIN, PROJECT, "GET /os-services"),
    ("os_compute_api:os-services:update", ADMIN, PROJECT, "PUT /os-services/{id}"),
    ("os_compute_api:os-services:delete", ADMIN, PROJECT, "DELETE /os-services/{id}"),
)
RULES: Mapping[str, PolicyRule] = with_rules_of(
    [*(way for verb in VERBS.values() for way in verb.ways), *(one.action for one in PLAIN.values())],
    not_served.ACTIONS.values(),
    _WITHOUT_RECORD,
)
"""Every rule that a route of the compute API or its handler asks, and the rules that these refer to."""


def _named(path: str) -> dict[str, str]:
    """Find the rule of each action at a path; the first row that names an action has it."""
    found: dict[str, str] = {}
    for rule in _WITHOUT_RECORD.values():
        for operation in rule.operations:
            if match := re.fullmatch(rf"POST {re.escape(path)} \(([\w-]+)\)", operation):
                found.setdefault(match[1], rule.name)
    return found


FLAVOR_ACTIONS = _named("/flavors/{id}/action")
AGGREGATE_ACTIONS = _named("/os-aggregates/{id}/action")
