"""Every service in one application, called without sockets, with tokens that are the names of personas."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import attrs
import orjson
import sqlalchemy as sa
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request

from novakit import errors, world
from novakit.api.services import SERVICES
from novakit.bus import MemoryBus
from novakit.config import Config
from novakit.context import RequestContext
from novakit.identity import Identity, tokens
from novakit.image import Images
from novakit.network import Networks
from novakit.placement import Placement
from novakit.policy import PolicyFile
from novakit.policy.personas import ME, MINE, PERSONAS, STRANGER, caller
from novakit.scheduler.reports import SchedulerReports
from novakit.serving import additions_of, compute_of
from novakit.store import Store
from novakit.store.compute import hosts, servers
from novakit.store.identity import directory as identity
from novakit_hookspecs.hosts import HostFacts, Inventory
from novakit_hookspecs.plain import to_plain
from tests.support.stores import sqlite_store

ABSENT = "00000000-0000-4000-8000-00000000dead"
VERSIONS = {"compute": "compute 2.100", "placement": "placement 1.39", "volume": "volume 3.0"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbVwc1ZpzCBzNdZUvBDBxwuwyuGkVMOF1xLdAkzPLTd a@b"
MAKERS = {
    MINE: caller("admin", "manager", "member", "reader"),
    STRANGER: attrs.evolve(caller("admin", "manager", "member", "reader", project=STRANGER), user_id=STRANGER),
}


async def authenticate(token: str, request_id: str) -> RequestContext:
    """Take the token for the name of a persona, or of a project in which things are made."""
    found = MAKERS.get(token) or PERSONAS.get(token)
    if found is None:
        raise errors.Unauthorized("The token is not known.")
    return attrs.evolve(found, request_id=request_id)


@attrs.define
class Answer:
    """What came back."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@attrs.define
