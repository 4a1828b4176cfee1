"""Which versions the compute API speaks, and the documents in which clients find that out."""

from aiohttp import web

from novakit.api.compute.domain import Compute
from novakit.api.compute.links import Link, root_url
from novakit.api.documents import Document
from novakit.api.service import Call, Microversions, Route, reply, text

FIRST, CURRENT = "/v2", "/v2.1"
"""Where the calls are without microversions, and with them."""
MICROVERSIONS = Microversions(
    service="compute", minimum=(2, 1), maximum=(2, 100), legacy_header="X-OpenStack-Nova-API-Version"
)


def _document(call: Call[Compute], *more: Link) -> Document:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": text(MICROVERSIONS.maximum),
        "min_version": text(MICROVERSIONS.minimum),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{root_url(call)}/v2.1/"}, *more],
    }


def _first_document(call: Call[Compute], *more: Link) -> Document:
    """Describe v2.0, which old clients look for: the calls of v2.1 at its first version, without microversions."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{root_url(call)}{FIRST}/"}, *more],
    }


async def index(call: Call[Compute]) -> web.Response:
    """List the major versions."""
    return reply({"versions": [_first_document(call), _document(call)]})


async def describe(call: Call[Compute]) -> web.Response:
    """Describe v2.1, or v2.0 to who came there."""
    first = call.request.match_info.route.resource
    described = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    is_first = first is not None and first.canonical.endswith(f"{FIRST}/")
    document = _first_document(call, described) if is_first else _document(call, described)
    media = {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
    document["media-types"] = [media]
    return reply({"version": document})


ROUTES = [
    Route(method="GET", path="/", handler=index, public=True),
    Route(method="GET", path="", handler=index, public=True),
    Route(method="GET", path="/v2.1", handler=describe, public=True),
    Route(method="GET", path="/v2.1/", handler=describe, public=True),
]
