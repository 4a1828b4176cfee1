"""A whole identity service on a free loopback port."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from novakit.api.identity import service
from novakit.identity import Identity
from tests.functional.command_line import openstack
from tests.support.stores import sqlite_store

ADMIN, DEMO = "admin secret", "demo secret"


@attrs.define
class Cloud:
    """The service and a client of it."""

    identity: Identity
    url: str
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", **options: Any) -> tuple[int, Any]:
        headers = {"X-Auth-Token": token} if token else {}
        headers |= options.pop("headers", {})
        async with self.http.request(method, self.url + path, json=body, headers=headers, **options) as answer:
            said = await answer.json() if answer.content_type == "application/json" else await answer.text()
            return answer.status, said

    async def login(self, user: str = "admin", password: str = ADMIN, **auth: Any) -> tuple[int, Any, str]:
        scope = auth.pop("scope", {"project": {"name": user, "domain": {"id": "default"}}})
        body = password_login(user, password, scope)
        if "domain" in auth:
            body["auth"]["identity"]["password"]["user"]["domain"] = auth["domain"]
        async with self.http.post(f"{self.url}/v3/auth/tokens", json=body) as answer:
            return answer.status, await answer.json(), answer.headers.get("X-Subject-Token", "")

    async def token(self, user: str = "admin", password: str = ADMIN, **auth: Any) -> str:
        status, said, token = await self.login(user, password, **auth)
        assert status == 201, said
        return token

    async def with_role(self, name: str) -> str:
        """Make a user who has one role in the project admin; give a token of it."""
        admin = await self.token()
        user = {"name": f"with {name}", "password": "secret of it", "domain_id": "default"}
        _, made = await self.ask("POST", "/v3/users", {"user": user}, admin)
        _, roles = await self.ask("GET", f"/v3/roles?name={name}", token=admin)
        _, projects = await self.ask("GET", "/v3/projects?name=admin", token=admin)
        path = (
            f"/v3/projects/{projects['projects'][0]['id']}/users/{made['user']['id']}/roles/{roles['roles'][0]['id']}"
        )
        assert (await self.ask("PUT", path, token=admin))[0] == 204
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        return await self.token(f"with {name}", "secret of it", scope=scope)

    async def cli(self, *words: str, user: str = "admin", password: str = ADMIN) -> str:
        return await openstack(f"{self.url}/v3", user, password, *words)


def password_login(user: str, password: str, scope: Any = None) -> dict[str, Any]:
    who = {"name": user, "domain": {"id": "default"}, "password": password}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": who}}}
    if scope:
        auth["scope"] = scope
    return {"auth": auth}


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await sqlite_store(tmp_path / "identity.db")
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    endpoints = {
        "identity": f"{base}/identity",
        "compute": f"{base}/compute/v2.1",
        "volumev3": f"{base}/volume/v3/$(project_id)s",
    }
    identity = Identity(store, tmp_path / "keys", endpoints)
    await identity.bootstrap(admin_password=ADMIN, demo_password=DEMO)
    app = web.Application()
    app.add_subapp("/identity", service.app(identity, identity.authenticate, auth_url=f"{base}/identity"))
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    async with aiohttp.ClientSession() as http:
        yield Cloud(identity, f"{base}/identity", http)
    await runner.cleanup()
    await store.close()
