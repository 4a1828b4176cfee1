"""Where the identity API is and which version it speaks."""

from aiohttp import web

from novakit.api.service import Call, Route, reply
from novakit.identity import Identity


def document(base: str) -> dict[str, object]:
    """Describe version 3 as it is served at `base`."""
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


async def every(call: Call[Identity]) -> web.Response:
    """List the versions."""
    base = call.service.url
    return reply({"versions": {"values": [document(base)]}}, 300, {"Location": f"{base}/v3/"})


async def one(call: Call[Identity]) -> web.Response:
    """Describe version 3."""
    return reply({"version": document(call.service.url)})


routes = (
    Route(method="GET", path="", handler=every, public=True),
    Route(method="GET", path="/", handler=every, public=True),
    Route(method="GET", path="/v3", handler=one, public=True),
    Route(method="GET", path="/v3/", handler=one, public=True),
)
