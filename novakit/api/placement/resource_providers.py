"""/resource_providers: trees of things that hold inventory."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from novakit import errors, world
from novakit.api.documents import Document
from novakit.api.placement import query
from novakit.api.placement.frame import (
    PlacementCall,
    answer,
    answer_long,
    body,
    canonical_uuid,
    clean,
    href,
    kept_id,
    members,
    require_json,
)
from novakit.api.placement.schemas import resource_providers as schemas
from novakit.left_out import LeftOut
from novakit.placement.records import ResourceProvider

_LINKS = {"inventories": (1, 0), "usages": (1, 0), "aggregates": (1, 1), "traits": (1, 6), "allocations": (1, 11)}


def document(call: PlacementCall, provider: ResourceProvider) -> Document:
    """Describe a provider as of the version that was asked for."""
    own = href(call, "resource_providers", provider.id)
    links = [{"rel": "self", "href": own}]
    links += [{"rel": name, "href": f"{own}/{name}"} for name, since in _LINKS.items() if call.version >= since]
    said: Document = {"uuid": provider.id, "name": provider.name, "generation": provider.generation, "links": links}
    if call.version >= (1, 14):
        said["parent_provider_uuid"], said["root_provider_uuid"] = provider.parent_id, provider.root_id
    return said


async def list_all(call: PlacementCall) -> web.Response:
    """GET /resource_providers, with all its filters."""
    require_json(call, reads=True)
    asked = call.request.query
    given = query.checked(asked, schemas.LIST, call.version)
    member_of, not_member_of = query.member_of(asked.getall("member_of", []), call.version)
    required, forbidden = query.traits(asked.getall("required", []), call.version)
    resources = query.resources(given["resources"]) if "resources" in given else {}
    await _check_names(call, resources, set().union(forbidden, *required))
    found = await call.service.providers.search(
        id=kept_id(given["uuid"]) if "uuid" in given else None,
        name=given.get("name") or None,
        in_tree=kept_id(given["in_tree"]) if "in_tree" in given else None,
        resources=resources,
        member_of=member_of,
        not_member_of=not_member_of,
        required=required,
        forbidden=forbidden,
    )
    modified = max((one.updated_at for one in found), default=None)
    return await answer_long(call, _list(call, found), len(found), modified=modified)


async def _list(call: PlacementCall, found: Sequence[ResourceProvider]) -> AsyncIterator[bytes]:
    yield b'{"resource_providers":['
    async for piece in members(found, lambda some: [document(call, one) for one in some]):
        yield piece
    yield b"]}"


async def _check_names(call: PlacementCall, resources: dict[str, int], traits: set[str]) -> None:
    if unknown := await call.service.resource_classes.unknown(resources):
        raise errors.BadRequest(
            f"Invalid resource class in resources parameter: No such resource class {', '.join(sorted(unknown))}."
        )
    if unknown := await call.service.trait_names.unknown(traits):
        raise errors.BadRequest(
            f'Invalid trait(s) in "required" parameter: No such trait(s): {", ".join(sorted(unknown))}.'
        )


async def create(call: PlacementCall) -> web.Response:
    """POST /resource_providers."""
    require_json(call, writes=True)
    given = await body(call, schemas.POST)
    if not given.name:
        raise errors.BadRequest(
            "Unable to create resource provider: Object action create failed because: name is required"
        )
    id = world.new_id() if given.uuid is None else canonical_uuid(given.uuid)
    assert id is not None
    provider = await call.service.providers.create(id, given.name, _parent(given.parent_provider_uuid))
    location = href(call, "resource_providers", provider.id)
    if call.version < (1, 20):
        return answer(call, None, 201, location=location)
    return answer(call, document(call, provider), modified=provider.updated_at, location=location)


def _parent(said: str | None) -> str | None:
    return said and kept_id(said)


async def show(call: PlacementCall) -> web.Response:
    """GET /resource_providers/{uuid}."""
    require_json(call, reads=True)
    provider = await call.service.providers.show(clean(call.path["uuid"]))
    return answer(call, document(call, provider), modified=provider.updated_at)


async def update(call: PlacementCall) -> web.Response:
    """PUT /resource_providers/{uuid}: rename it, and from 1.14 on put it below another."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    await call.service.providers.require(id)
    given = await body(call, schemas.PUT)
    said = given.parent_provider_uuid
    parent = said if isinstance(said, LeftOut) else _parent(said)
    provider = await call.service.providers.update(
        id, name=given.name, parent_id=parent, may_move=call.version >= (1, 37)
    )
    return answer(call, document(call, provider), modified=provider.updated_at)


async def delete(call: PlacementCall) -> web.Response:
    """DELETE /resource_providers/{uuid}."""
    require_json(call)
    await call.service.providers.delete(clean(call.path["uuid"]))
    return answer(call, None, 204)
