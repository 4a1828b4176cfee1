"""The network API behind a real HTTP server, with tokens from a table."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer

from novakit import errors
from novakit.api.network import service
from novakit.context import RequestContext
from novakit.network import Networks
from tests.support.openstack_client import openstack_command
from tests.support.stores import sqlite_store

PROJECTS = {"alice": ("a" * 32, {"member", "reader"}), "bob": ("b" * 32, {"member", "reader"})}
PROJECTS["admin"] = ("c" * 32, {"admin", "member", "reader"})
PROJECTS["watcher"] = ("a" * 32, {"reader"})


async def authenticate(token: str, request_id: str) -> RequestContext:
    if token not in PROJECTS:
        raise errors.Unauthorized("The token is not known.")
    project, roles = PROJECTS[token]
    return RequestContext(request_id=request_id, user_id=token, project_id=project, roles=frozenset(roles))


@attrs.define
class Cloud:
    """A running network API."""

    networks: Networks
    client: Any
    token: str = "alice"

    async def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Send one request; give the status and the decoded body."""
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        headers = {"X-Auth-Token": token or self.token, "Content-Type": "application/json"}
        async with self.client.request(method, f"/v2.0/{path}", data=data, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw else None

    async def make(self, path: str, token: str | None = None, **values: Any) -> dict[str, Any]:
        """Make one thing, which must work."""
        key = path.rstrip("s").replace("-", "_")
        status, body = await self.call("POST", path, {key: values}, token)
        assert status == 201, body
        return dict(body[key])

    async def network(self, cidr: str = "10.0.0.0/24", token: str | None = None, **values: Any) -> dict[str, Any]:
        """Make a network with one subnet."""
        made = await self.make("networks", token, name="net", **values)
        made["subnet"] = await self.make("subnets", token, network_id=made["id"], cidr=cidr, ip_version=4)
        return made

    async def refused(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, str]:
        """Send what must be refused; give the status and the type of the error."""
        status, answer = await self.call(method, path, body, token)
        assert status >= 400, answer
        assert answer["NeutronError"]["message"]
        return status, answer["NeutronError"]["type"]

    async def cli(self, *words: str, token: str | None = None) -> Any:
        """Run the openstack command; give what it prints, decoded when it is JSON."""
        url = str(self.client.make_url("/")).rstrip("/")
        environ = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        process = await asyncio.create_subprocess_exec(
            openstack_command(),
            *("--os-auth-type", "admin_token", "--os-endpoint", url, "--os-token", token or self.token),
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, f"{words}: {err.decode()}"
        return orjson.loads(out) if out.strip()[:1] in (b"{", b"[") else out.decode()


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await sqlite_store(tmp_path / "x.db")
    networks = Networks(store)
    client: Any = TestClient(TestServer(service.app(networks, authenticate)))
    await client.start_server()
    yield Cloud(networks, client)
    await client.close()
    await store.close()
