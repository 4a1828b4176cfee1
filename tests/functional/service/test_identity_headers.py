"""Who a caller is: what its token says, and none of the headers with which a proxy would say it."""

import re
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from novakit.api.services import SERVICES
from tests.support.service import Api, Service

WHO = {
    "X-Identity-Status": "Confirmed",
    "X-Service-Identity-Status": "Confirmed",
    "X-User-Id": "admin",
    "X-User-Name": "admin",
    "X-User": "admin",
    "X-Project-Id": "admin",
    "X-Project-Name": "admin",
    "X-Tenant-Id": "admin",
    "X-Tenant": "admin",
    "X-Roles": "admin,member,reader,service",
    "X-Role": "admin",
    "X-Service-Roles": "admin,service",
    "X-Is-Admin-Project": "True",
    "OpenStack-System-Scope": "all",
    "X-OpenStack-Request-Id": "req-admin",
    "Remote-User": "admin",
    "REMOTE_USER": "admin",
}
ID = "259b1528-6d36-45ae-b1d0-99c5816324bb"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state: Path = tmp_path_factory.mktemp("who") / "state"
    state.mkdir()
    (state / "novakit.toml").write_text("[sharing]\nstrangers_rate = 1e6\n")
    with Service(state) as made:
        yield made


async def test_no_route_lets_anybody_in_by_headers(service: Service) -> None:
    tried = 0
    async with aiohttp.ClientSession() as session:
        for each in SERVICES:
            for route in each.routes:
                if route.public:
                    continue
                method = "GET" if route.method == "*" else route.method
                url = f"{service.url}/{each.name}{re.sub(r'{[^}]+}', ID, route.path)}"
                async with session.request(method, url, json={}, headers=WHO) as answer:
                    assert answer.status == 401, (each.name, method, route.path, answer.status)
                tried += 1
    assert tried > 250


async def test_headers_make_no_administrator_of_a_user(service: Service) -> None:
    async with aiohttp.ClientSession() as session:
        demo = await Api.login(service, session, "novakit")
        for path in (
            "/compute/v2.1/os-hypervisors",
            "/identity/v3/users",
            "/placement/resource_providers",
            "/novakit/v1/audit",
        ):
            plain, claiming = [(await demo.call("GET", path, headers=headers))[0] for headers in ({}, WHO)]
            assert plain == claiming == 403, path
        status, said = await demo.call("GET", "/compute/v2.1/servers/detail?all_tenants=1", headers=WHO)
        assert status in (200, 403), said
