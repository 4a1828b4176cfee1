"""The real `openstack` command against the compute API."""

import asyncio
import json
import stat

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from novakit.api import identity as identity_api
from novakit.api.compute import SERVICE
from tests.support.openstack_client import openstack_command


@pytest.fixture
async def cloud(compute):
    """Serve identity and compute side by side; answer where."""
    endpoints = compute.identity.endpoints
    outer = web.Application()
    outer.add_subapp("/identity", identity_api.service.app(compute.identity, compute.identity.authenticate))
    outer.add_subapp("/compute", SERVICE.app(compute, compute.identity.authenticate))
    async with TestServer(outer) as server:
        url = str(server.make_url("")).rstrip("/")
        endpoints |= {"identity": f"{url}/identity/v3", "compute": f"{url}/compute/v2.1"}
        await compute.identity.bootstrap(admin_password="a-secret", demo_password="d-secret")
        yield url


@pytest.fixture
def openstack(cloud, tmp_path):
    """Give a function that runs the command as an admin and answers what it printed, as JSON where it can."""
    environment = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "OS_CLIENT_CONFIG_FILE": str(tmp_path / "none.yaml"),
        "OS_AUTH_URL": f"{cloud}/identity/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": "a-secret",
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
    }

    async def call(*words, fails=False):
        process = await asyncio.create_subprocess_exec(
            openstack_command(),
            *words,
            cwd=tmp_path,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            umask=0o077,
        )
        out, problem = await process.communicate()
        assert (process.returncode != 0) == fails, problem.decode()
        return json.loads(out) if "json" in words and not fails else (out + problem).decode()

    return call


@pytest.mark.slow
async def test_flavors_are_made_described_and_removed(openstack):
    words = (
        "--ram",
        "256",
        "--vcpus",
        "1",
        "--disk",
        "1",
        "--property",
        "hw:cpu_policy=shared",
        "--description",
        "tiny",
    )
    made = await openstack("flavor", "create", "m1.nebula_micro", *words, "-f", "json")
    assert made["name"] == "m1.nebula_micro" and made["properties"] == {"hw:cpu_policy": "shared"}
    listed = await openstack("flavor", "list", "--all", "-f", "json")
    assert [(each["Name"], each["RAM"]) for each in listed] == [("m1.nebula_micro", 256)]
    shown = await openstack("flavor", "show", "m1.nebula_micro", "-f", "json")
    assert shown["id"] == made["id"] and shown["description"] == "tiny"
    await openstack("flavor", "delete", "m1.nebula_micro")
    assert "No Flavor found" in await openstack("flavor", "show", "m1.nebula_micro", fails=True)


@pytest.mark.slow
async def test_a_key_pair_is_made_and_its_file_is_private(openstack, tmp_path):
    await openstack("keypair", "create", "--private-key", "key", "mine")
    file = tmp_path / "key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and "OPENSSH PRIVATE KEY" in file.read_text()
    listed = await openstack("keypair", "list", "-f", "json")
    assert [each["Name"] for each in listed] == ["mine"]
    public = await openstack("keypair", "show", "--public-key", "mine")
    assert public.startswith("ssh-")
    await openstack("keypair", "delete", "mine")
    assert await openstack("keypair", "list", "-f", "json") == []


@pytest.mark.slow
async def test_operators_see_hosts_and_zones(openstack, host):
    (hypervisor,) = await openstack("hypervisor", "list", "-f", "json")
    assert hypervisor["Hypervisor Hostname"] == "alpha.example"
    (service,) = await openstack("compute", "service", "list", "-f", "json")
    assert (service["Host"], service["State"].lower()) == ("alpha", "up")
    await openstack("compute", "service", "set", "--disable", "--disable-reason", "disk", "alpha", "nova-compute")
    (service,) = await openstack("compute", "service", "list", "-f", "json")
    assert service["Status"] == "disabled"
    await openstack("aggregate", "create", "--zone", "az1", "rack")
    await openstack("aggregate", "add", "host", "rack", "alpha")
    shown = await openstack("aggregate", "show", "rack", "-f", "json")
    assert shown["hosts"] == ["alpha"] and shown["availability_zone"] == "az1"


@pytest.mark.slow
async def test_quotas_limits_and_servers_are_read_by_name(openstack, image_id):
    shown = await openstack("limits", "show", "--absolute", "-f", "json")
    assert any(each["Name"].lower().replace("_", "") == "totalinstancesused" for each in shown), shown
    assert "nobody" in await openstack("server", "show", "nobody", fails=True)
    assert await openstack("server", "list", "--all-projects", "-f", "json") == []
    assert await openstack("availability", "zone", "list", "--compute", "-f", "json") == [
        {"Zone Name": "nova", "Zone Status": "not available"}
    ]
