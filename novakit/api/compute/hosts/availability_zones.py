"""/os-availability-zone: where servers may be asked to run."""

from collections.abc import Mapping, Sequence

from aiohttp import web

from novakit.api.compute.domain import Compute
from novakit.api.compute.servers.views import precise
from novakit.api.documents import Document
from novakit.api.service import Call, Route, reply
from novakit.compute.hosts import Host


async def index(call: Call[Compute]) -> web.Response:
    """List the zones and whether any host of them can be used."""
    zones = await call.service.hosts.zones()
    return _reply([_zone(name, hosts) for name, hosts in _ordered(zones)])


async def detail(call: Call[Compute]) -> web.Response:
    """List the zones with their hosts and services."""
    shown = []
    for name, hosts in _ordered(await call.service.hosts.zones()):
        zone = _zone(name, hosts)
        if _available(hosts):
            zone["hosts"] = {host.name: {"nova-compute": _service(host)} for host in hosts if host.enabled}
        shown.append(zone)
    return _reply(shown)


def _ordered(zones: Mapping[str, Sequence[Host]]) -> list[tuple[str, Sequence[Host]]]:
    """Put the zones that can be used first."""
    return sorted(zones.items(), key=lambda zone: not _available(zone[1]))


def _available(hosts: Sequence[Host]) -> bool:
    return any(host.enabled for host in hosts)


def _zone(name: str, hosts: Sequence[Host]) -> Document:
    return {"zoneName": name, "zoneState": {"available": _available(hosts)}, "hosts": None}


def _service(host: Host) -> Document:
    return {"available": host.up, "active": host.enabled, "updated_at": precise(host.updated_at)}


def _reply(zones: list[Document]) -> web.Response:
    return reply({"availabilityZoneInfo": zones})


ROUTES = [
    Route(
        method="GET", path="/v2.1/os-availability-zone", handler=index, rule="os_compute_api:os-availability-zone:list"
    ),
    Route(
        method="GET",
        path="/v2.1/os-availability-zone/detail",
        handler=detail,
        rule="os_compute_api:os-availability-zone:detail",
    ),
]
