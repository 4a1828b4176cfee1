"""Who has which role where."""

from collections.abc import Iterable

import attrs
from aiohttp import web
from multidict import MultiMapping

from novakit import errors
from novakit.api import ids
from novakit.api.documents import Document
from novakit.api.identity import resources
from novakit.api.queries import choice, strict_boolean
from novakit.api.service import Call, Route, reply
from novakit.identity import Identity
from novakit.identity.directory import SYSTEM, Assignment
from novakit.identity.service import closure

INHERITED = "scope.OS-INHERIT:inherited_to"
FILTERS = (
    *("user.id", "group.id", "role.id", "scope.project.id", "scope.domain.id", "scope.system", INHERITED),
    *("effective", "include_names", "include_subtree"),
)
"""What the list of assignments can be asked for."""


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
    if all(each.id != role for each in await call.service.directory.roles_of(user, target)):
        raise errors.NotFound(f"Could not find role assignment with role: {role}, user: {user}.")
    return reply(status=204)


async def roles(call: Call[Identity]) -> web.Response:
    """List the roles that a user was given somewhere."""
    given = await call.service.directory.roles_of(call.path["user"], call.path.get("project", SYSTEM))
    return reply(resources.collection(call, "roles", [resources.ROLE.document(call, each) for each in given]))


async def every(call: Call[Identity]) -> web.Response:
    """List role assignments; `effective` adds the implied ones, `include_names` the names."""
    user = _id(call.request.query, "user.id")
    call.authorize(call.rule, {} if user is None else {"target.user.id": user})
    asked = _asked(call.request.query)
    filters = {"user_id": user, "target_id": SYSTEM if asked.system else asked.project if not asked.subtree else None}
    found: Iterable[Assignment] = await call.service.directory.assigned(
        {name: value for name, value in filters.items() if value is not None}
    )
    if asked.subtree:
        within = await _subtree(call.service, str(asked.project))
        found = [one for one in found if one.target_id in within]
    if asked.nobodys:
        found = []
    if asked.effective:
        found = await _expanded(call.service, found)
    items = [_document(call, one, asked.named) for one in found if asked.role in (None, one.role_id)]
    return reply(resources.collection(call, "role_assignments", items))


@attrs.frozen(kw_only=True)
class _Sought:
    """What the list was asked to hold."""

    project: str | None
    role: str | None
    system: bool
    subtree: bool
    """Whether the projects below `project` count, too."""
    effective: bool
    named: bool
    nobodys: bool
    """Whether it is asked for what no role is given to or on here: groups, domains, and what is inherited."""


def _asked(query: MultiMapping[str]) -> _Sought:
    """Read the query. Raises BadRequest for what the list cannot obey, and for what no assignment can be."""
    if odd := [name for name in query if name not in FILTERS]:
        raise errors.BadRequest(f"This list cannot be filtered by {odd[0][:80]!r}; it can by {', '.join(FILTERS)}.")
    if twice := [name for name in query if len(query.getall(name)) > 1]:
        raise errors.BadRequest(f"{twice[0]} was given more than once; give it once.")
    flags = {name: _flag(query, name) for name in ("effective", "include_names", "include_subtree", "scope.system")}
    wheres = [name for name in ("scope.project.id", "scope.domain.id") if name in query]
    wheres += ["scope.system"] if flags["scope.system"] else []
    if len(wheres) > 1:
        raise errors.BadRequest(f"{wheres[0]} and {wheres[1]} exclude each other; ask for one of them.")
    if "user.id" in query and "group.id" in query:
        raise errors.BadRequest("user.id and group.id exclude each other; ask for one of them.")
    for name in ("group.id", INHERITED):
        if flags["effective"] and name in query:
            raise errors.BadRequest(f"effective and {name} together never find anything; leave one of them out.")
    if flags["include_subtree"] and "scope.project.id" not in query:
        raise errors.BadRequest("include_subtree adds the projects below one; name that project with scope.project.id.")
    choice(query, INHERITED, ("projects",))
    return _Sought(
        project=_id(query, "scope.project.id"),
        role=_id(query, "role.id"),
        system=flags["scope.system"],
        subtree=flags["include_subtree"],
        effective=flags["effective"],
        named=flags["include_names"],
        nobodys=any(name in query for name in ("group.id", "scope.domain.id", INHERITED)),
    )


def _id(query: MultiMapping[str], name: str) -> str | None:
    said = query.get(name)
    return None if said is None else ids.kept(said)


def _flag(query: MultiMapping[str], name: str) -> bool:
    """Return whether a parameter is set: it is there without a value, or with one that means yes.

    Raises BadRequest for a value that is neither yes nor no.
    """
    said = query.get(name)
    if said is None or not said or (name, said) == ("scope.system", "all"):
        return said is not None
    return strict_boolean(said, name)


async def _subtree(service: Identity, project: str) -> set[str]:
    """Return the ids of a project and of all below it."""
    found: set[str] = set()
    below: dict[object, list[str]] = {}
    for each in await service.directory.listed("projects"):
        below.setdefault(each.values["parent_id"], []).append(each.id)
    rest = [project]
    while rest:
        if (one := rest.pop()) not in found:
            found.add(one)
            rest += below.get(one, [])
    return found


async def _expanded(service: Identity, assigned: Iterable[Assignment]) -> list[Assignment]:
    names, implies = await service.directory.role_graph()
    found: dict[tuple[str, str, str], Assignment] = {}
    for one in assigned:
        for role in sorted(closure([one.role_id], implies), key=lambda key: names[key]):
            same = role == one.role_id
            key = (one.user_id, one.target_id, role)
            if same or key not in found:
                prior = None if same else one.role_id
                found[key] = attrs.evolve(one, role_id=role, role_name=names[role], prior=prior)
    return list(found.values())


def _document(call: Call[Identity], one: Assignment, named: bool) -> Document:
    base = f"{call.service.url}/v3"
    user: Document = {"id": one.user_id}
    role: Document = {"id": one.role_id}
    project: Document = {"id": one.target_id}
    if named:
        role["name"] = one.role_name
        user |= {"name": one.user_name, "domain": {"id": one.user_domain_id, "name": one.user_domain_name}}
        domain = {"id": one.project_domain_id, "name": one.project_domain_name}
        project |= {"name": one.project_name, "domain": domain}
    on_system = one.target_id == SYSTEM
    scope = {"system": {"all": True}} if on_system else {"project": project}
    where = "system" if on_system else f"projects/{one.target_id}"
    links = {"assignment": f"{base}/{where}/users/{one.user_id}/roles/{one.prior or one.role_id}"}
    if one.prior:
        links["prior_role"] = f"{base}/roles/{one.prior}"
    return {"role": role, "user": user, "scope": scope, "links": links}


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
