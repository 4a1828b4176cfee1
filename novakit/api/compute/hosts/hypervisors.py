"""/os-hypervisors: what runs guests on every host, and how full it is."""

import re
from collections.abc import Mapping, Sequence

import orjson
from aiohttp import web

from novakit import errors
from novakit.api import ids
from novakit.api.compute.domain import Compute
from novakit.api.compute.links import limit_and_marker, next_page
from novakit.api.compute.parameters import known_parameters, part
from novakit.api.documents import Document
from novakit.api.queries import strict_boolean
from novakit.api.service import Call, Route, reply
from novakit.compute.hosts import Host, Load
from novakit.front.sharing import Cost

SEARCH = ("hypervisor_hostname_pattern", "with_servers")
GuestsByHost = Mapping[str, Sequence[tuple[str, str]]]


async def index(call: Call[Compute]) -> web.Response:
    """List hypervisors by id and name."""
    return await _list(call, detail=False)


async def detail(call: Call[Compute]) -> web.Response:
    """List hypervisors with all they say."""
    return await _list(call, detail=True)


async def show(call: Call[Compute]) -> web.Response:
    """Show one hypervisor."""
    known_parameters(call, "with_servers")
    host = await _find(call)
    asked = _with_servers(call)
    guests = await call.service.hosts.servers_on([host.name]) if asked else None
    return reply({"hypervisor": _view(call, host, await _loads(call), guests, detail=True)})


async def statistics(call: Call[Compute]) -> web.Response:
    """Sum up every enabled hypervisor (until 2.87)."""
    loads = await _loads(call)
    every = [_usage(host, loads) for host in await call.service.hosts.every() if host.enabled]
    names: tuple[str, ...] = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used")
    names += ("free_ram_mb", "free_disk_gb", "current_workload", "running_vms", "disk_available_least")
    sums = {name: sum(usage[name] for usage in every) for name in names}
    return reply({"hypervisor_statistics": {"count": len(every), **sums}})


async def uptime(call: Call[Compute]) -> web.Response:
    """Refuse: agents do not report the uptime of their host (until 2.87)."""
    await _find(call)
    raise errors.NotImplementedHere("Virt driver does not implement uptime function.")


async def search(call: Call[Compute]) -> web.Response:
    """Find hypervisors by a part of their name (until 2.52)."""
    found = _matching(await call.service.hosts.every(), part(call, "id"))
    return reply({"hypervisors": [_view(call, host, {}, None, detail=False) for host in found]})


async def servers(call: Call[Compute]) -> web.Response:
    """Find hypervisors by a part of their name, with their servers (until 2.52)."""
    found = _matching(await call.service.hosts.every(), part(call, "id"))
    guests = await call.service.hosts.servers_on([host.name for host in found])
    return reply({"hypervisors": [_view(call, host, {}, guests, detail=False) for host in found]})


async def _list(call: Call[Compute], *, detail: bool) -> web.Response:
    known_parameters(call, "limit", "marker", *SEARCH)
    found = await call.service.hosts.every()
    pattern = call.query.get("hypervisor_hostname_pattern") if call.version >= (2, 53) else None
    more = []
    if pattern is not None:
        if "limit" in call.query or "marker" in call.query:
            raise errors.BadRequest(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported."
            )
        found = _matching(found, pattern)
    elif call.version >= (2, 33):
        limit, marker = limit_and_marker(call)
        found = _behind(call, found, marker and ids.kept(marker))[:limit]
        place = "os-hypervisors/detail" if detail else "os-hypervisors"
        more = next_page(call, place, [str(_id(call, host)) for host in found])
    guests = await call.service.hosts.servers_on([host.name for host in found]) if _with_servers(call) else None
    loads = await _loads(call) if detail else {}
    body: Document = {"hypervisors": [_view(call, host, loads, guests, detail=detail) for host in found]}
    if more:
        body["hypervisors_links"] = more
    return reply(body)


def _behind(call: Call[Compute], hosts: list[Host], marker: str | None) -> list[Host]:
    if marker is None:
        return hosts
    places = [at for at, host in enumerate(hosts) if str(_id(call, host)) == marker]
    if not places:
        raise errors.BadRequest(f"marker [{marker[:80]}] not found")
    return hosts[places[0] + 1 :]


def _matching(hosts: list[Host], pattern: str) -> list[Host]:
    found = [host for host in hosts if pattern in host.hypervisor_hostname]
    if not found:
        raise errors.NotFound(f"No hypervisor matching '{pattern[:80]}' could be found.")
    return found


