"""What the network service tells of itself."""

from typing import Any


async def test_the_service_tells_its_versions_extensions_zones_and_quotas(cloud: Any) -> None:
    async with cloud.client.get("/") as answer:
        (version,) = (await answer.json())["versions"]
        assert version["id"] == "v2.0" and version["links"][0]["href"].endswith("/v2.0/")
    assert (await cloud.call("GET", ""))[1]["resources"][0]["name"] == "network"
    assert (await cloud.call("GET", "extensions/router"))[1]["extension"]["alias"] == "router"
    refusal = await cloud.refused("GET", "extensions/external-gateway-multihoming")
    assert refusal == (404, "ExtensionNotFound")
    zones = (await cloud.call("GET", "availability_zones"))[1]["availability_zones"]
    assert {zone["resource"] for zone in zones} == {"network", "router"}
    assert (await cloud.call("GET", f"quotas/{'a' * 32}"))[1]["quota"]["port"] == 500
