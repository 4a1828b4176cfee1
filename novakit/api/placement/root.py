"""GET /: which versions are spoken here; for everybody."""

from aiohttp import web

from novakit.api.placement.frame import MAXIMUM, MINIMUM, PlacementCall, answer
from novakit.api.service import text


async def discover(call: PlacementCall) -> web.Response:
    """Describe the one major version and its window of microversions."""
    version = {
        "id": f"v{text(MINIMUM)}",
        "max_version": text(MAXIMUM),
        "min_version": text(MINIMUM),
        "status": "CURRENT",
        "links": [{"rel": "self", "href": ""}],
    }
    return answer(call, {"versions": [version]})
