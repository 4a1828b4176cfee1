"""/flavors, their extra specs, and access to private ones."""

from collections.abc import Sequence

from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.bodies import ActionBody
from novakit.api.compute.domain import Compute
from novakit.api.compute.flavors.extra_specs import check_extra_specs
from novakit.api.compute.links import limit_and_marker, links, next_page
from novakit.api.compute.parameters import known_parameters, named, part
from novakit.api.compute.policies import FLAVOR_ACTIONS
from novakit.api.compute.projects import require_project
from novakit.api.compute.schemas import flavors as schemas
from novakit.api.documents import Document
from novakit.api.queries import strict_boolean
from novakit.api.service import Call, Route, reply
from novakit.compute.flavors.flavors import SORT_KEYS, Flavor

_ACTIONS = ("addTenantAccess", "removeTenantAccess")
_action = ActionBody(f"There is no such action: flavors have {' and '.join(_ACTIONS)}.", _ACTIONS)
QUERY = ("limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir")


def _id(call: Call[Compute]) -> str:
    """Return the flavor's id as it was sent: operators choose it, and it need be no UUID."""
    return named(call.request.match_info["id"])


async def index(call: Call[Compute]) -> web.Response:
    """List flavors by id and name."""
    found = await _page(call)
    return _list(call, found, [_brief(call, flavor) for flavor in found], "flavors")


async def detail(call: Call[Compute]) -> web.Response:
    """List flavors with all they say."""
    found = await _page(call)
    return _list(call, found, [view(call, flavor) for flavor in found], "flavors/detail")


async def show(call: Call[Compute]) -> web.Response:
    """Show one flavor that the caller may use."""
    return reply({"flavor": view(call, await call.service.flavors.show(call.context, _id(call)))})


async def create(call: Call[Compute]) -> web.Response:
    """Add a flavor."""
    new = await schemas.create.read(call)
    flavor = await call.service.flavors.create(
        name=new.name,
        flavor_id=new.id,
        vcpus=new.vcpus,
        ram=new.ram,
        disk=new.disk,
        ephemeral=new.ephemeral,
        swap=new.swap,
        rxtx_factor=new.rxtx_factor,
        is_public=new.is_public,
        description=new.description,
    )
    return reply({"flavor": view(call, flavor)})


async def update(call: Call[Compute]) -> web.Response:
    """Change a flavor's description, the only part that may change."""
    change = await schemas.update.read(call)
    flavor = await call.service.flavors.describe(_id(call), change.description)
    return reply({"flavor": view(call, flavor)})


async def delete(call: Call[Compute]) -> web.Response:
    """Delete a flavor."""
    await call.service.flavors.remove(_id(call))
    return reply(status=202)


async def list_extra_specs(call: Call[Compute]) -> web.Response:
    """Show every extra spec of a flavor."""
    flavor = await call.service.flavors.show(call.context, _id(call))
    return reply({"extra_specs": flavor["extra_specs"]})


async def show_extra_spec(call: Call[Compute]) -> web.Response:
    """Show one extra spec."""
    key = part(call, "key")
    flavor = await call.service.flavors.show(call.context, _id(call))
    if key not in flavor["extra_specs"]:
        raise errors.NotFound(f"Flavor {flavor['id']} has no extra specs with key {key}.")
    return reply({key: flavor["extra_specs"][key]})


async def create_extra_specs(call: Call[Compute]) -> web.Response:
    """Add or replace extra specs."""
    specs = await schemas.extra_specs.read(call)
    check_extra_specs(call.version, specs)
    await call.service.flavors.set_extra_specs(_id(call), specs)
    return reply({"extra_specs": specs})


async def update_extra_spec(call: Call[Compute]) -> web.Response:
    """Replace one extra spec."""
    key = part(call, "key")
    body = await schemas.extra_spec.read(call)
    if key not in body:
        raise errors.BadRequest("Request body and URI mismatch")
    specs = {key: body[key]}
    check_extra_specs(call.version, specs)
    await call.service.flavors.set_extra_specs(_id(call), specs)
    return reply(specs)


async def delete_extra_spec(call: Call[Compute]) -> web.Response:
    """Delete one extra spec."""
    await call.service.flavors.remove_extra_spec(_id(call), part(call, "key"))
    return reply(status=200)


async def list_access(call: Call[Compute]) -> web.Response:
    """List the projects that may use a private flavor."""
    flavor_id = _id(call)
    return _access(flavor_id, await call.service.flavors.projects_of(call.context, flavor_id))


async def act(call: Call[Compute]) -> web.Response:
    """Give a project access to a private flavor, or take it away."""
    flavor_id = _id(call)
    name, body = await _action.read(call)
    if name == "addTenantAccess":
        call.authorize("os_compute_api:os-flavor-access:add_tenant_access")
        project_id = ids.kept(schemas.add_tenant_access.record(call.version, body).tenant)
        await require_project(call, project_id)
        projects = await call.service.flavors.grant(flavor_id, project_id, refuse_public=call.version >= (2, 7))
    else:
        call.authorize("os_compute_api:os-flavor-access:remove_tenant_access")
        project_id = ids.kept(schemas.remove_tenant_access.record(call.version, body).tenant)
        projects = await call.service.flavors.revoke(flavor_id, project_id)
    return _access(flavor_id, projects)


