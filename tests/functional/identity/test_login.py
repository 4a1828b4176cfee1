"""Logging in and what a token says."""

from typing import Any


async def test_discovery_needs_no_token(cloud: Any) -> None:
    status, said = await cloud.ask("GET", "/")
    assert status == 300
    assert said["versions"]["values"][0]["id"] == "v3.14"
    for path in ("/v3", "/v3/"):
        status, said = await cloud.ask("GET", path)
        assert status == 200
        assert said["version"]["links"][0]["href"] == f"{cloud.url}/v3/"


async def test_the_command_line_logs_in(cloud: Any) -> None:
    assert len(await cloud.cli("token", "issue", "-f", "value", "-c", "id")) > 100
    assert "compute" in await cloud.cli("catalog", "list", "-f", "value", "-c", "Type")
