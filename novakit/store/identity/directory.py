"""Who exists and who may do what where: domains, projects, users, roles, assignments, the service catalog."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import sqlalchemy as sa

from novakit import errors
from novakit.store.engine import Session
from novakit.store.schema import UTC, metadata


def _id(name: str, *rest: Any, **options: Any) -> sa.Column[object]:
    return sa.Column(name, sa.String(64), *rest, **options)


def _named(*rest: object) -> list[object]:
    """Return the columns that every named thing has."""
    return [_id("id", primary_key=True), sa.Column("name", sa.String(255), nullable=False), *rest]


def _described(*rest: object) -> list[Any]:
    return _named(sa.Column("description", sa.Text, nullable=False, default=""), *rest)


def _extra() -> sa.Column[object]:
    """Make the column of the attributes that clients keep besides those of the API."""
    return sa.Column("extra", sa.JSON)


def _enabled() -> sa.Column[object]:
    return sa.Column("enabled", sa.Boolean, nullable=False, default=True)


def _domain() -> sa.Column[object]:
    return _id("domain_id", sa.ForeignKey("identity_domains.id"), nullable=False)


domains = sa.Table("identity_domains", metadata, *_described(_enabled(), _extra()), sa.UniqueConstraint("name"))

projects = sa.Table(
    "identity_projects",
    metadata,
    *_described(_enabled(), _domain(), _id("parent_id", nullable=False), _extra()),
    sa.Column("tags", sa.JSON, nullable=False, default=list),
    sa.UniqueConstraint("domain_id", "name"),
)


class ProjectRow(TypedDict):
    """A row of `identity_projects`."""

    id: str
    name: str
    description: str
    enabled: bool
    domain_id: str
    parent_id: str
    extra: Mapping[str, object] | None
    tags: list[str]


users = sa.Table(
    "identity_users",
    metadata,
    *_described(_enabled(), _domain(), _id("default_project_id"), _extra()),
    sa.Column("email", sa.String(255)),
    sa.Column("password_hash", sa.String(255)),
    sa.Column("tokens_valid_from", UTC, nullable=False),
    sa.UniqueConstraint("domain_id", "name"),
)
"""A token issued before `tokens_valid_from` is refused: a new password or a disabled account ends them all."""


class UserRow(TypedDict):
    """A row of `identity_users`."""

    id: str
    name: str
    description: str
    enabled: bool
    domain_id: str
    default_project_id: str | None
    extra: Mapping[str, object] | None
    email: str | None
    password_hash: str | None
    tokens_valid_from: datetime


roles = sa.Table("identity_roles", metadata, *_described(_extra()), sa.UniqueConstraint("name"))


class RoleRow(TypedDict):
    """A row of `identity_roles`."""

    id: str
    name: str
    description: str
    extra: Mapping[str, object] | None


implied_roles = sa.Table(
    "identity_implied_roles",
    metadata,
    _id("prior_id", sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
    _id("implied_id", sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
)

assignments = sa.Table(
    "identity_assignments",
    metadata,
    _id("user_id", sa.ForeignKey(users.c.id, ondelete="CASCADE"), primary_key=True),
    _id("target_id", primary_key=True),
    _id("role_id", sa.ForeignKey(roles.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Index(None, "target_id"),
)
"""`target_id` is a project's id, or `system`."""

revocations = sa.Table(
    "identity_revocations",
    metadata,
    _id("audit_id", primary_key=True),
    sa.Column("expires_at", UTC, nullable=False),
    _id("user_id", index=True),
)
"""`user_id` is whose token it was; null in rows from before it was kept."""

regions = sa.Table(
    "identity_regions",
    metadata,
    sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("parent_region_id", sa.String(255)),
    _extra(),
)

services = sa.Table(
    "identity_services", metadata, *_described(_enabled(), sa.Column("type", sa.String(255), nullable=False), _extra())
)

