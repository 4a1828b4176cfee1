"""A secret in every field of every request and in the configuration turns up in no log, trace, event or report."""

import asyncio
import base64
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from novakit.api import compute, identity, image, network, novakit, placement, volume
from novakit.api.service import Route
from tests.functional.policy.requests import BODIES
from tests.support.postgres import Cluster
from tests.support.service import Api, Service, free_port

CANARY = "kQ7canary3zWx"
FORMS = (CANARY, base64.b64encode(CANARY.encode()).decode().rstrip("="), CANARY.encode().hex())
SERVICES: tuple[tuple[str, Any], ...] = (
    ("identity", identity.service),
    ("image", image.service),
    ("network", network.service),
    ("placement", placement.SERVICE),
    ("novakit", novakit.service),
    ("volume", volume.service),
    ("compute", compute.SERVICE),
)
SECRET_BODIES: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/identity/v3/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": CANARY, "domain": {"id": CANARY}, "password": CANARY}}}, "scope": {"project": {"id": CANARY}}}}),
    ("POST", "/identity/v3/auth/tokens", {"auth": {"identity": {"methods": ["token"], "token": {"id": CANARY}}}}),
    ("POST", "/identity/v3/users", {"user": {"name": CANARY, "password": CANARY, "email": CANARY, "extra": CANARY}}),
    ("POST", "/compute/v2.1/os-keypairs", {"keypair": {"name": "canary", "public_key": f"ssh-ed25519 {CANARY}"}}),
    ("POST", "/compute/v2.1/servers", {"server": {
        "name": CANARY, "imageRef": "IMAGE", "flavorRef": "1", "networks": "none", "adminPass": CANARY,
        "user_data": base64.b64encode(CANARY.encode()).decode(), "metadata": {CANARY: CANARY}, "tags": [CANARY],
        "description": CANARY, "hostname": "h", "config_drive": True}}),
    ("POST", "/image/v2/images", {"name": CANARY, CANARY: CANARY, "tags": [CANARY]}),
    ("POST", "/network/v2.0/networks", {"network": {"name": CANARY, "description": CANARY}}),
)  # fmt: skip


class Collector:
    """A collector of traces that keeps every byte."""

    def __init__(self) -> None:
        self.port, self.seen = free_port(), bytearray()

    async def __aenter__(self) -> "Collector":
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.seen += await request.read()
        return web.Response()


def filled(value: Any) -> Any:
    """Put the secret in place of every text."""
    if isinstance(value, dict):
        return {name: filled(one) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one) for one in value]
    return CANARY if isinstance(value, str) else value


def questions() -> Iterator[tuple[str, str, Any]]:
    """Give method, path and body for each route, with the secret in path, query and body."""
    for name, service in SERVICES:
        routes: list[Route] = list(service.routes)
        for route in routes:
            method = "POST" if route.method == "*" else route.method
            known = BODIES.get(f"{name} {method} {route.path}", {})
            path = re.sub(r"\{[^{}]*(?:\{[^}]*\})?[^{}]*\}", CANARY, route.path)
            body: Any = None
            if method not in ("GET", "DELETE", "HEAD"):
                body = CANARY.encode() if isinstance(known, bytes) else filled(known)
            yield method, f"/{name}{path}?name={CANARY}&{CANARY}={CANARY}", body


async def ask_all(api: Api, image_id: str) -> list[int]:
    """Ask everything with a good token and with the secret as token; give the statuses."""
    action = ("POST", f"/compute/v2.1/servers/{CANARY}/action", {CANARY: CANARY})
    said = {"X-Canary": CANARY, "User-Agent": CANARY, "X-Openstack-Request-Id": CANARY}
    said["OpenStack-API-Version"] = "compute 2.100, placement 1.39"
    statuses = []
    for method, path, body in [*questions(), *SECRET_BODIES, action]:
        for token in (api.token, CANARY):
            headers = {"X-Auth-Token": token, **said}
            sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {}
            if body is not None and not sent:
                sent = {"json": json.loads(json.dumps(body).replace("IMAGE", image_id))}
            async with api.session.request(method, api.url + path, headers=headers, **sent) as answer:
                await answer.read()
                statuses.append(answer.status)
    return statuses


