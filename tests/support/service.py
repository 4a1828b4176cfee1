"""A `novakit serve` of its own for a benchmark or a test: started as a user would, stopped by SIGTERM."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import aiohttp

READY_WITHIN = 90.0
STOP_WITHIN = 60.0


def free_port() -> int:
    """Find a TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """One `novakit serve` on a state directory."""

    def __init__(
        self, state: Path, *arguments: str, port: int | None = None, environment: dict[str, str] | None = None
    ):
        self.state = state
        self.port = port or free_port()
        self.arguments = arguments
        self.environment = environment or {}
        self.process: subprocess.Popen[str] | None = None
        self.output = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *, ready: str = "novakit ready") -> Self:
        """Start it and wait until it says that it is ready."""
        self.state.mkdir(parents=True, exist_ok=True)
        printed = self.printed()
        with printed.open("w") as file:
            self.process = subprocess.Popen(
                self.command(), stdout=file, stderr=subprocess.STDOUT, text=True, env={**os.environ, **self.environment}
            )
        deadline = time.monotonic() + READY_WITHIN
        while True:
            self.output = printed.read_text()
            if re.search(rf"^{ready}", self.output, flags=re.MULTILINE):
                return self
            if self.process.poll() is not None or time.monotonic() > deadline:
                log = self.state / "novakit.log"
                tail = log.read_text()[-3000:] if log.exists() else ""
                self.kill()
                raise AssertionError(f"novakit serve did not get ready:\n{self.output}\n{tail}")
            time.sleep(0.02)

    def command(self) -> list[str]:
        """Give the command that runs it."""
        command = [sys.executable, "-m", "novakit", "serve", "--state", str(self.state)]
        return [*command, "--listen", f"127.0.0.1:{self.port}", *self.arguments]

    def printed(self) -> Path:
        """Name the file for what it prints."""
        return self.state / "serve.out"

    def stop(self) -> int:
        """Ask it to stop and give its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_WITHIN)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_WITHIN)

    def wait_for_death(self, within: float = 60.0) -> int:
        """Wait until it ends by itself."""
        assert self.process is not None
        return self.process.wait(within)

    def cpu_seconds(self) -> float:
        """Say how much CPU it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        """Say how much memory it holds now, in MiB."""
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.pid}/status").read_text())
        assert match is not None
        return int(match[1]) / 1024

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()


class Api:
    """A login at a service, for asyncio code; answers are (status, document)."""

    def __init__(self, url: str, token: str, project_id: str, session: aiohttp.ClientSession):
        self.url, self.token, self.project_id, self.session = url, token, project_id, session

    @classmethod
    async def login(cls, service: Service, session: aiohttp.ClientSession, cloud: str = "novakit") -> "Api":
        from novakit import clouds

        login = clouds.read(service.state / "clouds.yaml")[cloud]
        user = {"name": login["username"], "domain": {"id": "default"}, "password": login["password"]}
        scope = {"project": {"name": login["project_name"], "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        async with session.post(f"{login['auth_url']}/auth/tokens", json=body) as answer:
            assert answer.status == 201, await answer.text()
            document = await answer.json()
            token = answer.headers["X-Subject-Token"]
        return cls(service.url, token, document["token"]["project"]["id"], session)

    def headers(self, version: str = "2.100") -> dict[str, str]:
        """Give the headers of a request of this login at a version of the compute API."""
        return {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {version}, placement 1.39"}

    async def call(self, method: str, path: str, body: Any = None, *, version: str = "2.100", **options: Any) -> Any:
        headers = self.headers(version) | options.pop("headers", {})
        async with self.session.request(method, self.url + path, json=body, headers=headers, **options) as answer:
            text = await answer.read()
            try:
                return answer.status, json.loads(text) if text else None
            except ValueError:
                return answer.status, text

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Call and insist on success."""
        status, document = await self.call(method, path, body, **options)
        assert status < 300, f"{method} {path}: {status} {document}"
        return document

    async def image(
        self, name: str = "tiny", content: bytes = bytes(1 << 20), disk_format: str = "raw", **properties: str
    ) -> str:
        """Upload an image, an empty one where nothing else is given."""
        body = {"name": name, "disk_format": disk_format, "container_format": "bare", **properties}
        image = await self.ok("POST", "/image/v2/images", body)
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/octet-stream"}
        url = f"{self.url}/image/v2/images/{image['id']}/file"
        async with self.session.put(url, data=content, headers=headers) as answer:
            assert answer.status == 204, await answer.text()
        return str(image["id"])

    async def network(self, name: str = "net", cidr: str = "10.0.0.0/16") -> str:
        """Make a network with a subnet."""
        network = (await self.ok("POST", "/network/v2.0/networks", {"network": {"name": name}}))["network"]
        subnet = {"network_id": network["id"], "cidr": cidr, "ip_version": 4}
        await self.ok("POST", "/network/v2.0/subnets", {"subnet": subnet})
        return str(network["id"])

    async def server(self, name: str, image: str, flavor: str = "1", networks: Any = "none", **more: Any) -> str:
        """Ask for a server."""
        server = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": networks, **more}
        return str((await self.ok("POST", "/compute/v2.1/servers", {"server": server}))["server"]["id"])

    async def reach(self, server: str, status: str, within: float = 60.0) -> dict[str, Any]:
        """Wait until a server has a status and nothing is being done to it, and give it."""
        async with asyncio.timeout(within):
            while True:
                shown: dict[str, Any] = (await self.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
                if shown["status"] == status and shown["OS-EXT-STS:task_state"] is None:
                    return shown
                await asyncio.sleep(0.05)

    async def gone(self, *servers: str, within: float = 60.0) -> None:
        """Wait until none of these servers is there any more."""
        async with asyncio.timeout(within):
            for server in servers:
                while (await self.call("GET", f"/compute/v2.1/servers/{server}"))[0] != 404:
                    await asyncio.sleep(0.05)

    async def settled(self, within: float = 120.0) -> list[dict[str, Any]]:
        """Wait until no server of the project is in a transition, and list them all."""
        async with asyncio.timeout(within):
            while True:
                servers = []
                marker = ""
                while page := (await self.ok("GET", f"/compute/v2.1/servers/detail?limit=1000{marker}"))["servers"]:
                    servers += page
                    marker = f"&marker={page[-1]['id']}"
                if all(each["OS-EXT-STS:task_state"] is None and each["status"] != "BUILD" for each in servers):
                    return servers
                await asyncio.sleep(0.05)
