"""What a token stands on: its user, project and roles at this moment, and the tokens that were revoked."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypedDict, cast

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.identity.directory import (
    UserOfDomain,
    assignments,
    domains,
    ensure,
    implied_roles,
    projects,
    revocations,
    roles,
    users,
)
from novakit.store.schema import JsonRows

_WHOSE = users.join(domains, users.c.domain_id == domains.c.id)
_PROJECT_DOMAIN = domains.alias()
_TARGET = sa.bindparam("target", type_=sa.String)
_DIRECT = sa.select(JsonRows(assignments.c.role_id)).where(
    assignments.c.user_id == users.c.id, assignments.c.target_id == _TARGET
)
_STANDING = (
    sa.select(
        users,
        domains.c.name.label("domain_name"),
        domains.c.enabled.label("domain_enabled"),
        *(projects.c[name].label(f"project_{name}") for name in ("id", "name", "domain_id")),
        _PROJECT_DOMAIN.c.name.label("project_domain_name"),
        sa.and_(projects.c.enabled, _PROJECT_DOMAIN.c.enabled).label("project_enabled"),
        sa.select(sa.func.count())
        .select_from(revocations)
        .where(revocations.c.audit_id.in_(sa.bindparam("audit_ids", expanding=True)))
        .scalar_subquery()
        .label("revoked"),
        _DIRECT.correlate(users).scalar_subquery().label("direct"),
        sa.select(JsonRows(roles.c.id, roles.c.name)).scalar_subquery().label("role_names"),
        sa.select(JsonRows(implied_roles.c.prior_id, implied_roles.c.implied_id)).scalar_subquery().label("implied"),
    )
    .select_from(
        _WHOSE.outerjoin(projects, projects.c.id == sa.bindparam("project")).outerjoin(
            _PROJECT_DOMAIN, projects.c.domain_id == _PROJECT_DOMAIN.c.id
        )
    )
    .where(users.c.id == sa.bindparam("user"))
)


class _ProjectOfStanding(TypedDict):
    project_id: str
    project_name: str
    project_domain_id: str
    project_domain_name: str
    project_enabled: bool


class _StandingOfUser(UserOfDomain):
    project_id: str | None
    project_name: str | None
    project_domain_id: str | None
    project_domain_name: str | None
    project_enabled: bool | None
    revoked: int
    direct: list[tuple[str]] | None
    role_names: list[tuple[str, str]] | None
    implied: list[tuple[str, str]] | None


@attrs.frozen(kw_only=True)
class ProjectOfToken:
    """The project that a token is for."""

    id: str
    name: str
    domain_id: str
    domain_name: str
    enabled: bool
    """Whether it and its domain are."""


@attrs.frozen(kw_only=True)
class Standing:
    """What a user is and may do on a target, for a token to be judged by."""

    user: UserOfDomain
    project: ProjectOfToken | None
    is_revoked: bool
    """Whether any token of the chain was revoked."""
    roles: Sequence[str]
    """Ids of those that are assigned on the target."""
    role_names: Mapping[str, str]
    implied: Mapping[str, Sequence[str]]
    """Which roles each directly implies, by id."""


async def standing(
    session: Session, user_id: str, *, project_id: str | None, target_id: str | None, audit_ids: Sequence[str]
) -> Standing | None:
    """Fetch all that a token stands on; None where there is no such user. One statement."""
    values = {"user": user_id, "project": project_id, "target": target_id, "audit_ids": list(audit_ids)}
    row = await session.first(_STANDING, values, of=_StandingOfUser)
    if row is None:
        return None
    implied: dict[str, list[str]] = {}
    for prior, follows in row["implied"] or ():
        implied.setdefault(prior, []).append(follows)
    return Standing(
        user=row,
        # With its id all else of it is there: its columns are never null.
        project=None if row["project_id"] is None else _project(cast(_ProjectOfStanding, row)),
        is_revoked=row["revoked"] > 0,
        roles=[role for (role,) in row["direct"] or ()],
        role_names=dict(row["role_names"] or ()),
        implied=implied,
    )


def _project(row: _ProjectOfStanding) -> ProjectOfToken:
    return ProjectOfToken(
        id=row["project_id"],
        name=row["project_name"],
        domain_id=row["project_domain_id"],
        domain_name=row["project_domain_name"],
        enabled=row["project_enabled"],
    )


KEPT = timedelta(days=1)
"""For how long a revocation outlives its token: a clock that ran ahead and is set back must not revive the token."""
AT_ONCE = 1000
"""Revocations that one transaction forgets."""


async def revoke(session: Session, audit_id: str, expires_at: datetime, user_id: str) -> None:
    """Refuse a token until it would have expired anyway."""
    await ensure(session, revocations, [{"audit_id": audit_id, "expires_at": expires_at, "user_id": user_id}])


async def revoked_of(session: Session, user_id: str) -> int:
    """Count the revocations of one user's tokens that are kept."""
    mine = sa.select(sa.func.count()).select_from(revocations).where(revocations.c.user_id == user_id)
    return int(await session.scalar(mine))


async def purge_revocations(session: Session, before: datetime) -> int:
    """Forget revocations of tokens that had expired a day before a moment, at most `AT_ONCE`. Returns how many went."""
    c = revocations.c
    old = await session.scalars(sa.select(c.audit_id).where(c.expires_at < before - KEPT).limit(AT_ONCE))
    return await session.changed(sa.delete(revocations).where(c.audit_id.in_(old))) if old else 0