class Cloud:
    """All services on one store, and the things in it by kind and owner."""

    app: web.Application
    store: Store
    domains: Mapping[str, Any]
    things: dict[tuple[str, str], str] = attrs.field(factory=dict)
    number: int = 0

    @classmethod
    async def open(cls, directory: Path, rules: PolicyFile | None = None) -> "Cloud":
        """Make everything on an empty database."""
        store = await sqlite_store(directory / "x.db")
        config, bus = Config(state=directory), MemoryBus().join("api")
        images, networks, placement = Images(store, directory / "images"), Networks(store), Placement(store)
        directory_of_users = Identity(store, directory / "keys", {})
        await images.open()
        domains = {
            "identity": directory_of_users,
            "image": images,
            "network": networks,
            "placement": placement,
            "compute": compute_of(config, store, bus, directory_of_users, images, networks),
            "volume": None,
            "novakit": additions_of(SchedulerReports(store, bus, config, images), config, images, bus),
        }
        root = web.Application()
        for service in SERVICES:
            made = service.app(domains[service.name], authenticate, policy_file=rules)
            root.add_subapp(f"/{service.name}", made)
        root.freeze()
        cloud = cls(root, store, domains)
        await cloud._people()
        return cloud

    async def _people(self) -> None:
        """Make the projects and users of the personas, the roles, and a compute host."""
        common = {"domain_id": "default", "enabled": True, "description": ""}
        facts = HostFacts(
            hypervisor_type="QEMU",
            hypervisor_version=1,
            hypervisor_hostname="alpha",
            inventory={"VCPU": Inventory(total=8), "MEMORY_MB": Inventory(total=8192), "DISK_GB": Inventory(total=9)},
        )
        async with self.store.write() as session:
            domain = {"id": "default", "name": "Default", "enabled": True, "description": ""}
            await session.execute(sa.insert(identity.domains), [domain])
            await session.execute(sa.insert(identity.projects), [self._project(name) for name in (MINE, STRANGER)])
            users = [{"id": name, "name": name, "tokens_valid_from": world.now(), **common} for name in (ME, STRANGER)]
            await session.execute(sa.insert(identity.users), users)
            await hosts.report(session, "alpha", to_plain(facts))

    def _project(self, key: str) -> dict[str, Any]:
        common = {"domain_id": "default", "enabled": True, "description": "", "tags": []}
        return {"id": key, "name": key, "parent_id": "default", **common}

    async def ask(
        self, token: str | None, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request to the service that the path begins with."""
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(data)), "Host": "cloud"}
        if version := VERSIONS.get(path.split("/")[1]):
            sent["OpenStack-API-Version"] = version
        if token is not None:
            sent["X-Auth-Token"] = token
        stream = StreamReader(mock.Mock(_reading_paused=False), 2**16, loop=asyncio.get_running_loop())
        stream.feed_data(data)
        stream.feed_eof()
        request = make_mocked_request(method, path, {**sent, **(headers or {})}, app=self.app, payload=stream)
        answer: Any = await self.app._handle(request)
        content = getattr(answer, "body", None)
        return Answer(answer.status, content if isinstance(content, bytes) else b"")

    async def make(self, owner: str, path: str, body: Any) -> Any:
        """Make one thing in the name of an owner, which must work; give the answer's body."""
        answer = await self.ask(owner, "POST", path, body)
        assert answer.status in (200, 201, 202, 204), (path, answer)
        return answer.json if answer.body else None

    async def thing(self, kind: str, owner: str) -> str:
        """Give the id of something of a kind that belongs to an owner; it is made when it is not there."""
        key = kind, owner
        if key not in self.things:
            self.number += 1
            self.things[key] = str(await THINGS[kind](self, owner))
        return self.things[key]

    def gone(self, kind: str, owner: str) -> None:
        """Forget something that was deleted, so that it is made again when it is asked for."""
        self.things.pop((kind, owner), None)


async def _server(cloud: Cloud, owner: str) -> str:
    asked = {
        "name": "web",
        "imageRef": await cloud.thing("active image", owner),
        "flavorRef": await cloud.thing("flavor", MINE),
        "networks": "none",
        "tags": ["blue"],
        "metadata": {"k": "v"},
    }
    wide = {"quota_set": {"instances": 999, "cores": 999, "ram": 99999}}
    assert (await cloud.ask(owner, "PUT", f"/compute/v2.1/os-quota-sets/{owner}", wide)).status == 200
    made = (await cloud.make(owner, "/compute/v2.1/servers", {"server": asked}))["server"]["id"]
    async with cloud.store.write() as session:
        await servers.change(session, made, vm_state="active", task_state=None, power_state=1)
    return str(made)


async def _active_image(cloud: Cloud, owner: str) -> str:
    image = await _image(cloud, owner)
    headers = {"Content-Type": "application/octet-stream"}
    answer = await cloud.ask(owner, "PUT", f"/image/v2/images/{image}/file", b"\0" * 1024, headers)
    assert answer.status == 204, answer
    return image


async def _image(cloud: Cloud, owner: str) -> str:
    asked = {"name": "i", "disk_format": "raw", "container_format": "bare", "tags": ["blue"], "image_type": "snapshot"}
    return str((await cloud.make(owner, "/image/v2/images", asked))["id"])


async def _image_file(cloud: Cloud, owner: str) -> str:
    """Put a file where images are that no image has."""
    name = f"file-{cloud.number}"
    (cloud.domains["image"].directory / name).write_bytes(bytes(1024))
    return name


async def _given_image(cloud: Cloud, owner: str) -> str:
    """Make an image of somebody else that is shared with an owner."""
    image = await _image(cloud, STRANGER if owner == MINE else MINE)
    await cloud.make(STRANGER if owner == MINE else MINE, f"/image/v2/images/{image}/members", {"member": owner})
    return image


async def _lent_image(cloud: Cloud, owner: str) -> str:
    image = await _image(cloud, owner)
    await cloud.make(owner, f"/image/v2/images/{image}/members", {"member": "third"})
    return image


def _network_thing(path: str, one: str, **values: Any) -> Callable[[Cloud, str], Awaitable[str]]:
    async def maker(cloud: Cloud, owner: str) -> str:
        asked = {name: await value(cloud, owner) if callable(value) else value for name, value in values.items()}
        if path == "subnets":
            asked["cidr"] = f"10.{cloud.number % 250}.0.0/24"
        return str((await cloud.make(owner, f"/network/v2.0/{path}", {one: asked}))[one]["id"])

    return maker


def _of(kind: str) -> Callable[[Cloud, str], Awaitable[str]]:
    return lambda cloud, owner: cloud.thing(kind, owner)


async def _outside(cloud: Cloud, owner: str) -> str:
    """Make the external network with its subnet, once for everybody."""
    if owner != MINE:
        return await cloud.thing("external network", MINE)
    asked = {"name": "public", "router:external": True}
    network = (await cloud.make(owner, "/network/v2.0/networks", {"network": asked}))["network"]["id"]
    subnet = {"network_id": network, "cidr": "172.24.0.0/16", "ip_version": 4}
    await cloud.make(owner, "/network/v2.0/subnets", {"subnet": subnet})
    return str(network)


def _noun(plural: str, one: str, key: str = "id", **values: Any) -> Callable[[Cloud, str], Awaitable[str]]:
    """Make something of identity; `{}` in a value becomes a number."""

    async def maker(cloud: Cloud, owner: str) -> str:
        asked = {name: await value(cloud, owner) if callable(value) else value for name, value in values.items()}
        asked = {k: v.format(cloud.number) if isinstance(v, str) else v for k, v in asked.items()}
        return str((await cloud.make(owner, f"/identity/v3/{plural}", {one: asked}))[one][key])

    return maker


async def _own_row(cloud: Cloud, owner: str, of: sa.Table, row: Mapping[str, Any]) -> str:
    async with cloud.store.write() as session:
        if await session.first(sa.select(of.c.id).where(of.c.id == row["id"]), of=sa.RowMapping) is None:
            await session.execute(sa.insert(of), [row])
    return str(row["id"])


async def _user(cloud: Cloud, owner: str) -> str:
    key = ME if owner == MINE else STRANGER
    row = {"id": key, "name": key, "domain_id": "default", "enabled": True, "description": ""}
    return await _own_row(cloud, owner, identity.users, {**row, "tokens_valid_from": world.now()})


async def _group(cloud: Cloud, owner: str) -> str:
    asked = {"name": "g", "policy": "affinity"}
    return str(
        (await cloud.make(owner, "/compute/v2.1/os-server-groups", {"server_group": asked}))["server_group"]["id"]
    )


async def _keypair(cloud: Cloud, owner: str) -> str:
    asked = {"name": f"key-{cloud.number}", "public_key": KEY}
    return str((await cloud.make(owner, "/compute/v2.1/os-keypairs", {"keypair": asked}))["keypair"]["name"])


async def _flavor(cloud: Cloud, owner: str, disk: int = 1) -> str:
    asked = {"name": f"f{cloud.number}", "ram": 64, "vcpus": 1, "disk": disk}
    made = await cloud.make(owner, "/compute/v2.1/flavors", {"flavor": asked})
    specs = {"extra_specs": {"hw:cpu_policy": "shared"}}
    await cloud.make(owner, f"/compute/v2.1/flavors/{made['flavor']['id']}/os-extra_specs", specs)
    return str(made["flavor"]["id"])


async def _aggregate(cloud: Cloud, owner: str) -> str:
    asked = {"name": f"a{cloud.number}"}
    return str((await cloud.make(owner, "/compute/v2.1/os-aggregates", {"aggregate": asked}))["aggregate"]["id"])


async def _host(cloud: Cloud, owner: str) -> str:
    found = await cloud.ask(owner, "GET", "/compute/v2.1/os-hypervisors")
    return str(found.json["hypervisors"][0]["id"])


async def _service_id(cloud: Cloud, owner: str) -> str:
    found = await cloud.ask(owner, "GET", "/compute/v2.1/os-services")
    return str(found.json["services"][0]["id"])


async def _provider(cloud: Cloud, owner: str) -> str:
    asked = {"name": f"p{cloud.number}"}
    made = str((await cloud.make(owner, "/placement/resource_providers", asked))["uuid"])
    stock = {"resource_provider_generation": 0, "inventories": {"VCPU": {"total": 8}}}
    answer = await cloud.ask(owner, "PUT", f"/placement/resource_providers/{made}/inventories", stock)
    assert answer.status == 200, answer
    return made


def _named(path: str, prefix: str) -> Callable[[Cloud, str], Awaitable[str]]:
    async def maker(cloud: Cloud, owner: str) -> str:
        name = f"{prefix}{cloud.number}"
        assert (await cloud.ask(owner, "PUT", f"/placement/{path}/{name}")).status in (201, 204)
        return name

    return maker


def _named_already(name: str) -> Callable[[Cloud, str], Awaitable[str]]:
    async def maker(cloud: Cloud, owner: str) -> str:
        return name

    return maker


async def _token(cloud: Cloud, owner: str) -> str:
    user = await cloud.thing("user", owner)
    return str(cloud.domains["identity"].ring.write(tokens.fresh(user, lifetime=600, methods=("password",))))


THINGS: Mapping[str, Callable[[Cloud, str], Awaitable[str]]] = {
    "server": _server,
    "active image": _active_image,
    "image": _image,
    "image file": _image_file,
    "given image": _given_image,
    "lent image": _lent_image,
    "network": _network_thing("networks", "network", name="n"),
    "subnet": _network_thing("subnets", "subnet", network_id=_of("network"), ip_version=4),
    "port": _network_thing("ports", "port", network_id=_of("network"), tags=["blue"]),
    "external port": _network_thing("ports", "port", network_id=_of("external network")),
    "router": _network_thing("routers", "router", name="r"),
    "external network": _outside,
    "floatingip": _network_thing("floatingips", "floatingip", floating_network_id=_of("external network")),
    "security_group": _network_thing("security-groups", "security_group", name="s"),
    "security_group_rule": _network_thing(
        "security-group-rules",
        "security_group_rule",
        security_group_id=_of("security_group"),
        direction="ingress",
        protocol="tcp",
    ),
    "project": lambda cloud, owner: _own_row(cloud, owner, identity.projects, cloud._project(owner)),
    "user": _user,
    "role": _noun("roles", "role", name="member"),
    "domain": _named_already("default"),
    "host name": _named_already("alpha"),
    "region": _noun("regions", "region", description="x"),
    "service": _noun("services", "service", type="type-{}"),
    "endpoint": _noun("endpoints", "endpoint", interface="public", url="http://x/{}", service_id=_of("service")),
    "server group": _group,
    "token": _token,
    "keypair": _keypair,
    "flavor": _flavor,
    "flavor without disk": partial(_flavor, disk=0),
    "aggregate": _aggregate,
    "host": _host,
    "compute service": _service_id,
    "provider": _provider,
    "resource class": _named("resource_classes", "CUSTOM_CLASS_"),
    "trait": _named("traits", "CUSTOM_TRAIT_"),
}
