"""The network part of the cookbook, typed with the real command line."""

from typing import Any

import pytest

pytestmark = pytest.mark.slow
JSON = ("-f", "json")


async def test_the_openstack_command_builds_the_network_of_the_cookbook(cloud: Any) -> None:
    provider = ("--external", "--provider-network-type", "flat", "--provider-physical-network", "public")
    await cloud.cli("network", "create", *provider, "public", token="admin")
    await cloud.cli(
        *("subnet", "create", "--network", "public", "--subnet-range", "192.0.2.0/24", "--no-dhcp", "pub"),
        token="admin",
    )
    await cloud.cli("network", "create", "net")
    subnet = await cloud.cli("subnet", "create", "--network", "net", "--subnet-range", "10.77.0.0/24", "sub", *JSON)
    assert subnet["gateway_ip"] == "10.77.0.1"
    await cloud.cli("router", "create", "r")
    await cloud.cli("router", "set", "--external-gateway", "public", "r")
    await cloud.cli("router", "add", "subnet", "r", "sub")
    await cloud.cli("security", "group", "create", "web-sg")
    rule = ("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", "web-sg", *JSON)
    assert (await cloud.cli(*rule))["port_range_min"] == 22
    assert len(await cloud.cli("security", "group", "rule", "list", "web-sg", *JSON)) == 3
    port = await cloud.cli("port", "create", "--network", "net", "--security-group", "web-sg", "p", *JSON)
    address = await cloud.cli("floating", "ip", "create", "public", *JSON)
    await cloud.cli("floating", "ip", "set", "--port", "p", address["floating_ip_address"])
    (shown,) = await cloud.cli("floating", "ip", "list", *JSON)
    assert shown["Port"] == port["id"] and shown["Fixed IP Address"] == port["fixed_ips"][0]["ip_address"]
    await cloud.cli("floating", "ip", "unset", "--port", address["floating_ip_address"])
    await cloud.cli("floating", "ip", "delete", address["floating_ip_address"])
    await cloud.cli("port", "delete", "p")
    await cloud.cli("router", "remove", "subnet", "r", "sub")
    await cloud.cli("router", "delete", "r")
    await cloud.cli("network", "delete", "net")
    await cloud.cli("security", "group", "delete", "web-sg")
    assert [one["Name"] for one in await cloud.cli("network", "list", *JSON)] == ["public"]
    assert await cloud.cli("port", "list", *JSON) == []


async def test_the_openstack_command_lists_extensions_and_sets_tags(cloud: Any) -> None:
    aliases = [one["Alias"] for one in await cloud.cli("extension", "list", "--network", *JSON)]
    assert "router" in aliases and "external-gateway-multihoming" not in aliases
    shown = await cloud.cli("network", "create", "--tag", "blue", "net", *JSON)
    assert shown["id"]
    assert (await cloud.cli("network", "show", "net", *JSON))["tags"] == ["blue"]
