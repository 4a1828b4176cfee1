"""The volume service says truthfully that there are no volumes."""

from typing import Any


async def test_discovery_wants_a_token_and_lists_are_empty(cloud: Any) -> None:
    base = f"{cloud.base}/volume"
    async with cloud.http.get(f"{base}/") as answer:
        assert answer.status == 300
    async with cloud.http.get(f"{base}/v3/") as answer:
        assert answer.status == 401
    headers = {"X-Auth-Token": cloud.demo}
    project = (await cloud.context()).project_id
    for place in ("v3", f"v3/{project}"):
        for path, name, value in (
            ("volumes/detail", "volumes", []),
            ("os-availability-zone", "availabilityZoneInfo", []),
        ):
            async with cloud.http.get(f"{base}/{place}/{path}", headers=headers) as answer:
                assert (answer.status, await answer.json()) == (200, {name: value})
        async with cloud.http.get(f"{base}/{place}/limits", headers=headers) as answer:
            assert (await answer.json())["limits"]["absolute"]["totalVolumesUsed"] == 0
        async with cloud.http.get(f"{base}/{place}/os-quota-sets/{project}?usage=True", headers=headers) as answer:
            assert (await answer.json())["quota_set"]["volumes"] == {"limit": 0, "in_use": 0, "reserved": 0}
        async with cloud.http.post(f"{base}/{place}/volumes", headers=headers, json={}) as answer:
            assert answer.status == 501
            assert "no volumes" in (await answer.json())["notImplemented"]["message"]


async def test_the_command_line_lists_no_volumes(cloud: Any) -> None:
    assert await cloud.cli("volume", "list", "-f", "value") == ""
