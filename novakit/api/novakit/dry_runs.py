"""`/v1/explain` and `/v1/capacity`: what would become of a server, and how many more of a kind fit; nothing is made."""

from functools import partial
from typing import TypeVar

import attrs
from aiohttp import web

from novakit import errors
from novakit.api import bodies, ids
from novakit.api.bodies import Body, SchemaFault
from novakit.api.compute.schemas import servers as schemas
from novakit.api.compute.schemas import types
from novakit.api.novakit.domain import Additions
from novakit.api.service import Call, Route, reply
from novakit.front.sharing import Cost
from novakit.scheduler.reports import DryRun, HostsLost

_text: types.Definition = {"type": "string", "maxLength": 255}
_optional: types.Definition = {**_text, "type": ["string", "null"]}
_server: types.Definition = {
    "flavor": _text,
    **dict.fromkeys(("image", "project_id", "availability_zone", "host", "group"), _optional),
    "hints": schemas.hints,
}
"""Its hints are held to the rules of POST /servers."""
_MOST_LOST = 100_000
"""Hosts that may be lost in a question of room: ten times what one process simulates."""
_survive: types.Definition = {"type": "integer", "minimum": 0, "maximum": _MOST_LOST}


_lost: types.Definition = {**_server, "survive": _survive}


def _words(properties: types.Definition, fault: SchemaFault) -> errors.BadRequest:
    """Return what is wrong with a question; of hints as POST /servers does."""
    name = fault.path[-1]
    if (len(fault.path) == 1 and fault.rule in ("additionalProperties", "required")) or (name, fault.rule) == (
        "flavor",
        "type",
    ):
        return errors.BadRequest(f"Send a flavor and, if wanted, {', '.join(sorted({*properties} - {'flavor'}))}.")
    if name == "survive":
        return errors.BadRequest(f"survive must be a number of hosts, 0 to {_MOST_LOST}.")
    if fault.rule == "type" and len(fault.path) == 2:
        return errors.BadRequest(f"{name} must be {'an object' if name == 'hints' else 'a string'}.")
    return bodies.words(fault)


DRY_RUN = Body(DryRun, [((0, 0), types.record(_server, ["flavor"]))], words=partial(_words, _server))
HOSTS_LOST = Body(HostsLost, [((0, 0), types.record(_lost, ["flavor"]))], words=partial(_words, _lost))


D = TypeVar("D", bound=DryRun)


def _spelt(asked: D) -> D:
    """Return a question with its ids as they are kept."""
    said = {"image": asked.image, "project_id": asked.project_id, "group": asked.group}
    kept = {name: ids.kept(id) for name, id in said.items() if id is not None}
    return attrs.evolve(asked, hints=ids.kept_hints(asked.hints), **kept)


async def explain(call: Call[Additions]) -> web.Response:
    """Decide about a flavor and an image without making anything."""
    asked = _spelt(await DRY_RUN.read(call))
    if asked.host:
        call.authorize("novakit:explain:host")
    return reply({"decision": await call.service.reports.explain(call.context, asked)})


async def capacity(call: Call[Additions]) -> web.Response:
    """Count how many more servers of a flavor fit."""
    return reply({"capacity": await call.service.reports.capacity(call.context, _spelt(await HOSTS_LOST.read(call)))})


ROUTES = (
    Route(method="POST", path="/v1/explain", handler=explain, rule="novakit:explain", cost=Cost.HEAVY),
    Route(method="POST", path="/v1/capacity", handler=capacity, rule="novakit:capacity", cost=Cost.HEAVY),
)
