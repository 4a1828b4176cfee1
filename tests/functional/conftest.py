"""Who asks the service of a module of tests: a user, an administrator, and the image that servers are made of.

A module that asks for them has a fixture `service`.
"""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.service import Api, Service


@pytest.fixture
async def api(service: Service) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session)


@pytest.fixture
async def admin(service: Service) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        yield await Api.login(service, session, "novakit-admin")


@pytest.fixture
async def image(api: Api) -> str:
    """The id of an image that is made once for each service."""
    found = (await api.ok("GET", "/image/v2/images?name=tiny"))["images"]
    return str(found[0]["id"] if found else await api.image())
