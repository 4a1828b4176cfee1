"""What administrators keep: projects, users, roles, assignments, domains, services, endpoints, regions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from novakit import errors, world
from novakit.identity import passwords
from novakit.identity.bootstrap import new_id
from novakit.identity.values import DirectoryKind, DirectoryValues, UserValues
from novakit.left_out import sent
from novakit.store import Store
from novakit.store.identity import directory as table

SYSTEM = table.SYSTEM
"""The target of a role assignment on the whole system, beside the ids of projects."""
_TABLES: Mapping[DirectoryKind, sa.Table] = {
    "domains": table.domains,
    "projects": table.projects,
    "users": table.users,
    "roles": table.roles,
    "regions": table.regions,
    "services": table.services,
    "endpoints": table.endpoints,
}


@attrs.frozen(kw_only=True)
class Assignment:
    """A role that a user has on a project or the system, with the names of all of them."""

    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    target_id: str
    """A project's id, or `SYSTEM`."""
    project_name: str | None
    project_domain_id: str | None
    project_domain_name: str | None
    role_id: str
    role_name: str
    prior: str | None = None
    """The role that was given, where it implies this one."""


@attrs.frozen(kw_only=True)
class DirectoryEntry:
    """One thing that the directory keeps, of whatever kind."""

    id: str
    values: Mapping[str, object]
    """The attributes of its kind, by name."""
    more: Mapping[str, object]
    """Attributes that clients added, as they were sent."""


_WITHHELD = frozenset({"id", "extra", "password_hash", "tokens_valid_from"})
"""Columns that are no attributes; a password's hash is for a login alone."""
_ATTRIBUTES = {kind: [each.name for each in of.c if each.name not in _WITHHELD] for kind, of in _TABLES.items()}


def _entry(kind: DirectoryKind, row: Mapping[str, object]) -> DirectoryEntry:
    values, extra = {name: row[name] for name in _ATTRIBUTES[kind]}, row["extra"]
    return DirectoryEntry(id=str(row["id"]), values=values, more=extra if isinstance(extra, dict) else {})


@attrs.frozen
class Directory:
    """The rows of identity, changed one transaction at a time."""

    store: Store
    changed: Callable[[], None]
    """Called after every change that may matter to a token."""

    async def listed(
        self, kind: DirectoryKind, filters: Mapping[str, object] | None = None
    ) -> Sequence[DirectoryEntry]:
        """Fetch what equals the filters."""
        async with self.store.read() as session:
            rows = await table.listed(session, _TABLES[kind], filters or {})
        return [_entry(kind, row) for row in rows]

    async def by_id(self, kind: DirectoryKind, key: str) -> DirectoryEntry:
        """Fetch one. Raises NotFound."""
        async with self.store.read() as session:
            row = await table.by_id(session, _TABLES[kind], key)
        if row is None:
            raise missing(kind, key)
        return _entry(kind, row)

    def has(self, kind: DirectoryKind, attribute: str) -> bool:
        """Return whether a kind keeps this attribute in a column of its own, so that its list can be filtered by it."""
        return attribute in _TABLES[kind].c

    async def create(self, values: DirectoryValues) -> DirectoryEntry:
        """Make one. Returns it. Raises Conflict where its name is taken."""
        of = _TABLES[values.KIND]
        row = {"id": new_id(), "extra": {}, **await _kept(of, values)}
        if isinstance(values, UserValues):
            row.setdefault("tokens_valid_from", world.now())
        async with self.store.write() as session:
            await table.create(session, of, row)
            made = await table.by_id(session, of, row["id"])
        assert made is not None
        return _entry(values.KIND, made)

    async def update(self, key: str, values: DirectoryValues) -> DirectoryEntry:
        """Change one. Returns it; a new password or a disabled account ends the tokens of a user."""
        of = _TABLES[values.KIND]
        row = await _kept(of, values)
        if isinstance(values, UserValues) and ("password_hash" in row or row.get("enabled") is False):
            row["tokens_valid_from"] = world.now()
        async with self.store.write() as session:
            session.after_commit(self.changed)
            after = await table.update(session, of, key, row)
        if after is None:
            raise missing(values.KIND, key)
        return _entry(values.KIND, after)

    async def delete(self, kind: DirectoryKind, key: str) -> None:
        """Remove one with its assignments. Raises NotFound."""
        async with self.store.write() as session:
            session.after_commit(self.changed)
            found = await table.delete(session, _TABLES[kind], key)
        if not found:
            raise missing(kind, key)

    async def assign(self, user_id: str, target_id: str, role_id: str) -> None:
        """Give a user a role on a project or the system. Raises NotFound for whichever of them does not exist."""
        async with self.store.write() as session:
            session.after_commit(self.changed)
            needed: Sequence[tuple[DirectoryKind, str]] = (
                ("users", user_id),
                ("roles", role_id),
                ("projects", target_id),
            )
            for kind, key in needed:
                if key != SYSTEM and await table.locked(session, _TABLES[kind], key) is None:
                    raise missing(kind, key)
            await table.assign(session, user_id, target_id, role_id)

    async def unassign(self, user_id: str, target_id: str, role_id: str) -> None:
        """Take a role back. Raises NotFound where it was not assigned."""
        async with self.store.write() as session:
            session.after_commit(self.changed)
            found = await table.unassign(session, user_id, target_id, role_id)
        if not found:
            raise errors.NotFound(f"Could not find role assignment with role: {role_id}, user: {user_id}.")

    async def assigned(self, filters: Mapping[str, str]) -> Sequence[Assignment]:
        """Fetch assignments with the names of all they speak of."""
        async with self.store.read() as session:
            return [Assignment(**row) for row in await table.assigned(session, filters)]

    async def role_graph(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """Fetch the names of roles by id, and which roles each directly implies."""
        async with self.store.read() as session:
            return await table.role_graph(session)

    async def roles_of(self, user_id: str, target_id: str) -> Sequence[DirectoryEntry]:
        """Fetch the roles that a user was given on a project or the system."""
        async with self.store.read() as session:
            rows = await table.roles_of(session, user_id, target_id)
        return [_entry("roles", row) for row in rows]

    async def projects_of(self, user_id: str) -> Sequence[DirectoryEntry]:
        """Fetch the projects on which a user has a role."""
        async with self.store.read() as session:
            rows = await table.projects_of(session, user_id)
        return [_entry("projects", row) for row in rows]


def missing(kind: DirectoryKind, key: str) -> errors.NotFound:
    """Say that something does not exist."""
    return errors.NotFound(f"Could not find {kind.removesuffix('s')}: {key}.")


async def _kept(of: sa.Table, values: DirectoryValues) -> dict[str, Any]:
    """Return the columns that the store keeps: a hash in the place of a password, an empty description for null."""
    said = sent(values)
    row = {name: value for name, value in said.items() if name in of.c}
    if "more" in said:
        row["extra"] = said["more"]
    if "description" in row and row["description"] is None:
        row["description"] = ""
    if isinstance(values, UserValues) and values.password:
        row["password_hash"] = await passwords.hashed(values.password)
    return row