async def _find(call: Call[Compute]) -> Host:
    wanted = part(call, "id")
    if call.version >= (2, 53) and not re.fullmatch(r"[0-9a-fA-F-]{36}", wanted):
        raise errors.BadRequest(f"Invalid uuid {wanted[:80]}")
    for host in await call.service.hosts.every():
        if str(_id(call, host)) == wanted:
            return host
    raise errors.NotFound(f"Hypervisor with ID '{wanted[:80]}' could not be found.")


def _with_servers(call: Call[Compute]) -> bool:
    asked = call.query.get("with_servers")
    return call.version >= (2, 53) and asked is not None and strict_boolean(asked, "with_servers")


async def _loads(call: Call[Compute]) -> Mapping[str, Load]:
    """Sum up the servers of hosts, for the versions that show it."""
    if call.version >= (2, 88):
        return {}
    loads: Mapping[str, Load] = await call.service.hosts.loads()
    return loads


def _id(call: Call[Compute], host: Host) -> str | int:
    return host.hypervisor_id if call.version >= (2, 53) else host.number


def _view(
    call: Call[Compute], host: Host, loads: Mapping[str, Load], guests: GuestsByHost | None, *, detail: bool
) -> Document:
    shown: Document = {
        "id": _id(call, host),
        "hypervisor_hostname": host.hypervisor_hostname,
        "state": "up" if host.up else "down",
        "status": "enabled" if host.enabled else "disabled",
    }
    if detail:
        shown |= {
            "hypervisor_type": host.facts.get("hypervisor_type", ""),
            "hypervisor_version": host.facts.get("hypervisor_version", 0),
            "host_ip": host.facts.get("host_ip"),
            "service": {
                "id": host.service_id if call.version >= (2, 53) else host.number,
                "host": host.name,
                "disabled_reason": host.disabled_reason,
            },
        }
        shown |= {"uptime": None} if call.version >= (2, 88) else _old_detail(call, host, loads)
    if guests is not None:
        found = [{"name": f"instance-{server_id[:8]}", "uuid": server_id} for server_id, _ in guests.get(host.name, ())]
        if found or call.version >= (2, 75):
            shown["servers"] = found
    return shown


def _old_detail(call: Call[Compute], host: Host, loads: Mapping[str, Load]) -> Document:
    cpu = dict(host.facts.get("cpu_info") or {})
    return {**_usage(host, loads), "cpu_info": cpu if call.version >= (2, 28) else orjson.dumps(cpu).decode()}


def _usage(host: Host, loads: Mapping[str, Load]) -> dict[str, int]:
    load = loads.get(host.name, Load())
    inventory = host.facts.get("inventory") or {}
    vcpus, ram, disk = (int(inventory.get(name, {}).get("total", 0)) for name in ("VCPU", "MEMORY_MB", "DISK_GB"))
    kept = int(inventory.get("MEMORY_MB", {}).get("reserved", 0))
    return {
        "vcpus": vcpus,
        "memory_mb": ram,
        "local_gb": disk,
        "vcpus_used": load.vcpus,
        "memory_mb_used": load.ram + kept,
        "local_gb_used": load.disk,
        "free_ram_mb": ram - load.ram - kept,
        "free_disk_gb": disk - load.disk,
        "current_workload": load.busy,
        "running_vms": load.servers,
        "disk_available_least": disk - load.disk,
    }


LAST, OLD = (2, 87), (2, 52)
"""The last version with statistics and `uptime` of its own, and the last that searches by a part of the path; 2.88 and
2.53 took them away."""
ROUTES = [
    Route(method="GET", path="/v2.1/os-hypervisors", handler=index, rule="os_compute_api:os-hypervisors:list"),
    Route(
        method="GET",
        path="/v2.1/os-hypervisors/detail",
        handler=detail,
        rule="os_compute_api:os-hypervisors:list-detail",
        cost=Cost.HEAVY,
    ),
    Route(
        method="GET",
        path="/v2.1/os-hypervisors/statistics",
        handler=statistics,
        until=LAST,
        rule="os_compute_api:os-hypervisors:statistics",
    ),
    Route(method="GET", path="/v2.1/os-hypervisors/{id}", handler=show, rule="os_compute_api:os-hypervisors:show"),
    Route(
        method="GET",
        path="/v2.1/os-hypervisors/{id}/uptime",
        handler=uptime,
        until=LAST,
        rule="os_compute_api:os-hypervisors:uptime",
    ),
    Route(
        method="GET",
        path="/v2.1/os-hypervisors/{id}/search",
        handler=search,
        until=OLD,
        rule="os_compute_api:os-hypervisors:search",
    ),
    Route(
        method="GET",
        path="/v2.1/os-hypervisors/{id}/servers",
        handler=servers,
        until=OLD,
        rule="os_compute_api:os-hypervisors:servers",
    ),
]
