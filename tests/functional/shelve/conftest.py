"""A service with three simulated hosts, and who asks it."""

import aiohttp
import pytest

from tests.support.service import Api, Service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("shelve") / "state", "--simulate", "3") as running:
        yield running


@pytest.fixture
async def api(service):
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session)


@pytest.fixture
async def admin(service):
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session, "novakit-admin")


@pytest.fixture
async def image(api):
    found = (await api.ok("GET", "/image/v2/images?name=tiny"))["images"]
    return found[0]["id"] if found else await api.image()
