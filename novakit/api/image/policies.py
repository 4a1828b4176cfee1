"""Who may do what to images: the image API's rules, their public names and defaults."""

from collections.abc import Mapping

from novakit.policy import PROJECT, PolicyRule, table

ADMIN = "rule:context_is_admin"
MEMBER = "rule:context_is_admin or (role:member and project_id:%(project_id)s)"
OWN_OR_SEEN = (
    "(project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or "
    "'public':%(visibility)s or 'shared':%(visibility)s)"
)
SHARED = "rule:context_is_admin or role:reader and (project_id:%(project_id)s or project_id:%(member_id)s)"

RULES: Mapping[str, PolicyRule] = table(
    ("default", "", (), ""),
    ("context_is_admin", "role:admin", (), ""),
    ("service_api", "role:service or role:admin", (), ""),
    (
        "add_image",
        "rule:context_is_admin or (role:member and project_id:%(project_id)s and project_id:%(owner)s)",
        PROJECT,
        "POST /v2/images",
    ),
    ("delete_image", MEMBER, PROJECT, "DELETE /v2/images/{id}"),
    (
        "get_image",
        f"rule:context_is_admin or (role:reader and {OWN_OR_SEEN})",
        PROJECT,
        "GET /v2/images/{id}",
    ),
    (
        "get_images",
        "rule:context_is_admin or (role:reader and project_id:%(project_id)s)",
        PROJECT,
        "GET /v2/images",
    ),
    (
        "modify_image",
        MEMBER,
        PROJECT,
        "PATCH /v2/images/{id}; PUT /v2/images/{id}/tags/{tag}; DELETE /v2/images/{id}/tags/{tag}",
    ),
    ("publicize_image", ADMIN, PROJECT, "POST /v2/images; PATCH /v2/images/{id}"),
    ("communitize_image", MEMBER, PROJECT, "POST /v2/images; PATCH /v2/images/{id}"),
    (
        "download_image",
        f"rule:context_is_admin or (role:member and {OWN_OR_SEEN})",
        PROJECT,
        "GET /v2/images/{id}/file",
    ),
    ("upload_image", MEMBER, PROJECT, "PUT /v2/images/{id}/file"),
    ("deactivate", MEMBER, PROJECT, "POST /v2/images/{id}/actions/deactivate"),
    ("reactivate", MEMBER, PROJECT, "POST /v2/images/{id}/actions/reactivate"),
    ("add_member", MEMBER, PROJECT, "POST /v2/images/{id}/members"),
    ("delete_member", MEMBER, PROJECT, "DELETE /v2/images/{id}/members/{member}"),
    ("get_member", SHARED, PROJECT, "GET /v2/images/{id}/members/{member}"),
    ("get_members", SHARED, PROJECT, "GET /v2/images/{id}/members"),
    (
        "modify_member",
        "rule:context_is_admin or (role:member and project_id:%(member_id)s)",
        PROJECT,
        "PUT /v2/images/{id}/members/{member}",
    ),
    # No public rules: whoever has a token may know what an image is made of, and how it is brought.
    ("novakit:schemas", "@", (), "GET /v2/schemas/{name}"),
    ("novakit:import_info", "@", (), "GET /v2/info/import"),
    ("novakit:image_usage", "rule:context_is_admin or role:reader", PROJECT, "GET /v2/info/usage"),
)
"""Every rule that a route of the image API or the images themselves ask, and the rules that these refer to."""
