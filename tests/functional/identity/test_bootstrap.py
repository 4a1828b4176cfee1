"""The first accounts."""

from typing import Any

KINDS = ("projects", "users", "roles", "services", "endpoints")


async def test_bootstrap_twice_changes_nothing(cloud: Any) -> None:
    before = [await cloud.identity.directory.listed(of) for of in KINDS]
    await cloud.identity.bootstrap(admin_password="other", demo_password="other")
    assert [await cloud.identity.directory.listed(of) for of in KINDS] == before
    assert await cloud.token()
