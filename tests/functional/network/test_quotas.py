"""Quotas of the network service."""

from typing import Any


async def test_over_quota_is_a_conflict_of_neutrons_kind(cloud: Any) -> None:
    assert (await cloud.refused("PUT", f"quotas/{'a' * 32}", {"quota": {"network": 1}}))[0] == 403
    assert (await cloud.refused("PUT", f"quotas/{'a' * 32}", {"quota": {"net": 1}}, "admin"))[0] == 400
    status, body = await cloud.call("PUT", f"quotas/{'a' * 32}", {"quota": {"network": 1, "port": -1}}, "admin")
    assert status == 200 and body["quota"]["network"] == 1 and body["quota"]["port"] == -1
    await cloud.make("networks", name="one")
    assert await cloud.refused("POST", "networks", {"network": {"name": "two"}}) == (409, "OverQuota")
    assert (await cloud.call("GET", f"quotas/{'a' * 32}/details"))[1]["quota"]["network"] == {
        "limit": 1,
        "used": 1,
        "reserved": 0,
    }
    assert (await cloud.call("DELETE", f"quotas/{'a' * 32}", token="admin"))[0] == 204
    assert (await cloud.call("GET", f"quotas/{'a' * 32}"))[1]["quota"]["network"] == 100
    assert (await cloud.refused("GET", f"quotas/{'b' * 32}"))[0] == 403
