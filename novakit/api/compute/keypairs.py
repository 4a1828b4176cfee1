"""/os-keypairs: the SSH keys a user boots servers with."""

from aiohttp import web

from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import limit_and_marker, next_page
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.schemas import keypairs as schemas
from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.compute.keypairs import Keypair

BRIEF = ("name", "public_key", "fingerprint")


async def index(call: Call[Compute]) -> web.Response:
    """List a user's key pairs."""
    user_id = _user(call)
    if call.version < (2, 35):
        found = await call.service.keypairs.page(user_id)
        return reply({"keypairs": [{"keypair": _view(call, each, BRIEF)} for each in found]})
    known_parameters(call, "user_id", "limit", "marker")
    limit, marker = limit_and_marker(call)
    found = await call.service.keypairs.page(user_id, limit=limit, marker=marker)
    body: Document = {"keypairs": [{"keypair": _view(call, each, BRIEF)} for each in found]}
    if more := next_page(call, "os-keypairs", [each.name for each in found]):
        body["keypairs_links"] = more
    return reply(body)


async def show(call: Call[Compute]) -> web.Response:
    """Show one key pair."""
    known_parameters(call, "user_id")
    keypair = await call.service.keypairs.show(_user(call), part(call, "name"))
    more = {
        "created_at": keypair.created_at.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "deleted": False,
        "deleted_at": None,
        "id": keypair.number,
        "updated_at": None,
    }
    return reply({"keypair": {**_view(call, keypair, (*BRIEF, "user_id")), **more}})


async def create(call: Call[Compute]) -> web.Response:
    """Register a public key; before 2.92, make a pair when none is given."""
    new = await schemas.create.read(call)
    user_id = ids.kept(new.user_id or call.context.user_id)
    call.authorize(call.rule, {"user_id": user_id})
    private, project_id = None, call.context.project_id or ""
    if new.public_key is not None:
        keypair = await call.service.keypairs.add(project_id, user_id, new.name, new.public_key, new.type)
    else:
        keypair, private = await call.service.keypairs.generate(project_id, user_id, new.name, new.type)
    shown = _view(call, keypair, (*BRIEF, "user_id"))
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


def _view(call: Call[Compute], keypair: Keypair, fields: tuple[str, ...]) -> Document:
    wanted = (*fields, "type") if call.version >= (2, 2) else fields
    return {name: getattr(keypair, name) for name in wanted}


ROUTES = [
    Route(method="GET", path="/v2.1/os-keypairs", handler=index, rule="os_compute_api:os-keypairs:index"),
    Route(method="POST", path="/v2.1/os-keypairs", handler=create, rule="os_compute_api:os-keypairs:create"),
    Route(method="GET", path="/v2.1/os-keypairs/{name}", handler=show, rule="os_compute_api:os-keypairs:show"),
    Route(method="DELETE", path="/v2.1/os-keypairs/{name}", handler=delete, rule="os_compute_api:os-keypairs:delete"),
]