endpoints = sa.Table(
    "identity_endpoints",
    metadata,
    _id("id", primary_key=True),
    _id("service_id", sa.ForeignKey(services.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("interface", sa.String(8), nullable=False),
    sa.Column("region_id", sa.String(255), sa.ForeignKey(regions.c.id)),
    sa.Column("url", sa.Text, nullable=False),
    _enabled(),
    _extra(),
)

SYSTEM = "system"


async def listed(
    session: Session, table: sa.Table, filters: Mapping[str, object], limit: int = 10_000
) -> Sequence[Mapping[str, object]]:
    """Fetch the rows whose columns equal the filters, or are in them where a filter is a list; ordered by id."""
    query = sa.select(table).order_by(table.c.id).limit(limit)
    for name, value in filters.items():
        column = table.c[name]
        query = query.where(column.in_(value) if isinstance(value, (list, tuple, set, frozenset)) else column == value)
    return await session.all(query, of=Mapping[str, object])


async def by_id(session: Session, table: sa.Table, key: str) -> Mapping[str, object] | None:
    """Fetch one row by id."""
    return await session.first(sa.select(table).where(table.c.id == key), of=Mapping[str, object])


async def locked(session: Session, table: sa.Table, key: str) -> Mapping[str, object] | None:
    """Fetch one row by id and keep other writers off it until the end of the transaction."""
    found = await session.lock(sa.select(table).where(table.c.id == key), of=Mapping[str, object])
    return found[0] if found else None


async def create(session: Session, table: sa.Table, row: Mapping[str, object]) -> None:
    """Insert a row; raise `Conflict` where its name or id is taken, `BadRequest` where it refers to nothing."""
    try:
        await session.execute(sa.insert(table), [row])
    except sa.exc.IntegrityError as error:
        raise _refusal(table, row, error) from error


async def ensure(session: Session, table: sa.Table, rows: Iterable[Mapping[str, object]]) -> None:
    """Insert the rows that are not there yet."""
    if several := list(rows):
        await session.execute(session.insert(table).on_conflict_do_nothing(), several)


async def update(
    session: Session, table: sa.Table, key: str, values: Mapping[str, object]
) -> Mapping[str, object] | None:
    """Change a row and fetch it, or give None. Raises Conflict where the new name is taken."""
    try:
        if values:
            await session.execute(sa.update(table).where(table.c.id == key).values(**values))
    except sa.exc.IntegrityError as error:
        raise _refusal(table, values, error) from error
    return await by_id(session, table, key)


async def delete(session: Session, table: sa.Table, key: str) -> bool:
    """Delete a row with the assignments that name it. Returns whether it was there."""
    if table is projects:
        # A role that is granted on it at this moment is seen by the next statement.
        await locked(session, table, key)
        await session.execute(sa.delete(assignments).where(assignments.c.target_id == key))
    try:
        return await session.changed(sa.delete(table).where(table.c.id == key)) > 0
    except sa.exc.IntegrityError as error:
        raise errors.Conflict(f"{key} is still used by others; remove those first.") from error


def _refusal(table: sa.Table, row: Mapping[str, object], error: sa.exc.IntegrityError) -> errors.NovakitError:
    noun = table.name.removeprefix("identity_").removesuffix("s")
    if "foreign key" in str(error.orig).lower():
        return errors.BadRequest(f"The {noun} refers to something that does not exist; check its ids.")
    name = row.get("name", row.get("id", ""))
    return errors.Conflict(
        f"Conflict occurred attempting to store {noun} - it is not permitted to have two {noun}s with the same name "
        f"or id: {name}."
    )


class UserOfDomain(UserRow):
    """A user with the name and state of its domain."""

    domain_name: str
    domain_enabled: bool


class ProjectOfDomain(ProjectRow):
    """A project with the name and state of its domain."""

    domain_name: str
    domain_enabled: bool


async def user_of(session: Session, *, key: str | None = None, name: str = "", domain: str = "") -> UserOfDomain | None:
    """Fetch a user by id, or by name within a domain (by id or name), with the state and name of its domain."""
    query = sa.select(users, domains.c.name.label("domain_name"), domains.c.enabled.label("domain_enabled")).join_from(
        users, domains, users.c.domain_id == domains.c.id
    )
    return await session.first(query.where(*_who(users, key, name, domain)), of=UserOfDomain)


async def domain_of(session: Session, said: str) -> str | None:
    """Return the id of the domain with this id or name; None where there is none."""
    found: str | None = await session.scalar(
        sa.select(domains.c.id).where(sa.or_(domains.c.id == said, domains.c.name == said))
    )
    return found


async def project_of(
    session: Session, *, key: str | None = None, name: str = "", domain: str = ""
) -> ProjectOfDomain | None:
    """Fetch a project by id, or by name within a domain (by id or name), with the state and name of its domain."""
    query = sa.select(
        projects, domains.c.name.label("domain_name"), domains.c.enabled.label("domain_enabled")
    ).join_from(projects, domains, projects.c.domain_id == domains.c.id)
    return await session.first(query.where(*_who(projects, key, name, domain)), of=ProjectOfDomain)


async def projects_called(session: Session, wanted: str) -> list[str]:
    """Return the id of the project with this id, else those of all with this name, whatever their domain."""
    found = await session.scalars(sa.select(projects.c.id).where(projects.c.id == wanted))
    return list(found or await session.scalars(sa.select(projects.c.id).where(projects.c.name == wanted)))


def _who(table: sa.Table, key: str | None, name: str, domain: str) -> list[Any]:
    if key is not None:
        return [table.c.id == key]
    return [table.c.name == name, sa.or_(domains.c.id == domain, domains.c.name == domain)]


async def roles_of(session: Session, user_id: str, target_id: str) -> list[RoleRow]:
    """Fetch the roles that are assigned to a user on a project or the system, without the implied ones."""
    return await session.all(
        sa.select(roles)
        .join(assignments, assignments.c.role_id == roles.c.id)
        .where(assignments.c.user_id == user_id, assignments.c.target_id == target_id)
        .order_by(roles.c.name),
        of=RoleRow,
    )


async def role_graph(session: Session) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Fetch the names of all roles by id, and which roles each directly implies."""
    names = dict(await session.rows(sa.select(roles.c.id, roles.c.name)))
    implies: dict[str, list[str]] = {}
    for prior, implied in await session.rows(sa.select(implied_roles.c.prior_id, implied_roles.c.implied_id)):
        implies.setdefault(prior, []).append(implied)
    return names, implies


class NamedAssignment(TypedDict):
    """An assignment with the names of all that it speaks of."""

    user_id: str
    target_id: str
    role_id: str
    role_name: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    project_name: str | None
    project_domain_id: str | None
    project_domain_name: str | None


async def assigned(session: Session, filters: Mapping[str, str]) -> list[NamedAssignment]:
    """Fetch assignments, filtered by `user_id`, `target_id` and `role_id`, with the names of all they speak of."""
    user_domain, project_domain = domains.alias(), domains.alias()
    query = (
        sa.select(
            assignments,
            roles.c.name.label("role_name"),
            users.c.name.label("user_name"),
            users.c.domain_id.label("user_domain_id"),
            user_domain.c.name.label("user_domain_name"),
            projects.c.name.label("project_name"),
            projects.c.domain_id.label("project_domain_id"),
            project_domain.c.name.label("project_domain_name"),
        )
        .join(roles, roles.c.id == assignments.c.role_id)
        .join(users, users.c.id == assignments.c.user_id)
        .join(user_domain, user_domain.c.id == users.c.domain_id)
        .outerjoin(projects, projects.c.id == assignments.c.target_id)
        .outerjoin(project_domain, project_domain.c.id == projects.c.domain_id)
        .order_by(assignments.c.target_id, assignments.c.user_id, roles.c.name)
    )
    return await session.all(
        query.where(*(assignments.c[name] == value for name, value in filters.items())), of=NamedAssignment
    )


async def assign(session: Session, user_id: str, target_id: str, role_id: str) -> None:
    """Give a user a role on a project or the system; twice is once."""
    row = {"user_id": user_id, "target_id": target_id, "role_id": role_id}
    await ensure(session, assignments, [row])


async def unassign(session: Session, user_id: str, target_id: str, role_id: str) -> bool:
    """Take a role back. Returns whether it was there."""
    table = assignments.c
    return (
        await session.changed(
            sa.delete(assignments).where(
                table.user_id == user_id, table.target_id == target_id, table.role_id == role_id
            )
        )
        > 0
    )


async def projects_of(session: Session, user_id: str) -> list[ProjectRow]:
    """Fetch the enabled projects on which a user has any role."""
    mine = sa.select(assignments.c.target_id).where(assignments.c.user_id == user_id)
    return await session.all(
        sa.select(projects).where(projects.c.id.in_(mine), projects.c.enabled).order_by("name"), of=ProjectRow
    )


class CatalogEntry(TypedDict):
    """An endpoint with its service."""

    id: str
    service_id: str
    interface: str
    region_id: str | None
    url: str
    enabled: bool
    extra: Mapping[str, object] | None
    type: str
    name: str


async def catalog(session: Session) -> list[CatalogEntry]:
    """Fetch the enabled endpoints with their services, in the order in which a catalog shows them."""
    return await session.all(
        sa.select(endpoints, services.c.type, services.c.name)
        .join(services, services.c.id == endpoints.c.service_id)
        .where(endpoints.c.enabled, services.c.enabled)
        .order_by(services.c.type, services.c.id, endpoints.c.interface, endpoints.c.id),
        of=CatalogEntry,
    )
