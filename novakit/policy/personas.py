"""The kinds of callers that a cloud has, to say of a rule whom it lets."""

from collections.abc import Mapping

from novakit.context import RequestContext, Target
from novakit.policy.rules import own

ME, MINE = "persona", "persona-project"
STRANGER = "another"


def caller(*roles: str, project: str | None = MINE, system: bool = False) -> RequestContext:
    """Make somebody with these roles."""
    return RequestContext(request_id="req-policy", user_id=ME, project_id=project, roles=roles, system=system)


IMPLIED: Mapping[str, tuple[str, ...]] = {
    "admin": ("manager", "member", "reader"),
    "manager": ("member", "reader"),
    "member": ("reader",),
}
"""The roles that whoever has a role has besides."""
PERSONAS: Mapping[str, RequestContext] = {
    **{role: caller(role, *implied) for role, implied in IMPLIED.items()},
    "reader": caller("reader"),
    "service": caller("service"),
    "no role": caller(),
    "system admin": caller("admin", *IMPLIED["admin"], project=None, system=True),
    "system reader": caller("reader", project=None, system=True),
    "unscoped": caller(project=None),
}
"""By name: effective roles, as role inference makes them, and the scope of the token."""


def foreign() -> Target:
    """Describe a thing that is another user's, in another project, and shown to nobody else."""
    strange = {name: STRANGER for name, value in own(PERSONAS["admin"]).items() if value in (ME, MINE)}
    return {**strange, "visibility": "private", "image_type": "snapshot"}
