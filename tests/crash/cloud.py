"""A cloud on simulated hosts that is killed again and again, and what must hold of it at rest."""

import asyncio
import time
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.support.service import Api, Service

WITHIN = 120.0
"""Seconds for anything to settle on a loaded machine."""


class Cloud:
    """One state directory, and whichever process runs on it now; `admin` acts in the admin's own project."""

    def __init__(self, state: Path, options: str, hosts: int):
        self.service = Service(state, "--simulate", str(hosts))
        state.mkdir(parents=True, exist_ok=True)
        (state / "novakit.toml").write_text(options)
        self._session: aiohttp.ClientSession | None = None
        self.admin: Api
        self.image = ""
        self.network = ""

    async def __aenter__(self) -> Self:
        self.start()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True, limit=50))
        try:
            await self._prepare()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _prepare(self) -> None:
        assert self._session is not None
        self.admin = await Api.login(self.service, self._session, "novakit-admin")
        quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "force": True}}
        await self.admin.ok("PUT", f"/compute/v2.1/os-quota-sets/{self.admin.project_id}", quota, version="2.56")
        await self.admin.ok("PUT", f"/network/v2.0/quotas/{self.admin.project_id}", {"quota": {"port": -1}})
        self.image, self.network = await self.admin.image(content=bytes(512)), await self.admin.network()

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        self.service.__exit__()

    def start(self, crash_at: str = "") -> None:
        """Start it on the same state; with `crash_at` it dies at that step boundary."""
        self.service.environment = {"NOVAKIT_CRASH_AT": crash_at}
        self.service.start()

    async def create(self, name: str, host: str | None = None, **more: Any) -> None:
        """Ask for a server; the process may die before it has answered."""
        if host:
            more["availability_zone"] = f"nova:{host}"
        networks = [{"uuid": self.network}]
        await self._surely("POST", "/compute/v2.1/servers", name=name, networks=networks, **more)

    async def act(self, server_id: str, action: str, body: Any = None) -> None:
        """Have something done to a server; the process may die before it has answered."""
        try:
            if action == "delete":
                await self.admin.ok("DELETE", f"/compute/v2.1/servers/{server_id}")
            else:
                await self.admin.ok("POST", f"/compute/v2.1/servers/{server_id}/action", {action: body})
        except (aiohttp.ClientError, ConnectionError):
            return

    async def _surely(self, method: str, path: str, **server: Any) -> None:
        body = {"server": {"imageRef": self.image, "flavorRef": "1", **server}}
        try:
            await self.admin.ok(method, path, body)
        except (aiohttp.ClientError, ConnectionError):
            return

    async def server(self, name: str) -> dict[str, Any] | None:
        """Show the server of a name, or None when there is none."""
        found = await self.admin.ok("GET", f"/compute/v2.1/servers/detail?name=^{name}$")
        return found["servers"][0] if found["servers"] else None

    async def settled(self) -> list[dict[str, Any]]:
        """Wait until nothing is under way."""
        return await self.admin.settled(WITHIN)

    async def check(self) -> None:
        """Insist that nothing is orphaned, and that the project's usage is what its servers are."""
        await until(self._claims_are_even, "as many claims as there are servers on hosts")
        servers = await self.settled()
        found = (await self.admin.ok("GET", "/novakit/v1/audit"))["audit"]
        assert found["orphaned"] == [] and found["unchecked"] == [], found
        assert found["counted"]["servers"] == len(servers)
        detail = await self.admin.ok("GET", f"/compute/v2.1/os-quota-sets/{self.admin.project_id}/detail")
        assert detail["quota_set"]["instances"]["in_use"] == len(servers)

    async def _claims_are_even(self) -> bool:
        """Say whether just the servers on hosts hold something; one in ERROR may still be giving it back."""
        servers = await self.settled()
        usages = await self.admin.ok("GET", f"/placement/usages?project_id={self.admin.project_id}")
        placed = sum(server["OS-EXT-SRV-ATTR:host"] is not None for server in servers)
        return bool(sum(each.get("consumer_count", 0) for each in usages["usages"].values()) == placed)


async def until(true: Any, what: str) -> Any:
    """Wait until an async question is answered with something."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if answer := await true():
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited {WITHIN} s for {what}")
