"""What names another thing is made while that is deleted: one of the two is refused, on both databases."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.service import Api, Service

COMPUTE, NETWORK, IDENTITY = "/compute/v2.1", "/network/v2.0", "/identity/v3"
AT_ONCE = 12


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    state = tmp_path_factory.mktemp("references") / "state"
    state.mkdir()
    if request.param == "postgresql":
        (state / "novakit.toml").write_text(f'database = "{request.getfixturevalue("postgres_cluster").database()}"\n')
    with Service(state) as service:
        yield service


@pytest.fixture
async def api(service: Service) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session, "novakit-admin")


async def both(first: Awaitable[tuple[int, Any]], second: Awaitable[tuple[int, Any]]) -> tuple[int, int]:
    """Ask two things at once; give the statuses of both answers."""
    (one, _), (other, _) = await asyncio.gather(first, second)
    assert one < 500 and other < 500, (one, other)
    return one, other


async def new(api: Api, path: str, noun: str, **values: object) -> str:
    return str((await api.ok("POST", path, {noun: values}))[noun]["id"])


@pytest.mark.parametrize("gone", ["projects", "users", "roles"])
async def test_a_role_is_granted_to_nothing_that_is_deleted(api: Api, gone: str) -> None:
    async def pair(number: int) -> None:
        name = f"{gone}{number}"
        project = await new(api, f"{IDENTITY}/projects", "project", name=name)
        user = await new(api, f"{IDENTITY}/users", "user", name=name, password="secret-enough")
        role = await new(api, f"{IDENTITY}/roles", "role", name=name)
        deleted = {"projects": project, "users": user, "roles": role}[gone]
        grant = api.call("PUT", f"{IDENTITY}/projects/{project}/users/{user}/roles/{role}")
        statuses = await both(grant, api.call("DELETE", f"{IDENTITY}/{gone}/{deleted}"))
        assert statuses in ((204, 204), (404, 204)), statuses
        left = (await api.ok("GET", f"{IDENTITY}/role_assignments?user.id={user}"))["role_assignments"]
        assert left == [], "what is granted went with what was deleted"

    await asyncio.gather(*(pair(number) for number in range(AT_ONCE)))


async def test_access_is_given_to_no_flavor_that_is_deleted(api: Api) -> None:
    async def pair(number: int) -> None:
        values = {"ram": 64, "vcpus": 1, "disk": 0, "os-flavor-access:is_public": False}
        flavor = await new(api, f"{COMPUTE}/flavors", "flavor", name=f"f{number}", id=f"f{number}", **values)
        body = {"addTenantAccess": {"tenant": api.project_id}}
        given = api.call("POST", f"{COMPUTE}/flavors/{flavor}/action", body)
        statuses = await both(given, api.call("DELETE", f"{COMPUTE}/flavors/{flavor}"))
        assert statuses in ((200, 202), (404, 202)), statuses

    await asyncio.gather(*(pair(number) for number in range(AT_ONCE)))


async def test_a_host_is_in_one_zone_whoever_asks_at_once(api: Api) -> None:
    host = (await api.ok("GET", f"{COMPUTE}/os-services?binary=nova-compute"))["services"][0]["host"]
    path = f"{COMPUTE}/os-aggregates"

    async def aggregate(**values: object) -> str:
        return str((await api.ok("POST", path, {"aggregate": values}))["aggregate"]["id"])

    async def asked(action: dict[str, object], *ids: str) -> list[int]:
        answers = await asyncio.gather(*(api.call("POST", f"{path}/{each}/action", action) for each in ids))
        return [status for status, _ in answers]

    add, remove = {"add_host": {"host": host}}, {"remove_host": {"host": host}}
    zones = [await aggregate(name=f"z{number}", availability_zone=f"zone{number}") for number in range(AT_ONCE)]
    found = await asked(add, *zones)
    assert sorted(found) == [200, *[409] * (AT_ONCE - 1)]
    await asked(remove, zones[found.index(200)])
    plain = [await aggregate(name=f"p{number}") for number in range(2)]
    assert await asked(add, *plain) == [200, 200]
    statuses = await asyncio.gather(
        *(asked({"set_metadata": {"metadata": {"availability_zone": f"zone-{each}"}}}, each) for each in plain)
    )
    assert sorted(statuses) == [[200], [409]]


async def test_a_floating_ip_stands_on_no_port_whose_router_is_parted_from_it(api: Api) -> None:
    external = (await api.ok("GET", f"{NETWORK}/networks?router:external=true"))["networks"][0]["id"]

    async def pair(number: int) -> None:
        network = await new(api, f"{NETWORK}/networks", "network", name=f"n{number}")
        cidr = f"10.77.{number}.0/24"
        subnet = await new(api, f"{NETWORK}/subnets", "subnet", network_id=network, cidr=cidr, ip_version=4)
        gateway = {"network_id": external}
        router = await new(api, f"{NETWORK}/routers", "router", name=f"r{number}", external_gateway_info=gateway)
        leg = {"subnet_id": subnet}
        await api.ok("PUT", f"{NETWORK}/routers/{router}/add_router_interface", leg)
        port = await new(api, f"{NETWORK}/ports", "port", network_id=network)
        floating = await new(api, f"{NETWORK}/floatingips", "floatingip", floating_network_id=external)
        path = f"{NETWORK}/floatingips/{floating}"
        associated = api.call("PUT", path, {"floatingip": {"port_id": port}})
        parted = (
            api.call("PUT", f"{NETWORK}/routers/{router}/remove_router_interface", leg)
            if number % 2
            else api.call("PUT", f"{NETWORK}/routers/{router}", {"router": {"external_gateway_info": {}}})
        )
        statuses = await both(associated, parted)
        assert statuses in ((200, 409), (404, 200)), statuses
        shown = (await api.ok("GET", path))["floatingip"]
        assert (shown["port_id"] == port) == (statuses == (200, 409))

    await asyncio.gather(*(pair(number) for number in range(8)))
