"""`/v1/image-files`: files in the directory of images that no image has; for operators only."""

import attrs
from aiohttp import web

from novakit.api import ids
from novakit.api.bodies import Body
from novakit.api.novakit.domain import Additions
from novakit.api.queries import refuse_unknown
from novakit.api.service import Call, Route, reply
from novakit.disk_images import FORMATS
from novakit.image.unknown import ImageAdoption
from novakit_hookspecs.plain import to_plain


@attrs.frozen(kw_only=True)
class FileAdoption:
    """How a file is to become an image; what is None is as it was, or as the file says."""

    project: str | None = None
    name: str | None = None
    disk_format: str | None = None
    new_id: bool = False


ADOPT = Body(
    FileAdoption,
    [
        (
            (0, 0),
            {
                "type": "object",
                "properties": {
                    "project": {"type": "string", "minLength": 1, "maxLength": 255},
                    "name": {"type": "string", "minLength": 1, "maxLength": 255},
                    "disk_format": {"enum": list(FORMATS)},
                    "new_id": {"type": "boolean"},
                },
                "additionalProperties": False,
            },
        )
    ],
)


async def list_files(call: Call[Additions]) -> web.Response:
    """List the files that no image has, and those of images that are gone or not what was uploaded."""
    files = call.service.unknown_files
    return reply({"image_files": to_plain(await files.every()), "damaged": to_plain(await files.damaged())})


async def adopt(call: Call[Additions]) -> web.Response:
    """Make an image of one."""
    asked = await ADOPT.read(call)
    adoption = ImageAdoption(
        project=await call.service.reports.project_called(ids.kept(asked.project)) if asked.project else None,
        name=asked.name,
        disk_format=asked.disk_format,
        new_id=asked.new_id,
    )
    return reply({"image": await call.service.unknown_files.adopt(call.path["name"], adoption)})


async def remove(call: Call[Additions]) -> web.Response:
    """Remove one."""
    refuse_unknown(call.query, ())
    await call.service.unknown_files.remove(call.path["name"])
    return web.Response(status=204)


ROUTES = (
    Route(method="GET", path="/v1/image-files", handler=list_files, rule="novakit:image-files:list"),
    Route(method="POST", path="/v1/image-files/{name}/adopt", handler=adopt, rule="novakit:image-files:adopt"),
    Route(method="DELETE", path="/v1/image-files/{name}", handler=remove, rule="novakit:image-files:remove"),
)
