"""/os-aggregates: groups of hosts."""

import re

from aiohttp import web

from novakit import errors
from novakit.api.bodies import ActionBody
from novakit.api.compute.domain import Compute
from novakit.api.compute.parameters import part
from novakit.api.compute.policies import AGGREGATE_ACTIONS
from novakit.api.compute.schemas import aggregates as schemas
from novakit.api.compute.servers.views import precise
from novakit.api.documents import Document
from novakit.api.queries import LARGEST_COLUMN, number
from novakit.api.service import Call, Route, reply
from novakit.compute.aggregates import ZONE, HostAggregate
from novakit.left_out import LeftOut

_ACTIONS = ("add_host", "remove_host", "set_metadata")
_action = ActionBody(f"There is no such action: aggregates have {', '.join(_ACTIONS)}.", _ACTIONS)


async def index(call: Call[Compute]) -> web.Response:
    """List aggregates."""
    return reply({"aggregates": [_view(call, each) for each in await call.service.aggregates.every()]})


async def show(call: Call[Compute]) -> web.Response:
    """Show one aggregate."""
    return reply({"aggregate": _view(call, await call.service.aggregates.show(_id(call)))})


async def create(call: Call[Compute]) -> web.Response:
    """Make an aggregate."""
    asked = await schemas.create.read(call)
    made = await call.service.aggregates.create(asked.name, asked.availability_zone)
    shown = _view(call, made)
    del shown["hosts"], shown["metadata"]
    return reply({"aggregate": shown})


async def update(call: Call[Compute]) -> web.Response:
    """Rename an aggregate or change its zone."""
    asked = await schemas.update.read(call)
    zone = asked.availability_zone
    properties = {} if isinstance(zone, LeftOut) else {ZONE: zone}
    changed = await call.service.aggregates.update(_id(call), name=asked.name, properties=properties)
    return reply({"aggregate": _view(call, changed)})


async def delete(call: Call[Compute]) -> web.Response:
    """Delete an empty aggregate."""
    await call.service.aggregates.delete(_id(call))
    return reply(status=200)


async def act(call: Call[Compute]) -> web.Response:
    """Put a host in, take one out, or change the metadata."""
    name, body = await _action.read(call)
    call.authorize(AGGREGATE_ACTIONS[name])
    aggregates, aggregate_id = call.service.aggregates, _id(call)
    if name == "add_host":
        changed = await aggregates.add_host(aggregate_id, schemas.add_host.record(call.version, body).host)
    elif name == "remove_host":
        changed = await aggregates.remove_host(aggregate_id, schemas.remove_host.record(call.version, body).host)
    else:
        metadata = schemas.set_metadata.record(call.version, body).metadata
        changed = await aggregates.update(aggregate_id, name=None, properties=metadata)
    return reply({"aggregate": _view(call, changed)})


def _id(call: Call[Compute]) -> int:
    """Return the number in the path.

    Raises BadRequest for a name, which clients try first, and NotFound for a number that no aggregate can have.
    """
    text = part(call, "id")
    negative = re.fullmatch(r"-[0-9]{1,18}", text, re.ASCII)
    if negative or (found := number({"id": text}, "id", 0)) > LARGEST_COLUMN:
        raise errors.NotFound(f"Aggregate {text} could not be found.")
    return found


def _view(call: Call[Compute], aggregate: HostAggregate) -> Document:
    row = aggregate.row
    shown: Document = {
        "availability_zone": aggregate.zone,
        "created_at": precise(row["created_at"]),
        "deleted": False,
        "deleted_at": None,
        "hosts": aggregate.hosts,
        "id": row["id"],
        "metadata": row["metadata"],
        "name": row["name"],
        "updated_at": precise(row["updated_at"]),
    }
    if call.version >= (2, 41):
        shown["uuid"] = row["uuid"]
    return shown


ROUTES = [
    Route(method="GET", path="/v2.1/os-aggregates", handler=index, rule="os_compute_api:os-aggregates:index"),
    Route(method="POST", path="/v2.1/os-aggregates", handler=create, rule="os_compute_api:os-aggregates:create"),
    Route(method="GET", path="/v2.1/os-aggregates/{id}", handler=show, rule="os_compute_api:os-aggregates:show"),
    Route(method="PUT", path="/v2.1/os-aggregates/{id}", handler=update, rule="os_compute_api:os-aggregates:update"),
    Route(method="DELETE", path="/v2.1/os-aggregates/{id}", handler=delete, rule="os_compute_api:os-aggregates:delete"),
    Route(method="POST", path="/v2.1/os-aggregates/{id}/action", handler=act, rules=AGGREGATE_ACTIONS),
]
