"""The ordinary `openstack` command, as a user of a service under test."""

import asyncio
import os

from tests.support.openstack_client import openstack_command


async def openstack(auth_url: str, user: str, password: str, *words: str) -> str:
    """Run it with a project named like the user, see it succeed, and give what it printed."""
    settings = {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
    }
    process = await asyncio.create_subprocess_exec(
        openstack_command(),
        *words,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()
