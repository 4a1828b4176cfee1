"""/traits and /resource_providers/{uuid}/traits."""

from aiohttp import web

from novakit import errors, world
from novakit.api.placement import query
from novakit.api.placement.frame import PlacementCall, answer, body, clean, href, require_json
from novakit.api.placement.schemas import names as schemas
from novakit.placement.records import ResourceProvider


async def list_all(call: PlacementCall) -> web.Response:
    """GET /traits; `name` is in:A,B or startswith:PREFIX, `associated` true or false."""
    require_json(call, reads=True)
    given = query.checked(call.request.query, schemas.LIST_TRAITS, call.version)
    within, prefix = _by_name(given["name"]) if "name" in given else (None, "")
    associated = given.get("associated", "").lower()
    if "associated" in given and associated not in ("true", "false"):
        raise errors.BadRequest('The query parameter "associated" only accepts "true" or "false"')
    found = await call.service.trait_names.every(
        within=within, prefix=prefix, associated=associated == "true" if associated else None
    )
    return answer(call, {"traits": found})


def _by_name(value: str) -> tuple[list[str] | None, str]:
    """Return the names, or what they begin with, of which a list is to be."""
    form, colon, rest = value.partition(":")
    if not colon:
        raise errors.BadRequest(
            "Badly formatted name parameter. Expected name query string parameter in form: "
            f'?name=[in|startswith]:[name1,name2|prefix]. Got: "{value}"'
        )
    if form == "in":
        return rest.split(","), ""
    return None, rest if form == "startswith" else ""


async def show(call: PlacementCall) -> web.Response:
    """GET /traits/{name}: 204 when there is such a trait."""
    require_json(call)
    name = clean(call.path["name"])
    since = await call.service.trait_names.since(name)
    if since is None:
        raise errors.NotFound(f"No such trait(s): {name}.")
    return answer(call, None, 204, modified=since)


async def ensure(call: PlacementCall) -> web.Response:
    """PUT /traits/{name}: make a custom trait, or see that it is there."""
    require_json(call)
    name = call.path["name"]
    schemas.CUSTOM.check(name)
    new = await call.service.trait_names.ensure(name)
    return answer(call, None, 201 if new else 204, modified=world.now(), location=href(call, "traits", name))


async def delete(call: PlacementCall) -> web.Response:
    """DELETE /traits/{name}."""
    require_json(call)
    name = clean(call.path["name"])
    await call.service.trait_names.delete(name)
    return answer(call, None, 204)


async def list_of_provider(call: PlacementCall) -> web.Response:
    """GET /resource_providers/{uuid}/traits."""
    require_json(call, reads=True)
    return _answer(call, *await call.service.providers.traits(clean(call.path["uuid"])))


def _answer(call: PlacementCall, provider: ResourceProvider, names: list[str]) -> web.Response:
    said = {"traits": names, "resource_provider_generation": provider.generation}
    return answer(call, said, modified=provider.updated_at)


async def replace(call: PlacementCall) -> web.Response:
    """PUT /resource_providers/{uuid}/traits."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    given = await body(call, schemas.PUT_TRAITS)
    generation = given.resource_provider_generation
    return _answer(call, *await call.service.providers.set_traits(id, given.traits, generation))


async def delete_of_provider(call: PlacementCall) -> web.Response:
    """DELETE /resource_providers/{uuid}/traits."""
    require_json(call)
    await call.service.providers.set_traits(clean(call.path["uuid"]), [])
    return answer(call, None, 204)
