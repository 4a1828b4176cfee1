"""/os-quota-sets and /limits: what a project may have, and what it uses of it."""

from collections.abc import Mapping

from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.compute.projects import require_project
from novakit.api.compute.schemas import quotas as schemas
from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.network import quotas as network_quotas

PER_USER = "Quotas are kept for projects, not for single users: leave user_id out."
LIMIT_NAMES = {
    "ram": ("maxTotalRAMSize",),
    "instances": ("maxTotalInstances",),
    "cores": ("maxTotalCores",),
    "key_pairs": ("maxTotalKeypairs",),
    "metadata_items": ("maxServerMeta", "maxImageMeta"),
    "injected_files": ("maxPersonality",),
    "injected_file_content_bytes": ("maxPersonalitySize",),
    "floating_ips": ("maxTotalFloatingIps",),
    "security_groups": ("maxSecurityGroups",),
    "security_group_rules": ("maxSecurityGroupRules",),
    "server_groups": ("maxServerGroups",),
    "server_group_members": ("maxServerGroupMembers",),
}
USED_NAMES = {
    "totalRAMUsed": "ram",
    "totalCoresUsed": "cores",
    "totalInstancesUsed": "instances",
    "totalFloatingIpsUsed": "floating_ips",
    "totalSecurityGroupsUsed": "security_groups",
    "totalServerGroupsUsed": "server_groups",
}
KEPT_BY_THE_NETWORK = {
    "floating_ips": "floatingip",
    "security_groups": "security_group",
    "security_group_rules": "security_group_rule",
}
"""What the network service calls its quotas that old versions show; fixed addresses have none there."""


async def show(call: Call[Compute]) -> web.Response:
    """Show a project's limits."""
    project_id = await _project(call)
    limits = await call.service.quotas.limits(project_id)
    of_network = {name: use.limit for name, use in (await _network_uses(call, project_id)).items()}
    return _reply(call, {**limits, **of_network}, project_id)


async def detail(call: Call[Compute]) -> web.Response:
    """Show a project's limits with what is in use."""
    project_id = await _project(call)
    found = {**await call.service.quotas.detail(project_id), **await _network_details(call, project_id)}
    shown = {name: found.get(name, {"in_use": 0, "limit": -1, "reserved": 0}) for name in _names(call)}
    return reply({"quota_set": {"id": project_id, **shown}})


async def defaults(call: Call[Compute]) -> web.Response:
    """Show the limits of a project that nobody changed."""
    project_id = await _project(call, lenient=True)
    of_network = {name: network_quotas.DEFAULTS[there] for name, there in KEPT_BY_THE_NETWORK.items()}
    return _reply(call, {**call.service.quotas.defaults, **of_network}, project_id)


async def update(call: Call[Compute]) -> web.Response:
    """Change limits of a project."""
    project_id = await _project(call)
    change = await schemas.update.read(call)
    proxied = sorted(name for name in schemas.NETWORK if name in change.limits)
    if proxied:
        raise errors.BadRequest(f"{', '.join(proxied)}: the network service keeps these quotas; change them there.")
    return _reply(call, await call.service.quotas.change(project_id, change.limits, force=change.force), None)


async def delete(call: Call[Compute]) -> web.Response:
    """Give a project the defaults again."""
    project_id = part(call, "project")
    _refuse_users(call)
    await call.service.quotas.reset(project_id)
    return reply(status=202)


async def limits(call: Call[Compute]) -> web.Response:
    """Show the caller's limits, and what its project uses."""
    known_parameters(call, "reserved", "tenant_id")
    project_id = call.context.project_id or ""
    if "tenant_id" in call.query:
        project_id = ids.kept(call.query["tenant_id"])
        call.authorize("os_compute_api:limits:other_project")
    found = {**await call.service.quotas.detail(project_id), **await _network_details(call, project_id)}
    hidden = _hidden(call)
    absolute = {
        shown: found[name]["limit"]
        for name, titles in LIMIT_NAMES.items()
        if name not in hidden
        for shown in titles
        if shown != "maxImageMeta" or call.version < (2, 39)
    }
    used = {shown: found[name]["in_use"] for shown, name in USED_NAMES.items() if name not in hidden}
    return reply({"limits": {"rate": [], "absolute": {**absolute, **used}}})


async def _network_uses(call: Call[Compute], project_id: str) -> Mapping[str, network_quotas.QuotaUse]:
    """Ask for what the network service keeps, where the version still shows it."""
    if call.version >= (2, 36):
        return {}
    uses = await call.service.networks.quotas.uses(project_id)
    return {name: uses[there] for name, there in KEPT_BY_THE_NETWORK.items()}


async def _network_details(call: Call[Compute], project_id: str) -> dict[str, dict[str, int]]:
    uses = await _network_uses(call, project_id)
    return {name: {"in_use": use.used, "limit": use.limit, "reserved": 0} for name, use in uses.items()}


def _hidden(call: Call[Compute]) -> tuple[str, ...]:
    network = schemas.NETWORK if call.version >= (2, 36) else ()
    return (*network, *schemas.FILES) if call.version >= (2, 57) else network


def _names(call: Call[Compute]) -> list[str]:
    hidden = _hidden(call)
    return [name for name in (*schemas.ALWAYS, *schemas.FILES, *schemas.NETWORK) if name not in hidden]


async def _project(call: Call[Compute], *, lenient: bool = False) -> str:
    project_id = part(call, "project")
    call.authorize(call.rule, {"project_id": project_id})
    if not lenient:
        known_parameters(call, "user_id")
    _refuse_users(call)
    await require_project(call, project_id)
    return project_id


def _refuse_users(call: Call[Compute]) -> None:
    if "user_id" in call.query:
        raise errors.BadRequest(PER_USER)


def _reply(call: Call[Compute], found: Mapping[str, int], project_id: str | None) -> web.Response:
    shown: Document = {"id": project_id} if project_id is not None else {}
    return reply({"quota_set": {**shown, **{name: found.get(name, -1) for name in _names(call)}}})


ROUTES = [
    Route(method="GET", path="/v2.1/os-quota-sets/{project}", handler=show, rule="os_compute_api:os-quota-sets:show"),
    Route(
        method="GET",
        path="/v2.1/os-quota-sets/{project}/detail",
        handler=detail,
        rule="os_compute_api:os-quota-sets:detail",
    ),
    Route(
        method="GET",
        path="/v2.1/os-quota-sets/{project}/defaults",
        handler=defaults,
        rule="os_compute_api:os-quota-sets:defaults",
    ),
    Route(
        method="PUT", path="/v2.1/os-quota-sets/{project}", handler=update, rule="os_compute_api:os-quota-sets:update"
    ),
    Route(
        method="DELETE",
        path="/v2.1/os-quota-sets/{project}",
        handler=delete,
        rule="os_compute_api:os-quota-sets:delete",
    ),
    Route(method="GET", path="/v2.1/limits", handler=limits, rule="os_compute_api:limits"),
]
