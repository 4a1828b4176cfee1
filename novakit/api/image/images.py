"""Images: made, listed, shown, changed, tagged and deleted."""

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.image import listing, patch, schemas
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit.image import Images
from novakit.image.records import ImageValues, NewImage

_new = schemas.body(NewImage, schemas.NEW)
_tag = schemas.body(str, schemas.TAG)


async def create(call: Call[Images]) -> web.Response:
    """Make an image without data."""
    new = _new(await call.json())
    if new.owner is not None:
        new = attrs.evolve(new, owner=ids.kept(new.owner))
    image = await call.service.create(call.context, new)
    return reply(image, 201, {"Location": f"{call.request.url.with_query(None)}/{image['id']}"})


async def every(call: Call[Images]) -> web.Response:
    """List a page of images."""
    wanted = await listing.wanted(call)
    images = await call.service.list(wanted)
    return reply(listing.page(call, wanted, images))


async def show(call: Call[Images]) -> web.Response:
    """Show an image."""
    return reply(await call.service.show(call.context, call.path["id"]))


async def update(call: Call[Images]) -> web.Response:
    """Change an image by a JSON patch."""
    change = await patch.read(call.request)
    return reply(await call.service.update(call.context, call.path["id"], change))


async def delete(call: Call[Images]) -> web.Response:
    """Delete an image."""
    await call.service.delete(call.context, call.path["id"])
    return reply(status=204)


async def deactivate(call: Call[Images]) -> web.Response:
    """Forbid the use of an image."""
    await call.service.set_active(call.context, call.path["id"], False)
    return reply(status=204)


async def reactivate(call: Call[Images]) -> web.Response:
    """Allow it again."""
    await call.service.set_active(call.context, call.path["id"], True)
    return reply(status=204)


async def tag(call: Call[Images]) -> web.Response:
    """Put a tag on an image."""
    name = _tag(call.path["tag"])

    def add(image: ImageValues) -> ImageValues:
        return attrs.evolve(image, tags=[*image.tags, name])

    await call.service.update(call.context, call.path["id"], add)
    return reply(status=204)


async def untag(call: Call[Images]) -> web.Response:
    """Take a tag off an image."""
    name = call.path["tag"]

    def remove(image: ImageValues) -> ImageValues:
        if name not in image.tags:
            raise errors.NotFound(f"Image {call.path['id']} has no tag '{name[:255]}'.")
        return attrs.evolve(image, tags=[one for one in image.tags if one != name])

    await call.service.update(call.context, call.path["id"], remove)
    return reply(status=204)


routes = (
    Route(method="POST", path="/v2/images", handler=create, rule="add_image"),
    Route(method="GET", path="/v2/images", handler=every, rule="get_images", cost=Cost.HEAVY),
    Route(method="GET", path="/v2/images/{id}", handler=show, rule="get_image"),
    Route(method="PATCH", path="/v2/images/{id}", handler=update, rule="modify_image"),
    Route(method="DELETE", path="/v2/images/{id}", handler=delete, rule="delete_image"),
    Route(method="POST", path="/v2/images/{id}/actions/deactivate", handler=deactivate, rule="deactivate"),
    Route(method="POST", path="/v2/images/{id}/actions/reactivate", handler=reactivate, rule="reactivate"),
    Route(method="PUT", path="/v2/images/{id}/tags/{tag}", handler=tag, rule="modify_image"),
    Route(method="DELETE", path="/v2/images/{id}/tags/{tag}", handler=untag, rule="modify_image"),
)
