"""Placement's own tests of its API, the gabbi files of its package, against ours.

The files come with the package and are not kept here; what they expect to find is in `clouds`.
"""

import asyncio
import importlib.util
import unittest
from contextvars import ContextVar
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from gabbi import handlers, suitemaker
from multidict import CIMultiDictProxy

from novakit.api.placement import SERVICE
from novakit.context import RequestContext
from novakit.placement import Placement
from tests.functional.placement.clouds import CLOUDS
from tests.support.stores import open_store, sqlite_store

_package = importlib.util.find_spec("placement")
assert _package is not None and _package.submodule_search_locations
GABBITS = Path(_package.submodule_search_locations[0], "tests", "functional", "gabbits")
FILES = sorted(path.stem for path in GABBITS.glob("*.yaml"))

NOT_RUN = {
    "cors": "CORS is a middleware of the deployment, not part of the API; non-cors is run.",
}
"""Files of which no test is run, and why."""

DIFFERS = {
    "basic-http": {"bad content length not int": "Its client refuses to send such a header; test_hostile sends it."},
}
"""Tests that fail, by file and name, and why; one that passes must leave this list."""

ON_POSTGRESQL = (
    *("allocations", "allocations-post", "allocation-candidates", "granular", "inventory", "reshaper"),
    *("resource-class-in-use", "resource-provider", "resource-provider-aggregates", "traits", "usage", "unicode"),
)
"""Files that are run against that database too: one of each resource."""

_headers: ContextVar[CIMultiDictProxy[str]] = ContextVar("_headers")


@web.middleware
async def remember_headers(request, handler):
    _headers.set(request.headers)
    return await handler(request)


def policy(fixture):
    """Give what tells who calls: the files say it in headers, and without them the user `admin` is an administrator.

    Their fixtures choose between three policies. Ours is the secure one. Under the legacy one an administrator may do
    what a service may, and under the open one everybody may.
    """

    async def authenticate(token, request_id):
        headers = _headers.get()
        user, _, project = token.partition(":")
        roles = set(headers["X-Roles"].split(",")) if "X-Roles" in headers else {user} & {"admin"}
        if fixture == "OpenPolicyFixture" or ("admin" in roles and fixture != "SecureRBACPolicyFixture"):
            roles.add("service")
        system = "OpenStack-System-Scope" in headers
        return RequestContext(
            request_id=request_id,
            user_id=user,
            project_id=None if system else headers.get("X-Project-Id", project or user),
            roles=roles,
            system=system,
        )

    return authenticate


def suite(name, port):
    given = yaml.safe_load((GABBITS / f"{name}.yaml").read_text())
    # There is no TLS here, and every request makes a client that would read all certificates of this machine.
    given.setdefault("defaults", {})["cert_validate"] = False
    return suitemaker.test_suite_from_dict(
        unittest.TestLoader(),
        name,
        given,
        str(GABBITS),
        "127.0.0.1",
        port,
        None,
        None,
        handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
    )


def test_the_package_has_its_files():
    assert len(FILES) > 70
    assert {*NOT_RUN, *DIFFERS} <= set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name not in NOT_RUN])
async def test_file(name, tmp_path, monkeypatch):
    await run_file(name, await sqlite_store(tmp_path / "placement.db"), monkeypatch)


@pytest.mark.parametrize("name", ON_POSTGRESQL)
async def test_file_on_postgresql(name, postgres_with_tables, monkeypatch):
    await run_file(name, await open_store(postgres_with_tables), monkeypatch)


async def run_file(name, store, monkeypatch):
    """Serve a cloud, send the requests of a file to it in their order, and compare what fails with what we know of."""
    (fixture,) = yaml.safe_load((GABBITS / f"{name}.yaml").read_text())["fixtures"]
    cloud = CLOUDS[fixture]
    for variable, value in cloud.variables.items():
        monkeypatch.setenv(variable, value)
    placement = Placement(store)
    await store.retrying(lambda session: cloud.build(session, placement))
    app = SERVICE.app(placement, policy(fixture), auth_url="http://127.0.0.1/identity")
    app.middlewares.insert(0, remember_headers)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    result = unittest.TestResult()
    await asyncio.to_thread(suite(name, runner.addresses[0][1]).run, result)
    await runner.cleanup()
    await store.close()
    failed = {test.test_data["name"]: said for test, said in [*result.failures, *result.errors]}
    known = DIFFERS.get(name, {})
    unexpected = "\n".join(f"{test}:\n{said}" for test, said in failed.items() if test not in known)
    assert not unexpected, unexpected
    assert result.testsRun and not result.skipped
    assert set(known) == set(failed)
