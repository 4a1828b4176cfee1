"""Every two requests about the things that hang on one another at the same moment: both are decided, nothing dangles.

Each pair gets a small cloud within the cloud: a network with a router and its way out, a port, a security group, a
server, an image, a flavor, a key, a group of servers. Of the pairs a sample is drawn, on each database.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
import sqlalchemy as sa

from novakit.store import Store
from tests.crash.quick import OPTIONS
from tests.support.service import Api, Service
from tests.support.stores import open_store

COMPUTE, NETWORK, IMAGE = "/compute/v2.1", "/network/v2.0", "/image/v2"
AT_ONCE = 6
WITHIN = 90.0
SAMPLE = 80
FIXED = "10.77.0.200"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBpPbs9Et1X3uH7D1c0RDVUHJmHD9y4CAGbUtWlVNZKn x"
UNLIMITED = {"network": -1, "subnet": -1, "port": -1, "router": -1, "floatingip": -1}
UNLIMITED |= {"security_group": -1, "security_group_rule": -1}
Request = tuple[str, str, Any]


@attrs.define
class Things:
    """The ids of one small cloud, by what they are."""

    ids: dict[str, str]

    def __getattr__(self, name: str) -> str:
        return self.ids[name]

    def server(self, network: Any, **more: Any) -> Request:
        server = {"name": "s", "imageRef": self.image, "flavorRef": self.flavor, "networks": network} | more
        hints = server.pop("hints", {})
        return "POST", f"{COMPUTE}/servers", {"server": server, "os:scheduler_hints": hints}

    def act(self, action: Mapping[str, Any]) -> Request:
        return "POST", f"{COMPUTE}/servers/{self.kept}/action", action

    def put(self, kind: str, noun: str, id: str, **values: Any) -> Request:
        return "PUT", f"{NETWORK}/{kind}/{id}", {noun: values}

    def new(self, kind: str, noun: str, **values: Any) -> Request:
        return "POST", f"{NETWORK}/{kind}", {noun: values}

    def leg(self, verb: str, **by: str) -> Request:
        return "PUT", f"{NETWORK}/routers/{self.router}/{verb}_router_interface", by

    def gone(self, kind: str, id: str) -> Request:
        return "DELETE", f"{NETWORK}/{kind}/{id}", None


ASKED: dict[str, Callable[[Things], Request]] = {
    "network goes": lambda own: own.gone("networks", own.network),
    "subnet goes": lambda own: own.gone("subnets", own.subnet),
    "empty subnet goes": lambda own: own.gone("subnets", own.spare),
    "subnet comes": lambda own: own.new("subnets", "subnet", network_id=own.network, cidr="10.79.0.0/24", ip_version=4),
    "port goes": lambda own: own.gone("ports", own.port),
    "port comes": lambda own: own.new("ports", "port", network_id=own.network, security_groups=[own.group]),
    "port comes with the address": lambda own: own.new(
        "ports", "port", network_id=own.network, fixed_ips=[{"subnet_id": own.subnet, "ip_address": FIXED}]
    ),
    "port takes the address": lambda own: own.put(
        "ports", "port", own.port, fixed_ips=[{"subnet_id": own.subnet, "ip_address": FIXED}]
    ),
    "port moves to the other subnet": lambda own: own.put(
        "ports", "port", own.port, fixed_ips=[{"subnet_id": own.spare}]
    ),
    "port joins the group": lambda own: own.put("ports", "port", own.port, security_groups=[own.group]),
    "group goes": lambda own: own.gone("security-groups", own.group),
    "rule comes": lambda own: own.new(
        "security-group-rules", "security_group_rule", security_group_id=own.group, direction="ingress", protocol="tcp"
    ),
    "rule of that group comes": lambda own: own.new(
        "security-group-rules",
        "security_group_rule",
        security_group_id=own.other,
        direction="ingress",
        remote_group_id=own.group,
    ),
    "leg goes": lambda own: own.leg("remove", subnet_id=own.subnet),
    "leg comes": lambda own: own.leg("add", subnet_id=own.spare),
    "port becomes a leg": lambda own: own.leg("add", port_id=own.port),
    "gateway goes": lambda own: own.put("routers", "router", own.router, external_gateway_info={}),
    "gateway comes": lambda own: own.put(
        "routers", "router", own.router, external_gateway_info={"network_id": own.external}
    ),
    "router goes": lambda own: own.gone("routers", own.router),
    "route comes": lambda own: own.put(
        "routers", "router", own.router, routes=[{"destination": "10.99.0.0/24", "nexthop": "10.77.0.9"}]
    ),
    "floating IP is put on the port": lambda own: own.put("floatingips", "floatingip", own.floating, port_id=own.port),
    "floating IP is put on the server": lambda own: own.put("floatingips", "floatingip", own.floating, port_id=own.nic),
    "floating IP goes": lambda own: own.gone("floatingips", own.floating),
    "floating IP comes": lambda own: own.new(
        "floatingips", "floatingip", floating_network_id=own.external, port_id=own.port
    ),
    "server comes on the port": lambda own: own.server([{"port": own.port}]),
    "server comes on the network": lambda own: own.server(
        [{"uuid": own.network}], security_groups=[{"name": own.group}]
    ),
    "server comes with key and group": lambda own: own.server("none", key_name=own.key, hints={"group": own.friends}),
    "server goes": lambda own: ("DELETE", f"{COMPUTE}/servers/{own.kept}", None),
    "server joins the group": lambda own: own.act({"addSecurityGroup": {"name": own.group}}),
    "server is shelved": lambda own: own.act({"shelve": None}),
    "server is suspended": lambda own: own.act({"suspend": None}),
    "server is rebooted": lambda own: own.act({"reboot": {"type": "HARD"}}),
    "image goes": lambda own: ("DELETE", f"{IMAGE}/images/{own.image}", None),
    "image is put aside": lambda own: ("POST", f"{IMAGE}/images/{own.image}/actions/deactivate", None),
    "image is shared": lambda own: ("POST", f"{IMAGE}/images/{own.image}/members", {"member": "f" * 32}),
    "key goes": lambda own: ("DELETE", f"{COMPUTE}/os-keypairs/{own.key}", None),
    "flavor goes": lambda own: ("DELETE", f"{COMPUTE}/flavors/{own.flavor}", None),
    "friends part": lambda own: ("DELETE", f"{COMPUTE}/os-server-groups/{own.friends}", None),
}
"""What is asked, by what it is about."""


def pairs() -> list[tuple[str, str]]:
    """Give every two requests, the same twice too."""
    return list(itertools.combinations_with_replacement(ASKED, 2))


class World:
    """A service, and the small clouds in it."""

    def __init__(self, api: Api, store: Store):
        self.api, self.store = api, store
        self.external = ""

    async def open(self) -> None:
        quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "key_pairs": -1, "server_groups": -1}}
        quota["quota_set"]["force"] = True
        await self.api.ok("PUT", f"{COMPUTE}/os-quota-sets/{self.api.project_id}", quota, version="2.56")
        await self.api.ok("PUT", f"{NETWORK}/quotas/{self.api.project_id}", {"quota": UNLIMITED})
        found = await self.api.ok("GET", f"{NETWORK}/networks?router:external=true")
        self.external = found["networks"][0]["id"]

    async def made(self, request: Request) -> Any:
        method, path, body = request
        document = await self.api.ok(method, path, body)
        return next(iter(document.values()))["id"]

    async def things(self, name: str) -> Things:
        """Make a small cloud."""
        own = Things({"external": self.external, "key": name})
        ids = own.ids
        ids["image"] = await self.api.image(name, content=bytes(512))
        flavor = {"name": name, "id": name, "ram": 64, "vcpus": 1, "disk": 0}
        ids["flavor"] = await self.made(("POST", f"{COMPUTE}/flavors", {"flavor": flavor}))
        await self.api.ok(
            "POST", f"{COMPUTE}/os-keypairs", {"keypair": {"name": name, "public_key": KEY}}, version="2.1"
        )
        friends = {"server_group": {"name": name, "policy": "soft-affinity"}}
        ids["friends"] = await self.made(("POST", f"{COMPUTE}/os-server-groups", friends))
        ids["network"] = await self.made(own.new("networks", "network", name=name))
        for subnet, cidr in (("subnet", "10.77.0.0/24"), ("spare", "10.78.0.0/24")):
            asked = own.new("subnets", "subnet", network_id=own.network, cidr=cidr, ip_version=4)
            ids[subnet] = await self.made(asked)
        for group in ("group", "other"):
            ids[group] = await self.made(own.new("security-groups", "security_group", name=f"{name} {group}"))
        for port in ("port", "nic"):
            on = [{"subnet_id": own.subnet}]
            ids[port] = await self.made(own.new("ports", "port", network_id=own.network, fixed_ips=on))
        gateway = {"network_id": self.external}
        ids["router"] = await self.made(own.new("routers", "router", name=name, external_gateway_info=gateway))
        method, path, body = own.leg("add", subnet_id=own.subnet)
        await self.api.ok(method, path, body)
        ids["floating"] = await self.made(own.new("floatingips", "floatingip", floating_network_id=self.external))
        ids["kept"] = await self.made(own.server([{"port": own.nic}]))
        await self.api.reach(own.kept, "ACTIVE", WITHIN)
        return own

    async def fight(self, number: int, one: str, other: str) -> None:
        """Make a small cloud, ask both things of it at once, look at what came of it, and take it away."""
        own = await self.things(f"w{number}")
        answers = await asyncio.gather(*(self.asked(ASKED[each](own)) for each in (one, other)))
        for name, (status, document) in zip((one, other), answers, strict=True):
            assert status < 500 or status == 501, (one, other, name, status, document)
        statuses = [status for status, _ in answers]
        assert min(statuses) < 300 or not REFUSED.isdisjoint((one, other)), (one, other, answers)
        await self.taken_away(own, (one, other))

    async def asked(self, request: Request) -> tuple[int, Any]:
        method, path, body = request
        answer: tuple[int, Any] = await self.api.call(method, path, body)
        return answer

    async def taken_away(self, own: Things, pair: tuple[str, str]) -> None:
        """Delete all that is left of a small cloud, each thing once nothing hangs on it: nothing is stuck."""
        servers = (await self.api.ok("GET", f"{COMPUTE}/servers?flavor={own.flavor}"))["servers"]
        for server in servers:
            await self.without(("DELETE", f"{COMPUTE}/servers/{server['id']}", None), pair)
        await self.api.gone(*(server["id"] for server in servers), within=WITHIN)
        ports = (await self.api.ok("GET", f"{NETWORK}/ports?network_id={own.network}"))["ports"]
        for floating in (await self.api.ok("GET", f"{NETWORK}/floatingips"))["floatingips"]:
            if floating["id"] == own.floating or floating["port_id"] in {port["id"] for port in ports}:
                await self.without(own.gone("floatingips", floating["id"]), pair)
        await self.without(own.put("routers", "router", own.router, routes=[]), pair)
        for port in ports:
            if port["device_owner"] == "network:router_interface":
                await self.without(own.leg("remove", port_id=port["id"]), pair)
            elif not port["device_owner"].startswith("network:"):
                await self.without(own.gone("ports", port["id"]), pair)
        await self.without(own.gone("routers", own.router), pair)
        for group in (own.other, own.group):
            await self.without(own.gone("security-groups", group), pair)
        await self.without(own.gone("networks", own.network), pair)
        for path in (f"images/{own.image}",):
            await self.without(("DELETE", f"{IMAGE}/{path}", None), pair)
        for path in (f"flavors/{own.flavor}", f"os-keypairs/{own.key}", f"os-server-groups/{own.friends}"):
            await self.without(("DELETE", f"{COMPUTE}/{path}", None), pair)

    async def without(self, request: Request, pair: tuple[str, str]) -> None:
        status, document = await self.asked(request)
        assert status < 300 or status == 404, (pair, request, status, document)

    async def at_rest(self) -> None:
        """Insist that nothing is under way, that the audit finds nothing, and that nothing names what is gone."""
        deadline = time.monotonic() + WITHIN
        while True:
            found = (await self.api.ok("GET", "/novakit/v1/audit"))["audit"]
            if not found["orphaned"] and not found["unchecked"]:
                break
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.1)
        assert found["counted"]["servers"] == found["counted"]["guests"] == found["counted"]["allocations"] == 0
        async with self.store.read() as session:
            for what, question in DANGLING.items():
                left = await session.rows(sa.text(question))
                assert not left, (what, left)


REFUSED = {
    "network goes",  # while it has ports
    "subnet goes",
    "leg comes",  # where the port stands on the spare subnet's address already
    "router goes",  # while it has legs
    "gateway comes",
    "route comes",
    "port becomes a leg",  # of a subnet that has one
}
"""What the small cloud as it stands does not allow, so that a pair with it may be refused altogether."""

DANGLING = {
    "a port of no server": "SELECT id FROM ports WHERE server_id IS NOT NULL AND server_id NOT IN"
    " (SELECT id FROM servers WHERE deleted_at IS NULL)",
    "a leg of no router": "SELECT id FROM ports WHERE device_owner IN ('network:router_interface',"
    " 'network:router_gateway') AND device_id NOT IN (SELECT id FROM routers)",
    "a gateway that is no port": "SELECT id FROM routers WHERE gateway_port_id IS NOT NULL AND gateway_port_id NOT IN"
    " (SELECT id FROM ports)",
    "a floating IP on no port": "SELECT id FROM floating_ips WHERE port_id IS NOT NULL AND port_id NOT IN"
    " (SELECT id FROM ports)",
    "a floating IP without its own port": "SELECT id FROM floating_ips WHERE floating_port_id NOT IN"
    " (SELECT id FROM ports)",
    "a port of no floating IP": "SELECT id FROM ports WHERE device_owner = 'network:floatingip' AND id NOT IN"
    " (SELECT floating_port_id FROM floating_ips)",
    "a member that is no server": "SELECT server_id FROM server_group_members WHERE server_id NOT IN"
    " (SELECT id FROM servers WHERE deleted_at IS NULL)",
    "an operation that does not end": "SELECT id FROM operations WHERE finished_at IS NULL",
}


async def all_of(state: Path, url: str, some: list[tuple[str, str]]) -> None:
    state.mkdir()
    (state / "novakit.toml").write_text(f'database = "{url}"\n{OPTIONS}')
    with Service(state, "--simulate", "4") as service:
        async with aiohttp.ClientSession() as session:
            store = await open_store(url)
            world = World(await Api.login(service, session, "novakit-admin"), store)
            await world.open()
            turns = asyncio.Semaphore(AT_ONCE)

            async def one(number: int, pair: tuple[str, str]) -> None:
                async with turns:
                    await world.fight(number, *pair)

            async with asyncio.TaskGroup() as tasks:
                for number, pair in enumerate(some):
                    tasks.create_task(one(number, pair))
            await world.at_rest()
            await store.close()
    assert "Traceback" not in (state / "novakit.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_two_requests_at_once_about_what_hangs_together_are_both_decided(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    url = f"sqlite+aiosqlite:///{tmp_path}/state/novakit.db"
    if database == "postgresql":
        url = request.getfixturevalue("postgres_url")
    await all_of(tmp_path / "state", url, random.Random(seed).sample(pairs(), SAMPLE))
