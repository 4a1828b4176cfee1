"""Who may do what to volumes: the rules, public names and defaults of what the volume API answers."""

from collections.abc import Mapping

from novakit.policy import PROJECT, PolicyRule, table

ADMIN = "rule:admin_api"
READER = "rule:xena_system_admin_or_project_reader"
MEMBER = "rule:xena_system_admin_or_project_member"

RULES: Mapping[str, PolicyRule] = table(
    ("context_is_admin", "role:admin", (), ""),
    ("admin_api", "is_admin:True", (), ""),
    ("xena_system_admin_or_project_reader", "(role:admin) or (role:reader and project_id:%(project_id)s)", (), ""),
    ("xena_system_admin_or_project_member", "(role:admin) or (role:member and project_id:%(project_id)s)", (), ""),
    ("volume:get_all", READER, PROJECT, "GET /volumes; GET /volumes/detail"),
    ("volume:get", READER, PROJECT, "GET /volumes/{id}"),
    ("volume:get_all_snapshots", READER, PROJECT, "GET /snapshots; GET /snapshots/detail"),
    ("backup:get_all", READER, PROJECT, "GET /backups; GET /backups/detail"),
    ("volume_extension:type_get_all", READER, PROJECT, "GET /types"),
    ("volume_extension:services:index", ADMIN, PROJECT, "GET /os-services"),
    ("volume:availability_zone_list", "", PROJECT, "GET /os-availability-zone"),
    (
        "volume_extension:quotas:show",
        READER,
        PROJECT,
        "GET /os-quota-sets/{target}; GET /os-quota-sets/{target}/defaults",
    ),
    ("limits_extension:used_limits", READER, PROJECT, "GET /limits"),
    # No public rules: attachments are listed by whoever may list volumes; the rest is refused whoever asks.
    ("novakit:attachments:list", READER, PROJECT, "GET /attachments; GET /attachments/detail"),
    ("novakit:versions", "@", (), "GET /v3"),
    ("novakit:not_served", MEMBER, PROJECT, "every other operation"),
)
"""Every rule that a route of the volume API asks, and the rules that these refer to."""
