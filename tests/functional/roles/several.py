"""A cloud of simulated hosts with several schedulers, each role a process of its own, and what must hold of it."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import attrs

from tests.functional.roles.processes import Roles
from tests.support.service import Api

HOSTS, DEVICES, BIG_EACH = 6, 2, 4
"""Hosts, PCI devices of each, and servers of the big flavor that one of them has room for."""
SCHEDULERS = ("north", "south", "west")
WITHIN = 120.0
FLAVORS: Mapping[str, tuple[int, dict[str, str]]] = {
    "big": (4096, {}),
    "small": (64, {}),
    "device": (64, {"pci_passthrough:alias": "a100:1"}),
}
"""Memory and extra specs by name."""
OPTIONS = """
database = "{database}"

[agent]
host = "sim"

[drivers.simulated]
vcpus = 1000
memory_mb = {memory}
topology = "{topology}"
"""


class Several(Roles):
    """The processes; `schedulers` may be killed, stopped and started one by one."""

    def __init__(self, state: Path, database: str):
        super().__init__(state)
        self.database = database
        topology = state / "topology.json"
        pci = [{"address": f"0000:{bus + 16:02x}:00.0", "kind": "a100"} for bus in range(DEVICES)]
        topology.write_text(json.dumps({"pci": pci}))
        memory = BIG_EACH * FLAVORS["big"][0] + 2048
        options = OPTIONS.format(database=database, memory=memory, topology=topology)
        (state / "novakit.toml").write_text(options)

    def start_all(self) -> None:
        """Start every role at the same moment."""
        self.spawn("conductor")
        self.spawn("api")
        self.spawn("agent", "--simulate", str(HOSTS))
        for name in SCHEDULERS:
            self.spawn_scheduler(name)
        self.ready(*self.processes)

    def spawn_scheduler(self, name: str) -> None:
        """Start a scheduler under its name and do not wait."""
        self.spawn("scheduler", "--name", name, name=name)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to one process."""
        self.processes[name].send_signal(number)

    @asynccontextmanager
    async def claims_held_up(self) -> AsyncIterator[Callable[[], Awaitable[int]]]:
        """Let every claim wait for a lock until the end of the block; what is given counts those that wait."""
        held, watch = [await asyncpg.connect(self.database.replace("+asyncpg", "")) for _ in range(2)]
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        try:
            async with held.transaction():
                await held.fetch("SELECT id FROM resource_providers FOR UPDATE")
                yield lambda: watch.fetchval(waiting)
        finally:
            await held.close()
            await watch.close()

    @asynccontextmanager
    async def desk(self) -> AsyncIterator["Desk"]:
        """Log in as the admin; what was made there is gone afterwards, and nothing of it is left."""
        connector = aiohttp.TCPConnector(force_close=True, limit=100)
        async with aiohttp.ClientSession(connector=connector) as session:
            desk = Desk(self, await Api.login(self.service, session, "novakit-admin"))
            await desk.prepare()
            yield desk
            await desk.clear()


