import asyncio

import aiohttp
import pytest
from aiohttp import web

from novakit.api.placement import SERVICE
from novakit.context import RequestContext
from novakit.errors import Unauthorized
from novakit.placement import Placement
from tests.support.stores import store_on


async def authenticate(token, request_id):
    """Tokens of these tests say it all: role, or role:project, or system for a system-scoped administrator."""
    role, _, project = token.partition(":")
    known = {
        "admin": {"admin", "manager", "member", "reader"},
        "service": {"service"},
        "member": {"member", "reader"},
        "reader": {"reader"},
        "nobody": set(),
        "system": {"admin", "manager", "member", "reader"},
    }
    if role not in known:
        raise Unauthorized("The token is not known.")
    return RequestContext(
        request_id=request_id,
        user_id="u",
        project_id=None if role == "system" else project or "p",
        roles=known[role],
        system=role == "system",
    )


class Client:
    """Sends requests to one Placement API."""

    def __init__(self, session, url, service):
        self.session, self.url, self.placement = session, url, service

    async def __call__(self, method, path, body=None, *, version="1.39", token="admin", headers=None, raw=None):
        sent = {"X-Auth-Token": token} if token else {}
        if version:
            sent["OpenStack-API-Version"] = f"placement {version}"
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        sent = {name: value for name, value in sent.items() if value is not None}
        skip = ["Content-Type", "Accept"]
        async with self.session.request(
            method, f"{self.url}{path}", json=body, data=raw, headers=sent, skip_auto_headers=skip
        ) as answer:
            text = await answer.read()
            return Answer(answer.status, answer.headers, await answer.json() if text else None)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        return self.body["errors"][0].get("code")

    @property
    def detail(self):
        return self.body["errors"][0]["detail"]


async def serve(store):
    placement = Placement(store)
    app = web.Application()
    app.add_subapp("/placement", SERVICE.app(placement, authenticate, auth_url="http://127.0.0.1/identity"))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    return placement, runner, f"http://127.0.0.1:{port}/placement"


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request, tmp_path):
    opened = await store_on(request.param, request, tmp_path / "placement.db")
    yield opened
    await opened.close()


@pytest.fixture
async def http(store):
    placement, runner, url = await serve(store)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Client(session, url, placement)
    await runner.cleanup()
    await asyncio.sleep(0)
