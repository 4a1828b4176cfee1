"""A user's own password and own projects."""

import attrs
from aiohttp import web

from novakit import errors
from novakit.api.identity import checks, resources
from novakit.api.service import Call, Route, reply
from novakit.front.addresses import bucket
from novakit.front.door import client_address
from novakit.identity import Identity


@attrs.frozen(kw_only=True)
class NewPassword:
    """A password, and the one before it."""

    password: str = attrs.field(repr=False)
    original_password: str = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class PasswordChange:
    """The body of a change."""

    user: NewPassword


_read = checks.body(
    PasswordChange,
    {
        "type": "object",
        "required": ["user"],
        "properties": {
            "user": {
                "type": "object",
                "required": ["password", "original_password"],
                "properties": {"password": checks.PASSWORD, "original_password": {"type": "string"}},
            }
        },
    },
)


async def change(call: Call[Identity]) -> web.Response:
    """Give the caller a new password."""
    if not call.allows(call.rule, {"target.user.id": call.path["id"]}):
        raise errors.Forbidden("A user changes its own password; an administrator sets another's with PATCH.")
    new = _read(await call.json()).user
    await call.service.change_password(
        call.context.user_id,
        original=new.original_password,
        password=new.password,
        address=bucket(client_address()),
    )
    return reply(status=204)


async def projects(call: Call[Identity]) -> web.Response:
    """List the projects of a user."""
    call.authorize(call.rule, {"target.user.id": call.path["id"]})
    return await resources.projects_of(call, call.path["id"])


routes = (
    Route(method="POST", path="/v3/users/{id}/password", handler=change, rule="novakit:change_password"),
    Route(method="GET", path="/v3/users/{id}/projects", handler=projects, rule="identity:list_user_projects"),
)
