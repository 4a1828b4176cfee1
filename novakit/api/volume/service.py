"""The volume service over HTTP: there are no volumes in this cloud yet, and every answer says so."""

from http import HTTPStatus

from aiohttp import web

from novakit import errors
from novakit.api.service import Call, Handler, Microversions, Route, Service, reply
from novakit.api.volume.policies import RULES

VERSIONS = Microversions(service="volume", minimum=(3, 0), maximum=(3, 0))
_PLACES = ("/v3/{project}", "/v3")
"""Clients put the project into the path or leave it out, as the catalog says."""
_EMPTY = {
    "volumes": ("volumes", "volume:get_all"),
    "volumes/detail": ("volumes", "volume:get_all"),
    "snapshots": ("snapshots", "volume:get_all_snapshots"),
    "snapshots/detail": ("snapshots", "volume:get_all_snapshots"),
    "backups": ("backups", "backup:get_all"),
    "backups/detail": ("backups", "backup:get_all"),
    "attachments": ("attachments", "novakit:attachments:list"),
    "attachments/detail": ("attachments", "novakit:attachments:list"),
    "types": ("volume_types", "volume_extension:type_get_all"),
    "os-services": ("services", "volume_extension:services:index"),
    "os-availability-zone": ("availabilityZoneInfo", "volume:availability_zone_list"),
}
"""Lists that are always empty: the key of the list, and the rule of who may ask."""
_QUOTAS = ("volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "per_volume_gigabytes", "groups")
_LIMITS = (
    "maxTotalVolumes",
    "maxTotalSnapshots",
    "maxTotalVolumeGigabytes",
    "maxTotalBackups",
    "maxTotalBackupGigabytes",
    "totalVolumesUsed",
    "totalSnapshotsUsed",
    "totalGigabytesUsed",
    "totalBackupsUsed",
    "totalBackupGigabytesUsed",
)


def shape(error: errors.NovakitError, request_id: str) -> dict[str, object]:
    """Write an error as volume clients read it."""
    status = HTTPStatus(error.status)
    name = status.phrase.replace(" ", "")
    return {f"{name[:1].lower()}{name[1:]}": {"code": int(status), "message": error.message}}


def _document(call: Call[None]) -> dict[str, object]:
    url = call.request.url
    base = f"{url.origin()}{url.path.rstrip('/').removesuffix('/v3')}"
    version = {
        "id": "v3.0",
        "status": "CURRENT",
        "version": "3.0",
        "min_version": "3.0",
        "updated": "2023-08-31T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }
    return {"versions": [version]}


async def choices(call: Call[None]) -> web.Response:
    """List the versions to choose from."""
    return reply(_document(call), 300)


async def versions(call: Call[None]) -> web.Response:
    """List the versions to somebody with a token."""
    return reply(_document(call))


async def quotas(call: Call[None]) -> web.Response:
    """Say that nobody may have volumes, and nobody has any."""
    call.authorize(call.rule, {"project_id": call.path["target"]})
    usage = call.query.get("usage", "").lower() == "true"
    limit: object = {"limit": 0, "in_use": 0, "reserved": 0} if usage else 0
    return reply({"quota_set": {"id": call.path["target"], **dict.fromkeys(_QUOTAS, limit)}})


async def limits(call: Call[None]) -> web.Response:
    """Say the same in the other form."""
    return reply({"limits": {"rate": [], "absolute": dict.fromkeys(_LIMITS, 0)}})


async def absent(call: Call[None]) -> web.Response:
    """Say that there is no such volume."""
    raise errors.NotFound(f"Volume {call.path['id'][:64]} could not be found.")


async def refused(call: Call[None]) -> web.Response:
    """Say that this part of the API is not served."""
    raise errors.NotImplementedHere(
        "This cloud has no volumes: its volume service answers discovery, lists and limits only. Boot from an image."
    )


def _empty(name: str) -> Handler:
    async def listed(call: Call[None]) -> web.Response:
        return reply({name: []})

    return listed


service: Service[None] = Service(
    name="volume",
    routes=(
        Route(method="GET", path="", handler=choices, public=True),
        Route(method="GET", path="/", handler=choices, public=True),
        Route(method="GET", path="/v3", handler=versions, rule="novakit:versions"),
        Route(method="GET", path="/v3/", handler=versions, rule="novakit:versions"),
        *(
            Route(method="GET", path=f"{place}/{path}", handler=_empty(name), rule=rule)
            for place in reversed(_PLACES)
            for path, (name, rule) in _EMPTY.items()
        ),
        *(
            route
            for place in reversed(_PLACES)
            for route in (
                Route(method="GET", path=f"{place}/limits", handler=limits, rule="limits_extension:used_limits"),
                Route(
                    method="GET",
                    path=f"{place}/os-quota-sets/{{target}}",
                    handler=quotas,
                    rule="volume_extension:quotas:show",
                ),
                Route(
                    method="GET",
                    path=f"{place}/os-quota-sets/{{target}}/defaults",
                    handler=quotas,
                    rule="volume_extension:quotas:show",
                ),
                Route(method="GET", path=f"{place}/volumes/{{id}}", handler=absent, rule="volume:get"),
            )
        ),
        Route(method="*", path="/v3/{rest:.*}", handler=refused, rule="novakit:not_served"),
    ),
    shape=shape,
    policies=RULES,
    microversions=VERSIONS,
)
