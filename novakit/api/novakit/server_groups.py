"""`/v1/server-groups`: what server groups can do beyond the compute API: limits for every policy, metadata, changes."""

from collections.abc import Mapping, Sequence

import attrs
from aiohttp import web

from novakit.api.bodies import Body
from novakit.api.bodies import Definition as Schema
from novakit.api.compute.links import MAX_LIMIT
from novakit.api.compute.parameters import part
from novakit.api.compute.schemas import types
from novakit.api.documents import Document
from novakit.api.novakit.domain import Additions
from novakit.api.service import Call, Route, reply
from novakit.compute.server_groups import ServerGroup
from novakit.left_out import LEFT_OUT, LeftOut, either

POLICIES = ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity")
STRATEGIES = ("distribute", "consolidate", "balanced")

_policy: Schema = {"type": "string", "enum": list(POLICIES)}
_fields: Schema = {
    "name": types.name,
    "policy": _policy,
    "policies": {"type": "array", "items": _policy, "minItems": 1, "maxItems": 1},
    "rules": types.record({"max_server_per_host": types.number(1)}),
    "metadata": {
        **types.metadata,
        "properties": {"placement_strategy": {"type": "string", "enum": list(STRATEGIES)}},
        "maxProperties": 64,
    },
}
_new: Schema = {
    **types.record(_fields, ["name"]),
    "oneOf": [{"required": ["policy"]}, {"required": ["policies"]}],
}
_changed: Schema = {**types.record(_fields), "minProperties": 1, "not": {"required": ["policy", "policies"]}}


@attrs.frozen(kw_only=True)
class GroupChange:
    """What of a server group is to change."""

    name: str | LeftOut = LEFT_OUT
    policy: str | LeftOut = LEFT_OUT
    policies: Sequence[str] = ()
    """Its one policy, as old versions of the compute API have it."""
    rules: Mapping[str, int] | LeftOut = LEFT_OUT
    metadata: Mapping[str, str] | LeftOut = LEFT_OUT

    def columns(self) -> dict[str, object]:
        """Return what was sent of name, policy, rules and metadata, as it is stored."""
        found = {"name": self.name, "policy": self.one_policy, "rules": self.rules, "metadata": self.metadata}
        return {name: value for name, value in found.items() if value is not LEFT_OUT}

    @property
    def one_policy(self) -> str | LeftOut:
        """Return its policy, however it was sent."""
        return self.policies[0] if self.policies else self.policy


@attrs.frozen(kw_only=True)
class NewGroup(GroupChange):
    """A server group that is to be made."""

    name: str


CREATE = Body(NewGroup, [((0, 0), _new)], under="server_group")
CHANGE = Body(GroupChange, [((0, 0), _changed)], under="server_group")


async def index(call: Call[Additions]) -> web.Response:
    """List the project's groups."""
    found = await call.service.server_groups.page(call.context.project_id or "", offset=0, limit=MAX_LIMIT)
    return reply({"server_groups": [_view(group) for group in found]})


async def show(call: Call[Additions]) -> web.Response:
    """Show one group."""
    return reply({"server_group": _view(await call.service.server_groups.show(call.context, part(call, "id")))})


async def create(call: Call[Additions]) -> web.Response:
    """Make a group; every policy takes `max_server_per_host`."""
    new = await CREATE.read(call)
    made = await call.service.server_groups.create(
        call.context, new.name, either(new.one_policy, ""), either(new.rules, {}), either(new.metadata, {})
    )
    return reply({"server_group": _view(made)}, status=201)


async def change(call: Call[Additions]) -> web.Response:
    """Change what is named of a group; the rest stays."""
    columns = (await CHANGE.read(call)).columns()
    return reply(
        {"server_group": _view(await call.service.server_groups.change(call.context, part(call, "id"), **columns))}
    )


async def delete(call: Call[Additions]) -> web.Response:
    """Delete a group; its servers stay."""
    await call.service.server_groups.delete(call.context, part(call, "id"))
    return reply(status=204)


async def put_member(call: Call[Additions]) -> web.Response:
    """Put an existing server into a group."""
    group = await call.service.server_groups.put(call.context, part(call, "id"), part(call, "server_id"))
    return reply({"server_group": _view(group)})


async def take_member(call: Call[Additions]) -> web.Response:
    """Take a server out of a group; it stays where it is."""
    await call.service.server_groups.take(call.context, part(call, "id"), part(call, "server_id"))
    return reply(status=204)


def _view(group: ServerGroup) -> Document:
    shown = {name: group.row[name] for name in ("id", "name", "project_id", "user_id", "policy", "rules", "metadata")}
    return {**shown, "members": list(group.members)}


ROUTES = (
    Route(method="GET", path="/v1/server-groups", handler=index, rule="os_compute_api:os-server-groups:index"),
    Route(method="POST", path="/v1/server-groups", handler=create, rule="os_compute_api:os-server-groups:create"),
    Route(method="GET", path="/v1/server-groups/{id}", handler=show, rule="os_compute_api:os-server-groups:show"),
    Route(method="PATCH", path="/v1/server-groups/{id}", handler=change, rule="os_compute_api:os-server-groups:create"),
    Route(
        method="DELETE", path="/v1/server-groups/{id}", handler=delete, rule="os_compute_api:os-server-groups:delete"
    ),
    Route(
        method="PUT",
        path="/v1/server-groups/{id}/members/{server_id}",
        handler=put_member,
        rule="os_compute_api:os-server-groups:create",
    ),
    Route(
        method="DELETE",
        path="/v1/server-groups/{id}/members/{server_id}",
        handler=take_member,
        rule="os_compute_api:os-server-groups:delete",
    ),
)
