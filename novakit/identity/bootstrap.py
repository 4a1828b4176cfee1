"""The first start: what a cloud needs before anybody can log in."""

from collections.abc import Mapping
from typing import Any

from novakit import world
from novakit.identity import passwords
from novakit.store import Session, Store
from novakit.store.identity import directory as table

DOMAIN = "default"
ROLES = ("admin", "manager", "member", "reader", "service")
IMPLIED = (("admin", "manager"), ("manager", "member"), ("member", "reader"))
INTERFACES = ("public", "internal", "admin")


def new_id() -> str:
    """Make an id as identity services write them: 32 hexadecimal digits."""
    return world.new_id().replace("-", "")


async def run(
    store: Store,
    people: Mapping[str, str | None],
    *,
    service_user: str,
    endpoints: Mapping[str, str],
    region: str,
    moves_endpoints: bool,
) -> None:
    """Make what is missing; `people` are names with passwords, each with a project of the same name.

    A user who is there already keeps the password of the database; the one given here may be None.
    Endpoints that the catalog has are changed only with `moves_endpoints`.
    """
    known = await user_names(store)
    new = {name: secret for name, secret in people.items() if name not in known and secret is not None}
    hashes = {name: await passwords.hashed(secret) for name, secret in new.items()}
    async with store.write() as session:
        await table.ensure(session, table.domains, [_row(DOMAIN, name="Default", description="The default domain")])
        roles = await _named(session, table.roles, [{"name": name} for name in ROLES])
        await table.ensure(
            session,
            table.implied_roles,
            [{"prior_id": roles[prior], "implied_id": roles[implied]} for prior, implied in IMPLIED],
        )
        projects = await _named(
            session,
            table.projects,
            [{"name": name, "domain_id": DOMAIN, "parent_id": DOMAIN, "enabled": True, "tags": []} for name in people],
        )
        users = await _named(
            session,
            table.users,
            [
                {
                    "name": name,
                    "domain_id": DOMAIN,
                    "enabled": True,
                    "password_hash": hashes.get(name),
                    "default_project_id": projects.get(name),
                    "tokens_valid_from": world.now(),
                }
                for name in (*people, service_user)
            ],
        )
        for name in people:
            if name not in known:
                role = roles["admin" if name == "admin" else "member"]
                await table.assign(session, users[name], projects[name], role)
        await table.assign(session, users["admin"], table.SYSTEM, roles["admin"])
        await _publish(session, endpoints, region, moves=moves_endpoints)


async def user_names(store: Store) -> set[str]:
    """Name the users of the default domain."""
    async with store.read() as session:
        return {str(row["name"]) for row in await table.listed(session, table.users, {"domain_id": DOMAIN})}


def _row(key: str, **values: object) -> dict[str, object]:
    return {"id": key, "enabled": True, "description": "", **values}


async def _named(session: Session, of: Any, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Make the rows whose names are not there yet. Returns all ids by name."""
    await table.ensure(session, of, [{"id": new_id(), "description": "", **row} for row in rows])
    wanted = [row["name"] for row in rows]
    filters: dict[str, Any] = {"name": wanted}
    if "domain_id" in of.c:
        filters["domain_id"] = DOMAIN
    return {str(row["name"]): str(row["id"]) for row in await table.listed(session, of, filters)}


async def _publish(session: Session, endpoints: Mapping[str, str], region: str, *, moves: bool) -> None:
    """Make the catalog say where each of our services is, with `moves` also where it is now; others' stay."""
    await table.ensure(session, table.regions, [{"id": region, "description": ""}])
    ours = await table.listed(session, table.services, {"type": list(endpoints)})
    by_type = {str(row["type"]): str(row["id"]) for row in reversed(ours)}
    known = await table.listed(session, table.endpoints, {"service_id": list(by_type.values()), "region_id": region})
    present = {(row["service_id"], row["interface"]): row for row in known}
    for kind, url in endpoints.items():
        if kind not in by_type:
            by_type[kind] = new_id()
            await table.create(session, table.services, _row(by_type[kind], type=kind, name=kind))
        for interface in INTERFACES:
            row = present.get((by_type[kind], interface))
            if row is None:
                await table.create(
                    session,
                    table.endpoints,
                    {
                        "id": new_id(),
                        "service_id": by_type[kind],
                        "interface": interface,
                        "region_id": region,
                        "url": url,
                        "enabled": True,
                    },
                )
            elif moves and row["url"] != url:
                await table.update(session, table.endpoints, str(row["id"]), {"url": url})
