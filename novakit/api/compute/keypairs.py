"""/os-keypairs: the SSH keys a user boots servers with."""

from aiohttp import web

from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import limit_and_marker, next_page
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.schemas import keypairs as schemas
from novakit.api.documents import Document, Row
from novakit.api.service import Call, Route, reply

BRIEF = ("name", "public_key", "fingerprint")


async def index(call: Call[Compute]) -> web.Response:
    """List a user's key pairs."""
    user_id = _user(call)
    if call.version < (2, 35):
        found = await call.service.keypairs.page(user_id)
        return reply({"keypairs": [{"keypair": _view(call, row, BRIEF)} for row in found]})
    known_parameters(call, "user_id", "limit", "marker")
    limit, marker = limit_and_marker(call)
    found = await call.service.keypairs.page(user_id, limit=limit, marker=marker)
    body: Document = {"keypairs": [{"keypair": _view(call, row, BRIEF)} for row in found]}
    if more := next_page(call, "os-keypairs", [row["name"] for row in found]):
        body["keypairs_links"] = more
    return reply(body)


async def show(call: Call[Compute]) -> web.Response:
    """Show one key pair."""
    known_parameters(call, "user_id")
    row = await call.service.keypairs.show(_user(call), part(call, "name"))
    more = {
        "created_at": row["created_at"].strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "deleted": False,
        "deleted_at": None,
        "id": row["number"],
        "updated_at": None,
    }
    return reply({"keypair": {**_view(call, row, (*BRIEF, "user_id")), **more}})


async def create(call: Call[Compute]) -> web.Response:
    """Register a public key; before 2.92, make a pair when none is given."""
    new = await schemas.create.read(call)
    user_id = ids.kept(new.user_id or call.context.user_id)
    call.authorize(call.rule, {"user_id": user_id})
    private, project_id = None, call.context.project_id or ""
    if new.public_key is not None:
        row = await call.service.keypairs.add(project_id, user_id, new.name, new.public_key, new.type)
    else:
        row, private = await call.service.keypairs.generate(project_id, user_id, new.name, new.type)
    shown = _view(call, row, (*BRIEF, "user_id"))
    if private is not None:
        shown["private_key"] = private
    return reply({"keypair": shown}, status=201 if call.version >= (2, 2) else 200)


async def delete(call: Call[Compute]) -> web.Response:
    """Forget a key pair."""
    known_parameters(call, "user_id")
    await call.service.keypairs.remove(_user(call), part(call, "name"))
    return reply(status=204 if call.version >= (2, 2) else 202)


def _user(call: Call[Compute]) -> str:
    """Return whose key pairs are meant: from 2.10 on admins may name another user."""
    asked = call.query.get("user_id") if call.version >= (2, 10) else None
    user_id = ids.kept(asked or call.context.user_id)
    call.authorize(call.rule, {"user_id": user_id})
    return user_id


def _view(call: Call[Compute], row: Row, fields: tuple[str, ...]) -> Document:
    wanted = (*fields, "type") if call.version >= (2, 2) else fields
    return {name: row[name] for name in wanted}


ROUTES = [
    Route(method="GET", path="/v2.1/os-keypairs", handler=index, rule="os_compute_api:os-keypairs:index"),
    Route(method="POST", path="/v2.1/os-keypairs", handler=create, rule="os_compute_api:os-keypairs:create"),
    Route(method="GET", path="/v2.1/os-keypairs/{name}", handler=show, rule="os_compute_api:os-keypairs:show"),
    Route(method="DELETE", path="/v2.1/os-keypairs/{name}", handler=delete, rule="os_compute_api:os-keypairs:delete"),
]
