"""The compute API over HTTP, on a store of its own, with tokens that say who they are."""

from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from novakit import errors
from novakit.api.compute import SERVICE
from novakit.api.compute.domain import Compute
from novakit.bus import MemoryBus
from novakit.config import Config
from novakit.context import RequestContext
from novakit.identity import Identity
from novakit.image import Images
from novakit.network import Networks
from novakit.serving import compute_of
from novakit.store import Store
from novakit.store.compute import hosts, servers
from novakit.store.identity import directory as identity
from novakit_hookspecs.hosts import CpuInfo, HostFacts, Inventory
from novakit_hookspecs.plain import to_plain
from tests.support.stores import sqlite_store

EVERYTHING = frozenset(("admin", "manager", "member", "reader"))
PEOPLE = {
    "admin": ("root", "admin-project", EVERYTHING),
    "ann": ("ann", "project-a", frozenset(("member", "reader"))),
    "rae": ("rae", "project-a", frozenset(("reader",))),
    "bob": ("bob", "project-b", frozenset(("member", "reader"))),
}


async def authenticate(token: str, request_id: str) -> RequestContext:
    """Take the token for the name of one of `PEOPLE`."""
    if token not in PEOPLE:
        raise errors.Unauthorized("The request you have made requires authentication.")
    user, project, roles = PEOPLE[token]
    return RequestContext(request_id=request_id, user_id=user, project_id=project, roles=roles)


@attrs.define
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: Any


@attrs.define
class Api:
    """A caller of the compute API."""

    client: TestClient[Any, Any]
    service: Any

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        as_: str | None = "ann",
        version: str | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        headers = {} if as_ is None else {"X-Auth-Token": as_}
        if version:
            headers["OpenStack-API-Version"] = f"compute {version}"
        data = raw if raw is not None else None if body is None else orjson.dumps(body)
        async with self.client.request(method, f"/compute{path}", data=data, headers=headers) as answer:
            content = await answer.read()
            return Answer(answer.status, orjson.loads(content) if content else None, answer.headers)

    @property
    def url(self) -> str:
        return str(self.client.make_url("/compute/v2.1"))


@pytest.fixture
async def store(tmp_path: Path) -> Any:
    opened = await sqlite_store(tmp_path / "x.db")
    yield opened
    await opened.close()


@pytest.fixture
def bus() -> MemoryBus:
    """Give the bus that the domain asks over, with nobody on it."""
    return MemoryBus()


@pytest.fixture
async def compute(store: Store, tmp_path: Path, bus: MemoryBus) -> Any:
    """The whole domain, with nobody to carry operations out."""
    return compute_of(
        Config(state=tmp_path),
        store,
        bus.join("api"),
        Identity(store, tmp_path / "keys", {}),
        Images(store, tmp_path / "images"),
        Networks(store),
    )


@pytest.fixture
async def api(compute: Compute) -> Any:
    outer = web.Application()
    outer.add_subapp("/compute", SERVICE.app(compute, authenticate))
    async with TestClient(TestServer(outer)) as client:
        yield Api(client, compute)


@pytest.fixture
async def projects(store: Store) -> None:
    """Let the identity service know the projects of `PEOPLE`."""
    common = {"domain_id": "default", "enabled": True, "description": "", "tags": []}
    async with store.write() as session:
        await session.execute(
            sa.insert(identity.domains), [{"id": "default", "name": "Default", "enabled": True, "description": ""}]
        )
        await session.execute(
            sa.insert(identity.projects),
            [
                {"id": name, "name": name, "parent_id": "default", **common}
                for name in sorted({project for _, project, _ in PEOPLE.values()})
            ],
        )


@pytest.fixture
async def image_id(compute: Compute, tmp_path: Path) -> str:
    """Give an active public image."""
    file = tmp_path / "disk.raw"
    file.write_bytes(b"\0" * 65536)
    await compute.images.open()
    made = await compute.images.ingest(
        await authenticate("admin", "req-1"),
        name="tiny",
        path=file,
        disk_format="raw",
        visibility="public",
        properties={"hw_disk_bus": "virtio", "color": "red"},
    )
    return made.id


@pytest.fixture
async def flavor_id(compute: Compute) -> str:
    """Give a small public flavor."""
    made = await compute.flavors.create(
        flavor_id="1", name="m1.tiny", vcpus=1, ram=512, disk=1, extra_specs={"hw:cpu_policy": "shared"}
    )
    return str(made["id"])


@pytest.fixture
async def host(store: Store) -> str:
    """Give a compute host that was just heard of."""
    facts = HostFacts(
        hypervisor_type="QEMU",
        hypervisor_version=7002000,
        hypervisor_hostname="alpha.example",
        inventory={
            "VCPU": Inventory(total=8),
            "MEMORY_MB": Inventory(total=16384, reserved=512),
            "DISK_GB": Inventory(total=100),
        },
        cpu_info=CpuInfo(arch="x86_64", model="qemu64"),
    )
    async with store.write() as session:
        await hosts.report(session, "alpha", to_plain(facts))
    return "alpha"


@pytest.fixture
def boot(api: Api, image_id: str, flavor_id: str) -> Any:
    """Give a function that creates a server without network and answers its id."""

    async def call(as_: str = "ann", hints: Any = None, **more: Any) -> str:
        body = {"server": {"name": "web", "imageRef": image_id, "flavorRef": flavor_id, "networks": "none", **more}}
        if hints:
            body["os:scheduler_hints"] = hints
        answer = await api("POST", "/v2.1/servers", body, as_=as_, version="2.100")
        assert answer.status == 202, answer.body
        return str(answer.body["server"]["id"])

    return call


@pytest.fixture
def become(store: Store) -> Any:
    """Give a function that sets columns of a server, as the conductor would."""

    async def call(server_id: str, **values: Any) -> None:
        async with store.write() as session:
            assert await servers.change(session, server_id, **values)

    return call


@pytest.fixture
async def three(boot: Any, become: Any) -> dict[str, str]:
    """Three servers, by name, each with tags and metadata of its own: one runs, one has failed, one is being built."""
    made = {name: await boot(name=name, tags=[name, "all"], metadata={"n": name}) for name in ("a1", "b_2", "c%3")}
    await become(made["a1"], vm_state="active", task_state=None, power_state=1, host="alpha")
    await become(made["b_2"], vm_state="error", task_state=None, locked_by="owner")
    return made
