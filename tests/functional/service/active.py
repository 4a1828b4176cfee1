"""A server of a whole service that is ACTIVE, and what an administrator asks of it."""

from typing import Any

import aiohttp

from tests.support.service import Api, Service


async def act(api: Api, server: str, action: str, value: object = None) -> Any:
    """Ask for an action. Returns status and answer."""
    return await api.call("POST", f"/compute/v2.1/servers/{server}/action", {action: value})


async def ready(service: Service, session: aiohttp.ClientSession) -> tuple[Api, str]:
    """Log in as the administrator, make a server and wait until it is ACTIVE."""
    api = await Api.login(service, session, "novakit-admin")
    server = await api.server("s", await api.image(content=bytes(1 << 16)))
    await api.reach(server, "ACTIVE")
    return api, server