async def ask_badly(port: int) -> None:
    """Send what is no proper request: headers that are too long, a line that is none, a body that is cut off."""
    for text in (
        f"GET /compute/v2.1/servers HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {CANARY * 2000}\r\n\r\n",
        f"GET /{CANARY * 2000} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"{CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nX-Auth-Token: \x01{CANARY}\r\n\r\n",
        f'POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{{"auth": "{CANARY}',
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(text.encode())
        await writer.drain()
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(1):
                await reader.read()
        writer.close()


def found(name: str, text: str | bytes) -> list[str]:
    """Give the lines in which the secret stands."""
    plain = text.decode(errors="replace") if isinstance(text, bytes) else text
    pattern = "|".join(map(re.escape, FORMS))
    lines = [(line, match.start()) for line in plain.splitlines() if (match := re.search(pattern, line))]
    return [f"{name}: {line[:80]} ... {line[max(0, at - 150) : at + 40]}" for line, at in lines[:20]]


def novakit_says(*arguments: str) -> str:
    command = [sys.executable, "-m", "novakit", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


async def read_back(api: Api) -> list[str]:
    """Ask for all that the service keeps and counts of what was asked, but the things themselves; name what leaks."""
    paths = ["/metrics", "/healthcheck"]
    paths += [f"/novakit/v1/{one}" for one in ("decisions?limit=1000", "scheduler", "plugins", "guests", "audit")]
    for server in (await api.ok("GET", "/compute/v2.1/servers?all_tenants=1&limit=1000"))["servers"]:
        place = f"/compute/v2.1/servers/{server['id']}/os-instance-actions"
        actions = (await api.ok("GET", place))["instanceActions"]
        assert actions
        paths += [place, *(f"{place}/{each['request_id']}" for each in actions)]
        shown = (await api.ok("GET", f"/compute/v2.1/servers/{server['id']}"))["server"]
        if "fault" in shown:
            paths.append(f"/compute/v2.1/servers/{server['id']}")
    leaks = []
    for path in paths:
        status, told = await api.call("GET", path)
        assert status in (200, 503), (path, told)
        told = told["server"]["fault"] if isinstance(told, dict) and "server" in told else told
        leaks += found(path, told if isinstance(told, bytes) else json.dumps(told))
    return leaks


COMMANDS = (
    ("doctor", "--driver", "simulated"),
    ("plugin", "list"),
    ("audit",),
    ("guest", "list"),
    ("explain", "--flavor", "1"),
    ("capacity", "--flavor", "1"),
    ("policy", "check"),
    ("config", "check"),
    ("host", "list"),
)


def break_file(database: Path) -> None:
    """Do to SQLite's tables what `break_tables` does."""
    with sqlite3.connect(database, timeout=60) as opened:
        every = [name for (name,) in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in every:
            if not name.startswith(("identity", "sqlite_", "alembic_", "login_")):
                for (column,) in opened.execute(f"SELECT name FROM pragma_table_info('{name}')").fetchall():
                    opened.execute(f'ALTER TABLE {name} RENAME COLUMN "{column}" TO "x_{column}"')
    opened.close()


def break_tables(cluster: Cluster, url: str) -> None:
    """Rename every column but of tables by which callers are known, so that all statements fail with what they carry.

    The tables stay: one that is not there is an answer of its own, 503, and no fault of the program.
    """
    kept = "table_name NOT LIKE 'identity%' AND table_name NOT IN ('alembic_version', 'login_attempts')"
    columns = "SELECT table_name AS t, column_name AS c FROM information_schema.columns"
    names = f"{columns} WHERE table_schema = 'public' AND {kept}"
    rename = "EXECUTE format('ALTER TABLE %I RENAME COLUMN %I TO %I', r.t, r.c, 'x_' || r.c)"
    do = f"DO $$ DECLARE r record; BEGIN FOR r IN {names} LOOP {rename}; END LOOP; END $$"
    where = ["-h", "127.0.0.1", "-p", str(cluster.port), "-U", "novakit", "-d", url.rpartition("/")[2]]
    cluster.run("psql", *where, "-c", do)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_secret_in_every_field_turns_up_nowhere(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    state, leaks = tmp_path / "state", []
    state.mkdir()
    cluster: Cluster | None = request.getfixturevalue("postgres_cluster") if database == "postgresql" else None
    url = cluster.database().replace("novakit@", f"novakit:{CANARY}@") if cluster else ""
    chosen = f'database = "{url}"\n' if url else ""
    async with Collector() as collector, aiohttp.ClientSession() as session:
        tracing = f'[tracing]\nendpoint = "http://127.0.0.1:{collector.port}/v1/traces"\n'
        (state / "novakit.toml").write_text(f"{chosen}{tracing}[log]\nrepeats = 100000\n")
        with Service(state) as service:
            api = await Api.login(service, session, "novakit-admin")
            image_id = await api.image()
            before = await ask_all(api, image_id)
            assert 202 in before and 201 in before and before.count(500) == 0, before
            await ask_badly(service.port)
            for command in COMMANDS:
                said = await asyncio.to_thread(novakit_says, *command, "--state", str(state))
                assert said and "Traceback" not in said, (command, said)
                leaks += found(" ".join(command), said)
            leaks += await read_back(api)
            if cluster is None:
                break_file(state / "novakit.db")
            else:
                break_tables(cluster, url)
            after = await ask_all(api, image_id)
            assert after.count(500) > 50, "the database was not broken"
        leaks += found("output", service.output + (state / "serve.out").read_text())
        leaks += found("start on a broken database", await asyncio.to_thread(_crashes, state))
        log = (state / "novakit.log").read_text()
        assert "UndefinedColumn" in log or "no such column" in log
        leaks += found("log", log) + found("traces", bytes(collector.seen))
        assert len(collector.seen) > 10_000
    (state / "novakit.toml").write_text(f'database = "postgresql+asyncpg://someone:{CANARY}@127.0.0.1:1/nowhere"\n')
    leaks += found("start without a database", await asyncio.to_thread(_crashes, state))
    assert not leaks, "\n\n".join(leaks)


def _crashes(state: Path) -> str:
    command = [sys.executable, "-m", "novakit", "serve", "--state", str(state), "--listen", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return process.communicate(timeout=8)[0]
    except subprocess.TimeoutExpired:
        process.terminate()
        return process.communicate(timeout=60)[0]