def view(call: Call[Compute], flavor: Flavor) -> Document:
    """Write a flavor in full, as this version shows it."""
    swap = flavor["swap"] or (0 if call.version >= (2, 75) else "")
    shown = {
        "id": flavor["id"],
        "name": flavor["name"],
        "ram": flavor["ram"],
        "disk": flavor["disk"],
        "swap": swap,
        "OS-FLV-EXT-DATA:ephemeral": flavor["ephemeral"],
        "OS-FLV-DISABLED:disabled": flavor["disabled"],
        "vcpus": flavor["vcpus"],
        "os-flavor-access:is_public": flavor["is_public"],
        "rxtx_factor": flavor["rxtx_factor"],
        "links": links(call, "flavors", flavor["id"]),
    }
    if call.version >= (2, 55):
        shown["description"] = flavor["description"]
    if call.version >= (2, 61) and call.allows("os_compute_api:os-flavor-extra-specs:index"):
        shown["extra_specs"] = flavor["extra_specs"]
    return shown


def _brief(call: Call[Compute], flavor: Flavor) -> Document:
    shown: Document = {"id": flavor["id"], "name": flavor["name"], "links": links(call, "flavors", flavor["id"])}
    if call.version >= (2, 55):
        shown["description"] = flavor["description"]
    return shown


def _list(call: Call[Compute], found: Sequence[Flavor], shown: list[Document], place: str) -> web.Response:
    body: Document = {"flavors": shown}
    if more := next_page(call, place, [flavor["id"] for flavor in found]):
        body["flavors_links"] = more
    return reply(body)


def _access(flavor_id: str, projects: list[str]) -> web.Response:
    return reply({"flavor_access": [{"flavor_id": flavor_id, "tenant_id": project} for project in projects]})


async def _page(call: Call[Compute]) -> list[Flavor]:
    known_parameters(call, *QUERY)
    limit, marker = limit_and_marker(call)
    key, direction = call.query.get("sort_key") or "flavorid", call.query.get("sort_dir") or "asc"
    if key not in SORT_KEYS or direction not in ("asc", "desc"):
        raise errors.BadRequest(
            f"Flavors cannot be sorted by {key[:80]} {direction[:80]}; try sort_key=name&sort_dir=asc."
        )
    found: list[Flavor] = await call.service.flavors.page(
        call.context,
        is_public=_is_public(call),
        min_ram=_minimum(call, "minRam"),
        min_disk=_minimum(call, "minDisk"),
        sort_key=key,
        descending=direction == "desc",
        limit=limit,
        marker=marker,
    )
    return found


def _minimum(call: Call[Compute], name: str) -> int:
    try:
        return max(-1, min(int(call.query.get(name, "0")), 1 << 31))
    except ValueError as error:
        raise errors.BadRequest(f"Invalid {name} filter [{call.query[name][:80]}]") from error


def _is_public(call: Call[Compute]) -> bool | None:
    asked = call.query.get("is_public")
    if asked is None or not call.context.is_admin:
        return True
    return None if asked.lower() == "none" else strict_boolean(asked, "is_public")


ROUTES = [
    Route(method="GET", path="/v2.1/flavors", handler=index, rule="novakit:flavors:list"),
    Route(method="POST", path="/v2.1/flavors", handler=create, rule="os_compute_api:os-flavor-manage:create"),
    Route(method="GET", path="/v2.1/flavors/detail", handler=detail, rule="novakit:flavors:list"),
    Route(method="GET", path="/v2.1/flavors/{id}", handler=show, rule="novakit:flavors:show"),
    Route(
        method="PUT",
        path="/v2.1/flavors/{id}",
        handler=update,
        since=(2, 55),
        rule="os_compute_api:os-flavor-manage:update",
    ),
    Route(method="DELETE", path="/v2.1/flavors/{id}", handler=delete, rule="os_compute_api:os-flavor-manage:delete"),
    Route(
        method="GET",
        path="/v2.1/flavors/{id}/os-extra_specs",
        handler=list_extra_specs,
        rule="os_compute_api:os-flavor-extra-specs:index",
    ),
    Route(
        method="POST",
        path="/v2.1/flavors/{id}/os-extra_specs",
        handler=create_extra_specs,
        rule="os_compute_api:os-flavor-extra-specs:create",
    ),
    Route(
        method="GET",
        path="/v2.1/flavors/{id}/os-extra_specs/{key}",
        handler=show_extra_spec,
        rule="os_compute_api:os-flavor-extra-specs:show",
    ),
    Route(
        method="PUT",
        path="/v2.1/flavors/{id}/os-extra_specs/{key}",
        handler=update_extra_spec,
        rule="os_compute_api:os-flavor-extra-specs:update",
    ),
    Route(
        method="DELETE",
        path="/v2.1/flavors/{id}/os-extra_specs/{key}",
        handler=delete_extra_spec,
        rule="os_compute_api:os-flavor-extra-specs:delete",
    ),
    Route(
        method="GET",
        path="/v2.1/flavors/{id}/os-flavor-access",
        handler=list_access,
        rule="os_compute_api:os-flavor-access",
    ),
    Route(method="POST", path="/v2.1/flavors/{id}/action", handler=act, rules=FLAVOR_ACTIONS),
]
