"""Identity and image services on a free loopback port."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web

from novakit.api.identity import service as identity_service
from novakit.api.image import service as image_service
from novakit.api.volume import service as volume_service
from novakit.context import RequestContext
from novakit.identity import Identity
from novakit.identity.service import Scope
from novakit.image import Images
from tests.functional.command_line import openstack
from tests.support.stores import sqlite_store

SECRET = "a secret"
LIMIT = 64 << 20


@attrs.define
class Cloud:
    """The services, a client of them, and a token for each of two people."""

    base: str
    identity: Identity
    images: Images
    http: aiohttp.ClientSession
    admin: str
    demo: str

    async def ask(self, method: str, path: str, body: Any = None, token: str = "", **options: Any) -> tuple[int, Any]:
        headers = {"X-Auth-Token": token or self.demo} | options.pop("headers", {})
        if body is not None and not isinstance(body, bytes | AsyncIterator):
            options["json"] = body
        elif body is not None:
            options["data"] = body
        url = f"{self.base}/image{path}"
        async with self.http.request(method, url, headers=headers, **options) as answer:
            said = await answer.json() if answer.content_type == "application/json" else await answer.read()
            return answer.status, said

    async def image(self, token: str = "", **values: Any) -> dict[str, Any]:
        said = {"name": "one", "disk_format": "raw", "container_format": "bare", **values}
        status, image = await self.ask("POST", "/v2/images", said, token)
        assert status == 201, image
        return dict(image)

    async def upload(self, image_id: str, data: Any, token: str = "") -> tuple[int, Any]:
        headers = {"Content-Type": "application/octet-stream"}
        return await self.ask("PUT", f"/v2/images/{image_id}/file", data, token, headers=headers)

    async def patch(self, image_id: str, *operations: Any, token: str = "", version: str = "2.1") -> tuple[int, Any]:
        headers = {"Content-Type": f"application/openstack-images-v{version}-json-patch"}
        return await self.ask("PATCH", f"/v2/images/{image_id}", list(operations), token, headers=headers)

    async def context(self, token: str = "") -> RequestContext:
        return await self.identity.authenticate(token or self.demo, "req-test")

    def files(self) -> list[str]:
        return sorted(path.name for path in self.images.directory.iterdir())

    async def cli(self, *words: str, user: str = "demo") -> str:
        return await openstack(f"{self.base}/identity/v3", user, SECRET, *words)


async def _token(identity: Identity, name: str) -> str:
    scope = Scope(project_name=name, domain="default")
    return (await identity.login(user_name=name, user_domain="default", password=SECRET, scope=scope))[0]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    store = await sqlite_store(tmp_path / "cloud.db")
    listener = socket.create_server(("127.0.0.1", 0))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    endpoints = {
        "identity": f"{base}/identity",
        "image": f"{base}/image",
        "volumev3": f"{base}/volume/v3",
        "block-storage": f"{base}/volume/v3",
    }
    identity = Identity(store, tmp_path / "keys", endpoints)
    await identity.bootstrap(admin_password=SECRET, demo_password=SECRET)
    images = Images(store, tmp_path / "images", max_size=LIMIT)
    await images.open()
    app = web.Application()
    app.add_subapp("/identity", identity_service.app(identity, identity.authenticate))
    app.add_subapp("/image", image_service.app(images, identity.authenticate))
    app.add_subapp("/volume", volume_service.app(None, identity.authenticate))
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    async with aiohttp.ClientSession() as http:
        yield Cloud(base, identity, images, http, await _token(identity, "admin"), await _token(identity, "demo"))
    await runner.cleanup()
    await store.close()