@attrs.define
class Desk:
    """What an operator does and sees."""

    cloud: Several
    admin: Api
    image: str = ""
    before: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    """What each scheduler had counted at first, by name."""

    async def prepare(self) -> None:
        """Make what servers are made of, wait for all hosts, and note what was counted so far."""
        quota = {"instances": -1, "cores": -1, "ram": -1, "server_groups": -1, "server_group_members": -1}
        path = f"/compute/v2.1/os-quota-sets/{self.admin.project_id}"
        await self.admin.ok("PUT", path, {"quota_set": {**quota, "force": True}}, version="2.56")
        images = (await self.admin.ok("GET", "/image/v2/images"))["images"]
        self.image = images[0]["id"] if images else await self.admin.image(content=bytes(512))
        for name, (memory, specs) in FLAVORS.items():
            flavor = {"id": name, "name": name, "ram": memory, "vcpus": 1, "disk": 1}
            status, told = await self.admin.call("POST", "/compute/v2.1/flavors", {"flavor": flavor}, version="2.55")
            assert status in (200, 409), told
            if specs and status == 200:
                await self.admin.ok("POST", f"/compute/v2.1/flavors/{name}/os-extra_specs", {"extra_specs": specs})
        async with asyncio.timeout(WITHIN):
            while len(await self.hosts()) < HOSTS:
                await asyncio.sleep(0.1)
        self.before = await self.counts()

    async def hosts(self) -> list[str]:
        """Name the hosts that are up."""
        listed = (await self.admin.ok("GET", "/compute/v2.1/os-services?binary=nova-compute"))["services"]
        return [one["host"] for one in listed if one["state"] == "up"]

    async def group(self, policy: str, most: int | None = None) -> str:
        """Make a server group, with `max_server_per_host` where `most` says so."""
        rules = {} if most is None else {"max_server_per_host": most}
        body = {"server_group": {"name": policy, "policy": policy, "rules": rules}}
        return str((await self.admin.ok("POST", "/novakit/v1/server-groups", body))["server_group"]["id"])

    async def create(self, name: str, flavor: str, group: str | None = None, **more: Any) -> None:
        """Ask for a server, or with `min_count` and `max_count` for several."""
        server = {"name": name, "imageRef": self.image, "flavorRef": flavor, "networks": "none", **more}
        body: dict[str, Any] = {"server": server}
        if group is not None:
            body["os:scheduler_hints"] = {"group": group}
        await self.admin.ok("POST", "/compute/v2.1/servers", body)

    async def settled(self) -> dict[str, list[dict[str, Any]]]:
        """Wait until nothing is under way, and give the servers by status."""
        found: dict[str, list[dict[str, Any]]] = {"ACTIVE": [], "ERROR": []}
        for each in await self.admin.settled(WITHIN):
            found[each["status"]].append(each)
        return found

    async def counts(self) -> dict[str, dict[str, Any]]:
        """Give what each scheduler that answers has counted, by its name."""
        told = (await self.admin.ok("GET", "/novakit/v1/scheduler"))["schedulers"]
        return {one["scheduler"]: one for one in told}

    async def counted(self) -> dict[str, Counter[str]]:
        """Give what each scheduler has counted since `prepare`."""
        told: dict[str, Counter[str]] = {}
        for name, now in (await self.counts()).items():
            was = self.before.get(name, {})
            told[name] = Counter({key: now[key] - was.get(key, 0) for key in ("placed", "refused", "conflicts")})
        return told

    async def nothing_is_given_twice(self) -> None:
        """Insist that no provider, host or device, has given more than it has, and that the audit finds nothing."""
        for provider in (await self.admin.ok("GET", "/placement/resource_providers"))["resource_providers"]:
            path = f"/placement/resource_providers/{provider['uuid']}"
            inventories = (await self.admin.ok("GET", f"{path}/inventories"))["inventories"]
            usages = (await self.admin.ok("GET", f"{path}/usages"))["usages"]
            for name, stock in inventories.items():
                has = (stock["total"] - stock["reserved"]) * stock["allocation_ratio"]
                assert usages[name] <= has, (provider["name"], name, usages[name], has)
        found = (await self.admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert found["orphaned"] == [] and found["unchecked"] == [], found

    async def clear(self) -> None:
        """Delete every server and insist that nothing of them is left."""
        servers = (await self.admin.ok("GET", "/compute/v2.1/servers?limit=1000"))["servers"]
        await asyncio.gather(*(self.admin.ok("DELETE", f"/compute/v2.1/servers/{one['id']}") for one in servers))
        await self.admin.gone(*(one["id"] for one in servers), within=WITHIN)
        counted = (await self.admin.ok("GET", "/novakit/v1/audit"))["audit"]["counted"]
        assert (counted["servers"], counted["allocations"], counted["guests"]) == (0, 0, 0)


def hosts_of(servers: list[dict[str, Any]]) -> Counter[str]:
    """Count servers by host."""
    return Counter(each["OS-EXT-SRV-ATTR:host"] for each in servers)


def refused_properly(servers: list[dict[str, Any]]) -> None:
    """Insist that these were told that no host is left, and hold none."""
    for each in servers:
        assert "o valid host" in each["fault"]["message"], each["fault"]
        assert each["OS-EXT-SRV-ATTR:host"] is None
