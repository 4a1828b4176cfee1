"""`/v1/image-quotas`: what a project may keep of images, and what it does; the image API can only show the caller's."""

from aiohttp import web

from novakit.api.bodies import Body
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import types
from novakit.api.novakit.domain import Additions
from novakit.api.service import Call, Route, reply
from novakit.image.limits import BYTES, IMAGES, MEMBERS

MOST = 1 << 60
"""Far above any disk, and far below what a 64-bit column holds when a few of them are added."""
_limit: types.Definition = {"type": "integer", "minimum": -1, "maximum": MOST}
_limits: types.Definition = {**types.record(dict.fromkeys((IMAGES, BYTES, MEMBERS), _limit)), "minProperties": 1}
CHANGE = Body(dict[str, int], [((0, 0), _limits)], under="image_quota")


async def show(call: Call[Additions]) -> web.Response:
    """Show a project's limits and what it uses of them; -1 is no limit."""
    project_id = part(call, "project")
    call.authorize(call.rule, {"project_id": project_id})
    return await _reply(call, project_id)


async def update(call: Call[Additions]) -> web.Response:
    """Change limits of a project."""
    project_id = await call.service.reports.project_called(part(call, "project"))
    await call.service.image_quotas.change(project_id, await CHANGE.read(call))
    return await _reply(call, project_id)


async def delete(call: Call[Additions]) -> web.Response:
    """Give a project the defaults again."""
    await call.service.image_quotas.reset(part(call, "project"))
    return reply(status=204)


async def _reply(call: Call[Additions], project_id: str) -> web.Response:
    limits, used = await call.service.image_quotas.limits_and_uses(project_id)
    uses = {name: {"in_use": number} for name, number in used.items()}
    shown = {name: {"limit": limit, **uses.get(name, {})} for name, limit in limits.items()}
    return reply({"image_quota": {"project_id": project_id, **shown}})


_PATH = "/v1/image-quotas/{project}"
ROUTES = (
    Route(method="GET", path=_PATH, handler=show, rule="novakit:image-quotas:show"),
    Route(method="PUT", path=_PATH, handler=update, rule="novakit:image-quotas:update"),
    Route(method="DELETE", path=_PATH, handler=delete, rule="novakit:image-quotas:update"),
)
