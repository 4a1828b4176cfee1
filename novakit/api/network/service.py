"""The network API as one service."""

from novakit import errors
from novakit.api.network import discovery, handlers, quotas, resources, routers, tags
from novakit.api.network.policies import RULES
from novakit.api.service import Service
from novakit.network.refusals import disallowed
from novakit.network.service import Networks


def shape(error: errors.NovakitError, request_id: str) -> dict[str, object]:
    """Make the body of a refusal as clients of the network API read it."""
    if error.status == 401:
        return {"error": {"code": 401, "title": "Unauthorized", "message": error.message}}
    return {"NeutronError": {"type": error.kind, "message": error.message, "detail": ""}}


service: Service[Networks] = Service(
    name="network",
    routes=(*discovery.ROUTES, *handlers.ROUTES, *routers.ROUTES, *tags.ROUTES, *quotas.ROUTES),
    shape=shape,
    policies=RULES,
    told=resources.told(handlers.RESOURCES),
    denied=disallowed,
)
