"""A way back in for whoever may write the database: new passwords, and an administrator that can log in."""

from collections.abc import Mapping
from typing import Any

from novakit import errors, world
from novakit.identity import bootstrap, passwords
from novakit.store import Session, Store
from novakit.store.identity import directory as table

ADMIN = "admin"
"""The name of the administrator and of the administrator's own project."""


async def reset_password(store: Store, name: str, password: str) -> None:
    """Give a user of the default domain a new password, which ends all of the user's tokens.

    Raises NotFound for an unknown user, and BadRequest for a password that is empty or too long.
    """
    if not 0 < len(password) <= passwords.MAX_LENGTH:
        raise errors.BadRequest(f"A password has 1 to {passwords.MAX_LENGTH} characters.")
    hashed = await passwords.hashed(password)
    async with store.write() as session:
        user = await table.user_of(session, name=name, domain=bootstrap.DOMAIN)
        if user is None:
            raise errors.NotFound(f"The database has no user {name} in the domain {bootstrap.DOMAIN}.")
        await table.update(
            session, table.users, user["id"], {"password_hash": hashed, "tokens_valid_from": world.now()}
        )


async def restore_admin(store: Store) -> list[str]:
    """Give the administrator back what a login needs, once all of it exists.

    Returns in a sentence each what was done.
    Domain, user and project are enabled; the role admin is given on the project and the system.
    """
    async with store.write() as session:
        domain = await table.by_id(session, table.domains, bootstrap.DOMAIN)
        user = await _one(session, table.users, {"name": ADMIN, "domain_id": bootstrap.DOMAIN})
        project = await _one(session, table.projects, {"name": ADMIN, "domain_id": bootstrap.DOMAIN})
        role = await _one(session, table.roles, {"name": ADMIN})
        done = []
        for what, of, row in (
            ("domain", table.domains, domain),
            ("user", table.users, user),
            ("project", table.projects, project),
        ):
            if row is not None and not row["enabled"]:
                await table.update(session, of, str(row["id"]), {"enabled": True})
                done.append(f"The {what} {row['name']} was disabled and is enabled again.")
        for target, called in ((project["id"], "its own project"), (table.SYSTEM, "the system")):
            if role["id"] not in {given["id"] for given in await table.roles_of(session, user["id"], target)}:
                await table.assign(session, user["id"], target, role["id"])
                done.append(f"The user {ADMIN} has the role {ADMIN} on {called} again.")
    return done


async def login_url(store: Store) -> str | None:
    """Return where clients log in by the catalog, or None where it has no public endpoint of the identity service."""
    async with store.read() as session:
        rows = await table.catalog(session)
    urls = [str(row["url"]) for row in rows if row["type"] == "identity" and row["interface"] == "public"]
    return urls[0] if urls else None


async def _one(session: Session, of: Any, filters: Mapping[str, Any]) -> Any:
    found = await table.listed(session, of, filters, 1)
    if not found:
        kind = of.name.removeprefix("identity_").removesuffix("s")
        raise errors.NotFound(f"The database has no {kind} named {ADMIN}; give the one that was renamed its name back.")
    return found[0]
