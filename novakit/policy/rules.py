"""One rule of a policy table, and what a caller is in the words that rules use."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from novakit.context import RequestContext, Target

PROJECT = ("project",)
SYSTEM_OR_PROJECT = ("system", "project")
ANY_SCOPE = ("system", "domain", "project")

Row = tuple[str, str, tuple[str, ...], str]


@attrs.frozen(kw_only=True)
class PolicyRule:
    """Who may do one thing."""

    name: str
    """The public name, as operators write it in policy.yaml."""
    check: str
    """The default, in the language of oslo.policy; an empty text lets everybody through who has a token."""
    scopes: tuple[str, ...] = ()
    """Scopes a token may have: system, domain, project. Empty asks no scope, as for a rule that others refer to."""
    operations: tuple[str, ...] = ()
    """What it decides about: `GET /servers`."""


def table(*rows: Row) -> Mapping[str, PolicyRule]:
    """Make a table of `(rule, default check, scopes, operations)`; operations are parted by `; `."""
    made = {
        name: PolicyRule(name=name, check=check, scopes=scopes, operations=tuple(filter(None, operations.split("; "))))
        for name, check, scopes, operations in rows
    }
    if len(made) != len(rows):
        names = [row[0] for row in rows]
        raise ValueError(f"twice in one policy table: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    return made


_OWN_USER = ("user_id", "target.user.id", "target.token.user_id")
_OWN_PROJECT = (
    *("project_id", "tenant_id", "owner", "member_id", "target.project.id"),
    *("network:project_id", "security_group:project_id", "ext_parent:project_id"),
    *("network:tenant_id", "security_group:tenant_id", "ext_parent:tenant_id"),
)


GIVEN = frozenset(
    {
        *(*_OWN_USER, *_OWN_PROJECT, "visibility", "image_type"),
        *("networks:shared", "networks:router:external", "port:device_owner"),
        *(
            f"target.{kind}.{part}"
            for kind in ("domain", "endpoint", "project", "region", "role", "service", "user")
            for part in ("id", "name")
        ),
    }
)
"""What services tell of the things that rules are asked about; public defaults name some that none tells, besides."""


def own(context: RequestContext) -> Target:
    """Describe a thing that is the caller's in every way: whoever fails on it may do this to nothing at all."""
    target: dict[str, str | bool | None] = dict.fromkeys(_OWN_USER, context.user_id)
    if context.project_id is not None:
        target |= dict.fromkeys(_OWN_PROJECT, context.project_id)
        target["target.domain.id"] = context.project_domain_id
    target |= {"visibility": "private", "image_type": "snapshot", "target.role.name": "member"}
    return target


OWN = frozenset(own(RequestContext(request_id="", user_id="", project_id="")))
"""What `own` tells of a thing."""


def credentials(context: RequestContext) -> dict[str, object]:
    """Write a caller as the checks of oslo.policy read it."""
    said: dict[str, Any] = {
        "user_id": context.user_id,
        "project_id": context.project_id,
        # As rules of the network service that operators have written for years call it.
        "tenant_id": context.project_id,
        # No project here is the one whose administrators are a cloud's; then every project counts as that.
        "is_admin_project": True,
        "user_domain_id": context.user_domain_id,
        "roles": sorted(context.roles),
        "is_admin": context.is_admin,
        "system_scope": "all" if context.system else None,
        # Nobody's token is scoped to a domain here. Checks such as `not domain_id:None` need the name nevertheless.
        "domain_id": None,
        "service_roles": [],
        "token": {"user": {"id": context.user_id, "domain": {"id": context.user_domain_id}}},
    }
    if context.system:
        said["system"] = "all"
    if context.project_id is not None:
        said["project_domain_id"] = context.project_domain_id
        said["token"]["project"] = {"id": context.project_id, "domain": {"id": context.project_domain_id}}
    return said


def scope_of(context: RequestContext) -> str | None:
    """Return what a token is scoped to."""
    if context.system:
        return "system"
    return "project" if context.project_id is not None else None


def names_of(rules: Sequence[PolicyRule]) -> list[str]:
    """List the names of rules in the order of the alphabet."""
    return sorted(rule.name for rule in rules)
