"""Who has which role where."""

from collections.abc import Iterable

from aiohttp import web

from novakit import errors
from novakit.api.documents import Document, Row
from novakit.api.identity import resources
from novakit.api.queries import boolean
from novakit.api.service import Call, Route, reply
from novakit.identity import Identity
from novakit.identity.directory import SYSTEM
from novakit.identity.service import closure


def _place(call: Call[Identity]) -> tuple[str, str, str]:
    return call.path["user"], call.path.get("project", SYSTEM), call.path["role"]


async def grant(call: Call[Identity]) -> web.Response:
    """Give a user a role."""
    await call.service.directory.assign(*_place(call))
    return reply(status=204)


async def revoke(call: Call[Identity]) -> web.Response:
    """Take a role back."""
    await call.service.directory.unassign(*_place(call))
    return reply(status=204)


async def check(call: Call[Identity]) -> web.Response:
    """Return whether a user has a role."""
    user, target, role = _place(call)
    if all(row["id"] != role for row in await call.service.directory.roles_of(user, target)):
        raise errors.NotFound(f"Could not find role assignment with role: {role}, user: {user}.")
    return reply(status=204)


async def roles(call: Call[Identity]) -> web.Response:
    """List the roles that a user was given somewhere."""
    rows = await call.service.directory.roles_of(call.path["user"], call.path.get("project", SYSTEM))
    return reply(resources.collection(call, "roles", [resources.ROLE.document(call, row) for row in rows]))


async def every(call: Call[Identity]) -> web.Response:
    """List role assignments; `effective` adds the implied ones, `include_names` the names."""
    query = call.query
    filters = {"user_id": query.get("user.id"), "target_id": query.get("scope.project.id")}
    if "scope.system" in query:
        filters["target_id"] = SYSTEM
    call.authorize(call.rule, {} if filters["user_id"] is None else {"target.user.id": filters["user_id"]})
    rows: Iterable[Row] = await call.service.directory.assigned(
        {name: value for name, value in filters.items() if value is not None}
    )
    if "group.id" in query or "scope.domain.id" in query:
        rows = []
    if _flag(query.get("effective")):
        rows = await _expanded(call.service, rows)
    named = _flag(query.get("include_names"))
    wanted = query.get("role.id")
    items = [_document(call, row, named) for row in rows if wanted in (None, row["role_id"])]
    return reply(resources.collection(call, "role_assignments", items))


def _flag(said: str | None) -> bool:
    """Return whether a parameter is set: it is there, with any value but one that means no."""
    return said is not None and boolean(said, default=True)


async def _expanded(service: Identity, rows: Iterable[Row]) -> list[Row]:
    names, implies = await service.directory.role_graph()
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        for role in sorted(closure([row["role_id"]], implies), key=lambda key: names[key]):
            same = role == row["role_id"]
            expanded = {**row, "role_id": role, "role_name": names[role], "prior": None if same else row["role_id"]}
            key = (row["user_id"], row["target_id"], role)
            if same or key not in found:
                found[key] = expanded
    return list(found.values())


def _document(call: Call[Identity], row: Row, named: bool) -> dict[str, object]:
    base = f"{call.service.url}/v3"
    user: dict[str, object] = {"id": row["user_id"]}
    role: dict[str, object] = {"id": row["role_id"]}
    project: dict[str, object] = {"id": row["target_id"]}
    if named:
        role["name"] = row["role_name"]
        user |= {"name": row["user_name"], "domain": _domain(row, "user")}
        project |= {"name": row["project_name"], "domain": _domain(row, "project")}
    on_system = row["target_id"] == SYSTEM
    scope = {"system": {"all": True}} if on_system else {"project": project}
    given = row.get("prior") or row["role_id"]
    where = "system" if on_system else f"projects/{row['target_id']}"
    links = {"assignment": f"{base}/{where}/users/{row['user_id']}/roles/{given}"}
    if row.get("prior"):
        links["prior_role"] = f"{base}/roles/{row['prior']}"
    return {"role": role, "user": user, "scope": scope, "links": links}


def _domain(row: Row, whose: str) -> Document:
    return {"id": row[f"{whose}_domain_id"], "name": row[f"{whose}_domain_name"]}


def _routes_at(place: str, whole: str, one: str) -> list[Route]:
    """Return the routes of the roles at one place; `whole` and `one` are the ends of their rules."""
    check_rule = f"identity:check_{one}"
    return [
        Route(method="GET", path=place, handler=roles, rule=f"identity:list_{whole}"),
        Route(method="PUT", path=f"{place}/{{role}}", handler=grant, rule=f"identity:create_{one}"),
        Route(method="HEAD", path=f"{place}/{{role}}", handler=check, rule=check_rule),
        Route(method="GET", path=f"{place}/{{role}}", handler=check, rule=check_rule),
        Route(method="DELETE", path=f"{place}/{{role}}", handler=revoke, rule=f"identity:revoke_{one}"),
    ]


routes = (
    Route(method="GET", path="/v3/role_assignments", handler=every, rule="identity:list_role_assignments"),
    *_routes_at("/v3/projects/{project}/users/{user}/roles", "grants", "grant"),
    *_routes_at("/v3/system/users/{user}/roles", "system_grants_for_user", "system_grant_for_user"),
)
