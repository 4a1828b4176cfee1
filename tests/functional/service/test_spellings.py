"""A service told in another guide's words does what they promise."""

import asyncio

import aiohttp
import pytest

from tests.support.service import Api, Service

OPTIONS = """
[agent]
host = "sim"

[filter_scheduler]
enabled_filters = "AvailabilityZoneFilter, ComputeFilter, SimpleCIDRAffinityFilter"
placement_aggregate_required_for_tenants = true
"""


@pytest.fixture
def service(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "novakit.toml").write_text(OPTIONS)
    with Service(state, "--simulate", "3") as running:
        yield running


async def settled(admin, server):
    async with asyncio.timeout(60):
        while True:
            shown = (await admin.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
            if shown["status"] in ("ACTIVE", "ERROR"):
                return shown
            await asyncio.sleep(0.05)


async def test_projects_keep_to_their_aggregates_and_hints_to_their_addresses(service):
    async with aiohttp.ClientSession() as session:
        api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
        image = await api.image()
        new = {"name": "a", "imageRef": image, "flavorRef": "1", "networks": "none"}
        near = {"server": new, "os:scheduler_hints": {"build_near_host_ip": "198.18.0.2", "cidr": "/31"}}
        refused = (await api.ok("POST", "/compute/v2.1/servers", near))["server"]["id"]
        shown = await settled(admin, refused)
        assert "2 closed to projects without an aggregate of their own" in shown["fault"]["message"]
        body = {"aggregate": {"name": "own"}}
        aggregate = (await admin.ok("POST", "/compute/v2.1/os-aggregates", body))["aggregate"]["id"]
        tenant = {"set_metadata": {"metadata": {"filter_tenant_id": api.project_id}}}
        for action in (tenant, {"add_host": {"host": "sim-1"}}, {"add_host": {"host": "sim-3"}}):
            await admin.ok("POST", f"/compute/v2.1/os-aggregates/{aggregate}/action", action)
        placed = (await api.ok("POST", "/compute/v2.1/servers", near))["server"]["id"]
        shown = await settled(admin, placed)
        assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "sim-3")
        hosts = (await admin.ok("GET", "/compute/v2.1/os-hypervisors/detail"))["hypervisors"]
        assert {each["host_ip"] for each in hosts} == {"198.18.0.1", "198.18.0.2", "198.18.0.3"}
