"""/resource_providers/{uuid}/inventories: how much of each class a provider holds."""

from collections.abc import Mapping
from typing import Any

import attrs
from aiohttp import web

from novakit import errors
from novakit.api.placement.frame import Asked, answer, body, clean, href, require_json, write
from novakit.api.placement.schemas import inventories as schemas
from novakit.resource_classes import aliased, by_class, canonical
from novakit.store.engine import Row, Session
from novakit.store.placement import inventories, names, providers
from novakit.store.placement.inventories import Stock

_FIELDS = tuple(field.name for field in attrs.fields(Stock) if field.name != "said")


def stock(given: Mapping[str, Any]) -> Stock:
    """Make an inventory of what a client states of it."""
    whole = {name: int(given[name]) for name in _FIELDS if name in given and name != "allocation_ratio"}
    ratio = float(given.get("allocation_ratio", 1.0))
    return Stock(**whole, allocation_ratio=ratio, said=frozenset(given) & frozenset(_FIELDS))


def stocks(given: Mapping[str, Mapping[str, Any]]) -> dict[str, Stock]:
    """Make inventories of what a client states of several classes."""
    return {name: stock(one) for name, one in by_class(given).items()}


def _document(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in _FIELDS}


def _class(call: Asked) -> str:
    return canonical(clean(call.path["resource_class"]))


def _check_capacity(call: Asked, id: str, wanted: Mapping[str, Stock], doing: str = "update") -> None:
    inventories.refuse_without_capacity(id, list(wanted.items()), may_reserve_all=call.version >= (1, 26), doing=doing)


async def list_all(call: Asked) -> web.Response:
    """GET …/inventories."""
    require_json(call, reads=True)
    async with call.service.store.read() as session:
        return await _answer_all(call, session, clean(call.path["uuid"]))


async def _answer_all(call: Asked, session: Session, id: str) -> web.Response:
    provider = await providers.show(session, id)
    rows = await inventories.of_provider(session, id)
    said = {
        "resource_provider_generation": provider["generation"],
        "inventories": {row["resource_class"]: _document(row) for row in rows},
    }
    return answer(call, said, modified=max((row["updated_at"] for row in rows), default=None))


async def show(call: Asked) -> web.Response:
    """GET …/inventories/{resource_class}."""
    require_json(call, reads=True)
    async with call.service.store.read() as session:
        return await _answer_one(call, session, clean(call.path["uuid"]), _class(call))


async def _answer_one(call: Asked, session: Session, id: str, name: str, status: int = 200) -> web.Response:
    provider = await providers.show(session, id)
    for row in await inventories.of_provider(session, id):
        if row["resource_class"] == name:
            said = {**_document(row), "resource_provider_generation": provider["generation"]}
            location = href(call, "resource_providers", id, "inventories", name) if status == 201 else ""
            return answer(call, said, status, modified=row["updated_at"], location=location)
    raise errors.NotFound(f"No inventory of class {name} for {id}")


async def create(call: Asked) -> web.Response:
    """POST …/inventories: add one."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    async with call.service.store.read() as session:
        await providers.show(session, id)
    given = await body(call, schemas.POST)
    name, wanted = canonical(given["resource_class"]), stock(given)
    _check_capacity(call, id, {name: wanted}, "create")

    async def work(session: Session) -> web.Response:
        await providers.locked(session, id)
        await names.ensure_classes(session, aliased([given["resource_class"]]))
        await inventories.create(session, id, name, wanted)
        return await _answer_one(call, session, id, name, 201)

    return await write(call, work)


async def replace(call: Asked) -> web.Response:
    """PUT …/inventories: all of them at once."""
    require_json(call, writes=True)
    id = clean(call.path["uuid"])
    async with call.service.store.read() as session:
        await providers.show(session, id)
    given = await body(call, schemas.PUT)
    wanted = stocks(given["inventories"])

    async def work(session: Session) -> web.Response:
        await providers.locked(session, id, generation=given["resource_provider_generation"])
        _check_capacity(call, id, wanted)
        await names.ensure_classes(session, aliased(given["inventories"]))
        await inventories.replace(session, id, wanted)
        return await _answer_all(call, session, id)

    return await write(call, work)


async def update(call: Asked) -> web.Response:
    """PUT …/inventories/{resource_class}."""
    require_json(call, writes=True)
    id, name = clean(call.path["uuid"]), _class(call)
    async with call.service.store.read() as session:
        await providers.show(session, id)
    given = await body(call, schemas.PUT_ONE)

    async def work(session: Session) -> web.Response:
        await providers.locked(session, id, generation=given["resource_provider_generation"])
        _check_capacity(call, id, {name: stock(given)})
        await inventories.update(session, id, name, stock(given))
        return await _answer_one(call, session, id, name)

    return await write(call, work)


async def delete(call: Asked) -> web.Response:
    """DELETE …/inventories/{resource_class}."""
    require_json(call)
    id, name = clean(call.path["uuid"]), _class(call)

    async def work(session: Session) -> None:
        await providers.locked(session, id)
        await inventories.delete(session, id, name)

    await write(call, work)
    return answer(call, None, 204)


async def delete_all(call: Asked) -> web.Response:
    """DELETE …/inventories, from 1.5 on."""
    if call.version < (1, 5):
        raise errors.MethodNotAllowed(
            "The method DELETE is not allowed for this resource before version 1.5.",
            headers={"Allow": "GET, POST, PUT"},
        )
    require_json(call)
    id = clean(call.path["uuid"])

    async def work(session: Session) -> None:
        await providers.locked(session, id)
        await inventories.replace(session, id, {})

    await write(call, work)
    return answer(call, None, 204)
