"""/usages and /resource_providers/{uuid}/usages."""

from collections.abc import Sequence

from aiohttp import web

from novakit.api.placement import query
from novakit.api.placement.frame import PlacementCall, answer, clean, require_json
from novakit.api.placement.schemas import names as schemas
from novakit.placement.records import ProjectUsage


async def of_provider(call: PlacementCall) -> web.Response:
    """GET /resource_providers/{uuid}/usages."""
    require_json(call, reads=True)
    id = clean(call.path["uuid"])
    provider, used = await call.service.providers.usages(id)
    return answer(call, {"resource_provider_generation": provider.generation, "usages": used})


async def of_project(call: PlacementCall) -> web.Response:
    """GET /usages?project_id=…; the project's own readers may ask."""
    asked = call.request.query
    require_json(call, reads=True)
    call.authorize(call.rule, {"project_id": asked.get("project_id")})
    given = query.checked(asked, schemas.USAGES, call.version)
    wanted_type = given.get("consumer_type")
    usages = await call.service.providers.usages_of_project(
        given["project_id"],
        user_id=given.get("user_id"),
        consumer_type=None if wanted_type == "all" else wanted_type,
    )
    if call.version < (1, 38):
        return answer(call, {"usages": _sum(usages)})
    return answer(call, {"usages": _grouped(usages, together=wanted_type == "all")})


def _sum(usages: Sequence[ProjectUsage]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in usages:
        if one.resource_class is not None:
            total[one.resource_class] = total.get(one.resource_class, 0) + one.used
    return total


def _grouped(usages: Sequence[ProjectUsage], *, together: bool) -> dict[str, dict[str, int]]:
    groups: dict[str, list[ProjectUsage]] = {}
    for one in usages:
        groups.setdefault("all" if together else one.consumer_type or "unknown", []).append(one)
    counts = {name: sum(one.consumers for one in group if one.resource_class is None) for name, group in groups.items()}
    return {name: {**_sum(group), "consumer_count": counts[name]} for name, group in groups.items()}
