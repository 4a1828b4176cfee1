"""With whom an image is shared."""

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.documents import Document
from novakit.api.image import schemas
from novakit.api.service import Call, Route, reply
from novakit.image import Images
from novakit.image.members import Member
from novakit.image.records import moment


@attrs.frozen(kw_only=True)
class NewMember:
    """A project that an image is to be shared with."""

    member: str


@attrs.frozen(kw_only=True)
class MemberAnswer:
    """Whether a member wants an image."""

    status: str


_new = schemas.body(
    NewMember,
    {
        "type": "object",
        "required": ["member"],
        "properties": {
            "member": {
                "type": "string",
                "minLength": 1,
                "maxLength": 64,
                "pattern": r"^[^\x00/]+$",
                "description": "a string without slashes and NUL characters",
            },
        },
    },
)
_status = schemas.body(
    MemberAnswer,
    {
        "type": "object",
        "required": ["status"],
        "properties": {"status": {"type": "string", "enum": list(schemas.MEMBER_STATUSES)}},
    },
)


def _document(member: Member) -> Document:
    return {
        "image_id": member.image_id,
        "member_id": member.member_id,
        "status": member.status,
        "created_at": moment(member.created_at),
        "updated_at": moment(member.updated_at),
        "schema": "/v2/schemas/member",
    }


async def create(call: Call[Images]) -> web.Response:
    """Share an image with a project."""
    member = ids.kept(_new(await call.json()).member)
    return reply(_document(await call.service.members.share(call.context, call.path["id"], member)))


async def every(call: Call[Images]) -> web.Response:
    """List with whom an image is shared."""
    found = await call.service.members.every(call.context, call.path["id"])
    return reply({"members": [_document(one) for one in found], "schema": "/v2/schemas/members"})


async def show(call: Call[Images]) -> web.Response:
    """Show one member."""
    return reply(await _one(call))


async def update(call: Call[Images]) -> web.Response:
    """Accept or reject an image that is shared with the caller."""
    status = _status(await call.json()).status
    await call.service.members.answer(call.context, call.path["id"], call.path["member"], status)
    return reply(await _one(call))


async def delete(call: Call[Images]) -> web.Response:
    """Stop sharing."""
    await call.service.members.unshare(call.context, call.path["id"], call.path["member"])
    return reply(status=204)


async def _one(call: Call[Images]) -> Document:
    for member in await call.service.members.every(call.context, call.path["id"]):
        if member.member_id == call.path["member"]:
            return _document(member)
    raise errors.NotFound(f"{call.path['member'][:64]} is not a member of this image.")


routes = (
    Route(method="POST", path="/v2/images/{id}/members", handler=create, rule="add_member"),
    Route(method="GET", path="/v2/images/{id}/members", handler=every, rule="get_members"),
    Route(method="GET", path="/v2/images/{id}/members/{member}", handler=show, rule="get_member"),
    Route(method="PUT", path="/v2/images/{id}/members/{member}", handler=update, rule="modify_member"),
    Route(method="DELETE", path="/v2/images/{id}/members/{member}", handler=delete, rule="delete_member"),
)
