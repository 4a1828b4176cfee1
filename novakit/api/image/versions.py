"""Where the image API is and which versions it speaks."""

from aiohttp import web

from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.image import Images
from novakit.image.limits import BYTES, IMAGES

MIB = 1 << 20
CURRENT = "v2.7"
SUPPORTED = ("v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0")


def _document(call: Call[Images]) -> Document:
    url = call.request.url
    base = f"{url.origin()}{url.path.removesuffix('/versions').rstrip('/')}"
    links = [{"rel": "self", "href": f"{base}/v2/"}]
    versions = [{"id": CURRENT, "status": "CURRENT", "links": links}]
    return {"versions": versions + [{"id": one, "status": "SUPPORTED", "links": links} for one in SUPPORTED]}


async def choices(call: Call[Images]) -> web.Response:
    """List the versions to choose from."""
    return reply(_document(call), 300)


async def versions(call: Call[Images]) -> web.Response:
    """List the versions."""
    return reply(_document(call))


async def imports(call: Call[Images]) -> web.Response:
    """Return which ways of importing there are: none but a plain upload."""
    return reply({"import-methods": {"description": "Import methods available.", "type": "array", "value": []}})


async def usage(call: Call[Images]) -> web.Response:
    """Return what the caller's project may keep, and keeps: sizes in MiB, rounded up; -1 is no limit."""
    limits, used = await call.service.quotas.limits_and_uses(call.context.project_id or "")
    size = limits[BYTES] if limits[BYTES] < 0 else limits[BYTES] // MIB
    shown = {
        "image_size_total": {"limit": size, "usage": -(-used[BYTES] // MIB)},
        "image_count_total": {"limit": limits[IMAGES], "usage": used[IMAGES]},
    }
    return reply({"usage": shown})


routes = (
    Route(method="GET", path="", handler=choices, public=True),
    Route(method="GET", path="/", handler=choices, public=True),
    Route(method="GET", path="/versions", handler=versions, public=True),
    Route(method="GET", path="/v2/info/import", handler=imports, rule="novakit:import_info"),
    Route(method="GET", path="/v2/info/usage", handler=usage, rule="novakit:image_usage"),
)
