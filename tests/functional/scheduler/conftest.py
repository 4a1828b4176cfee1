"""A cloud of hosts in a database of its own, with schedulers to place on it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from novakit import errors, world
from novakit.api.novakit import service
from novakit.api.novakit.domain import Additions
from novakit.bus import Bus, MemoryBus
from novakit.config import Config
from novakit.context import RequestContext
from novakit.image import Images
from novakit.placement import HostReport, Placement
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.pipeline.ask import from_plain
from novakit.scheduler.pipeline.compose import Offered, PipelineOptions
from novakit.scheduler.reports import SchedulerReports
from novakit.scheduler.select import Scheduler
from novakit.scheduler.service import build, serve
from novakit.serving import additions_of
from novakit.store import Store
from novakit.store.compute import aggregates, flavors, hosts, server_groups
from novakit.store.scheduler import decisions
from novakit_filters import novakit_filters
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.facets import trait_of_attachment
from novakit_hookspecs.hosts import Inventory
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.scheduling import Ask
from novakit_weighers import novakit_weighers
from tests.support.stores import store_on

assert aggregates and decisions and server_groups


@attrs.define
class Cloud:
    store: Store
    placement: Placement

    async def add_hosts(
        self, count: int, *, memory_mb: int = 4096, vcpus: int = 16, start: int = 0, numa: Any = (), pci: Any = ()
    ) -> None:
        inventory = {
            "VCPU": Inventory(total=vcpus),
            "MEMORY_MB": Inventory(total=memory_mb),
            "DISK_GB": Inventory(total=1000),
        }
        if numa:
            inventory["PCPU"] = Inventory(total=sum(len(cell.dedicated) for cell in numa))
        async with self.store.write() as session:
            reports = []
            for number in range(start, start + count):
                name = f"host{number}"
                facts = {
                    "hypervisor_type": "simulated",
                    "hypervisor_version": 1000,
                    "hypervisor_hostname": f"node{number}",
                    "supported_instances": [["x86_64", "simulated", "hvm"]],
                    "numa": to_plain(numa),
                    "pci": to_plain(pci),
                }
                row, _ = await hosts.report(session, name, facts)
                traits = frozenset({"CUSTOM_EVEN"} if number % 2 == 0 else ())
                if pci:
                    traits |= {trait_of_attachment(PciAttachment)}
                reports.append(
                    HostReport(provider_id=row["provider_id"], name=name, inventory=inventory, traits=traits, pci=pci)
                )
            await self.placement.report_hosts(session, reports)

    def scheduler(self, *, limits: SchedulerLimits | None = None, name: str = "scheduler", **options: Any) -> Scheduler:
        filters = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]
        weighers = [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()]
        made, _ = build(
            self.store,
            self.placement,
            filters,
            weighers,
            options=PipelineOptions(**options),
            limits=limits,
            name=name,
        )
        return made

    async def group(self, policy: str, servers: list[str], **rules: int) -> dict[str, str]:
        async with self.store.write() as session:
            row = await server_groups.add(session, project_id="p", user_id="u", name="g", policy=policy, rules=rules)
            await server_groups.join(session, row["id"], servers)
        return {"id": row["id"], "policy": policy}

    async def usage(self) -> dict[str, int]:
        """Give used memory by host name."""
        async with self.store.read() as session:
            used = await self.placement.usages(session)
            return {
                row["name"]: used.get(row["provider_id"], {}).get("MEMORY_MB", 0) for row in await hosts.every(session)
            }


def request(**fields: Any) -> Ask:
    small = {"project_id": "p", "user_id": "u", "request_id": "req-1", "flavor_name": "m1", "memory_mb": 1024}
    return from_plain({"server_id": world.new_id(), **small, "root_gb": 1, **fields})


@pytest.fixture
def make() -> Any:
    return request


@pytest.fixture(params=["sqlite", "postgresql"])
async def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await store_on(request.param, request, tmp_path / "cloud.db")
    yield Cloud(store, Placement(store))
    await store.close()


IMAGE = "3d9ffb6e-6a5c-4b65-9f33-3c3d9a7f6a11"


class OneImage:
    async def show(self, context: RequestContext, image_id: str) -> Mapping[str, Any]:
        if image_id != IMAGE:
            raise errors.NotFound(f"There is no image {image_id}.")
        return {"id": IMAGE, "hw_architecture": "sparc", "min_ram": 0, "min_disk": 0}


async def authenticate(token: str, request_id: str) -> RequestContext:
    """Take `role:project` for a token."""
    role, _, project = token.partition(":")
    if role not in ("admin", "member"):
        raise errors.Unauthorized("Log in.")
    return RequestContext(request_id=request_id, user_id="u", project_id=project, roles={role, "reader"})


@attrs.define
class Desk:
    http: TestClient[Any, Any]
    cloud: Any
    scheduler: Any

    async def get(self, path: str, token: str = "admin:p") -> tuple[int, Any]:
        answer = await self.http.get(path, headers={"X-Auth-Token": token} if token else {})
        return answer.status, orjson.loads(await answer.read())

    async def post(self, path: str, body: Any, token: str = "admin:p") -> tuple[int, Any]:
        answer = await self.http.post(path, data=orjson.dumps(body), headers={"X-Auth-Token": token})
        return answer.status, orjson.loads(await answer.read())


def additions(store: Store, bus: Bus) -> Additions:
    """Make what the API beside the public ones asks of, with one image."""
    config = Config(state=Path("nowhere"))
    images = Images(store, config.state / "images")
    return additions_of(SchedulerReports(store, bus, config, OneImage()), config, images, bus)


@pytest.fixture
async def desk(cloud: Any) -> AsyncIterator[Desk]:
    await cloud.add_hosts(4)
    async with cloud.store.write() as session:
        now = world.now()
        row = {"id": "1", "name": "m1.tiny", "vcpus": 1, "ram": 1024, "disk": 1, "ephemeral": 0, "swap": 0}
        rest = {"rxtx_factor": 1.0, "is_public": True, "disabled": False, "description": None, "extra_specs": {}}
        await flavors.add(session, {**row, **rest, "created_at": now, "updated_at": None})
    bus = MemoryBus()
    scheduler = cloud.scheduler()
    stop = serve(scheduler, bus.join("scheduler"))
    app = service.app(additions(cloud.store, bus.join("api")), authenticate)
    async with TestClient(TestServer(app)) as http:
        yield Desk(http, cloud, scheduler)
    stop()
