"""PCI devices through the whole service: asked for by flavor, claimed, handed to simulated guests, given back."""

import asyncio
import json
import subprocess
import sys
from collections import Counter

import aiohttp
import pytest

from novakit_simulated.journal import Journal
from tests.support.service import Api, Service

HOSTS = 2
TOPOLOGY = {
    "cells": [{"id": cell, "cpus": list(range(cell * 16, cell * 16 + 16)), "memory_mb": 32768} for cell in range(2)],
    "pci": [
        {
            "address": f"0000:{bus:02x}:00.0",
            "kind": "a100",
            "vendor_id": "10de",
            "product_id": "20b5",
            "numa_cell": bus % 2,
        }
        for bus in range(0x10, 0x14)
    ],
}


@pytest.fixture
def service(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    topology = tmp_path / "topology.json"
    topology.write_text(json.dumps(TOPOLOGY))
    (state / "novakit.toml").write_text(f'[agent]\nhost = "sim"\n\n[drivers.simulated]\ntopology = "{topology}"\n')
    with Service(state, "--simulate", str(HOSTS)) as running:
        yield running


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as opened:
        yield opened


def devices(service):
    """Give the devices of every guest as its host was told: host and address by server."""
    return {
        server: [(directory.name, address) for address in record.get("devices", ())]
        for directory in sorted((service.state / "agents").glob("sim-*"))
        for server, record in Journal.open(str(directory / "virt" / "guests.journal")).records.items()
    }


async def prepare(service, session, name, specs):
    api, admin = await Api.login(service, session), await Api.login(service, session, "novakit-admin")
    unlimited = {"quota_set": {"instances": -1, "cores": -1, "ram": -1, "force": True}}
    await admin.ok("PUT", f"/compute/v2.1/os-quota-sets/{api.project_id}", unlimited, version="2.56")
    await admin.ok(
        "POST", "/compute/v2.1/flavors", {"flavor": {"id": name, "name": name, "vcpus": 1, "ram": 512, "disk": 1}}
    )
    await admin.ok("POST", f"/compute/v2.1/flavors/{name}/os-extra_specs", {"extra_specs": specs})
    return api, admin, await api.image()


async def tree(admin):
    """Give, by name, used and total of every device's class, as Placement shows it."""
    listed = (await admin.ok("GET", "/placement/resource_providers"))["resource_providers"]
    roots = {one["uuid"]: one["name"] for one in listed if one["parent_provider_uuid"] is None}
    found = {}
    for one in listed:
        if one["parent_provider_uuid"] in roots:
            path = f"/placement/resource_providers/{one['uuid']}"
            usages = (await admin.ok("GET", f"{path}/usages"))["usages"]
            stock = (await admin.ok("GET", f"{path}/inventories"))["inventories"]
            traits = (await admin.ok("GET", f"{path}/traits"))["traits"]
            assert (list(stock), traits) == (["CUSTOM_PCI_A100"], ["CUSTOM_PCI_10DE_20B5"])
            assert one["root_provider_uuid"] == one["parent_provider_uuid"]
            found[one["name"]] = (usages["CUSTOM_PCI_A100"], stock["CUSTOM_PCI_A100"]["total"])
    return found


def audit(service):
    command = [sys.executable, "-m", "novakit", "audit", "--state", str(service.state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


async def act(api, server, body, status):
    assert (await api.call("POST", f"/compute/v2.1/servers/{server}/action", body))[0] == 202
    async with asyncio.timeout(60):
        while True:
            shown = (await api.ok("GET", f"/compute/v2.1/servers/{server}"))["server"]
            if (shown["status"], shown["OS-EXT-STS:task_state"]) == (status, None):
                return shown
            await asyncio.sleep(0.05)


async def remove(api, servers):
    for server in servers:
        await api.ok("DELETE", f"/compute/v2.1/servers/{server}")
    async with asyncio.timeout(120):
        for server in servers:
            while (await api.call("GET", f"/compute/v2.1/servers/{server}"))[0] != 404:
                await asyncio.sleep(0.05)


async def test_fifty_servers_at_once_get_eight_devices_once_each_and_give_them_back(service, session):
    api, admin, image = await prepare(service, session, "gpu", {"pci_passthrough:alias": "a100:1"})
    await asyncio.gather(*(api.server(f"s{number}", image, "gpu") for number in range(50)))
    settled = await api.settled()
    assert Counter(each["status"] for each in settled) == {"ACTIVE": 8, "ERROR": 42}
    active = [each["id"] for each in settled if each["status"] == "ACTIVE"]
    given = devices(service)
    assert sorted(given) == sorted(active)
    everyone = [(f"sim-{host}", each["address"]) for host in (1, 2) for each in TOPOLOGY["pci"]]
    assert sorted(one for some in given.values() for one in some) == everyone
    assert await tree(admin) == {f"{host}_{address}": (1, 1) for host, address in everyone}
    told = audit(service)
    assert told.returncode == 0, told.stdout + told.stderr

    shelved = active[0]
    await act(api, shelved, {"shelve": None}, "SHELVED_OFFLOADED")
    (mine,) = given[shelved]
    assert (await tree(admin))["_".join(mine)] == (0, 1)
    await act(api, shelved, {"unshelve": None}, "ACTIVE")
    assert devices(service)[shelved] == [mine]
    assert audit(service).returncode == 0

    await remove(api, [each["id"] for each in settled])
    assert set((await tree(admin)).values()) == {(0, 1)}
    assert audit(service).returncode == 0


async def test_devices_are_near_the_guests_cells_and_survive_a_crash_of_the_service(service, session):
    specs = {"pci_passthrough:alias": "a100:2", "hw:numa_nodes": "1", "hw:pci_numa_affinity_policy": "required"}
    api, _, image = await prepare(service, session, "near", specs)
    await asyncio.gather(*(api.server(f"s{number}", image, "near") for number in range(6)))
    service.kill()
    service.start()
    async with aiohttp.ClientSession() as fresh:
        api = await Api.login(service, fresh)
        assert Counter(each["status"] for each in await api.settled()) == {"ACTIVE": 4, "ERROR": 2}
    given = [one for some in devices(service).values() for one in some]
    assert len(given) == len(set(given)) == 8
    on_cell = {each["address"]: each["numa_cell"] for each in TOPOLOGY["pci"]}
    for some in devices(service).values():
        assert len({on_cell[address] for _, address in some}) == 1
    told = audit(service)
    assert told.returncode == 0, told.stdout + told.stderr


async def test_a_device_that_an_operator_took_out_of_service_stays_out_through_a_restart_and_news_of_its_host(
    service, session
):
    _, admin, _ = await prepare(service, session, "gpu", {"pci_passthrough:alias": "a100:1"})
    listed = (await admin.ok("GET", "/placement/resource_providers"))["resource_providers"]
    (one,) = [each for each in listed if each["name"] == "sim-1_0000:10:00.0"]
    path = f"/placement/resource_providers/{one['uuid']}/inventories/CUSTOM_PCI_A100"

    async def put(**given):
        generation = (await admin.ok("GET", path))["resource_provider_generation"]
        await admin.ok("PUT", path, {"resource_provider_generation": generation, "total": 1, **given})

    async def fits():
        return (await admin.ok("POST", "/novakit/v1/capacity", {"flavor": "gpu"}))["capacity"]["fits"]

    assert await fits() == 8
    await put(reserved=1)
    service.stop()
    config = service.state / "novakit.toml"
    config.write_text(config.read_text() + "disk_gb = 500\n")
    service.start()
    async with aiohttp.ClientSession() as again:
        admin = await Api.login(service, again, "novakit-admin")
        async with asyncio.timeout(30):
            path_of_host = f"/placement/resource_providers/{one['parent_provider_uuid']}/inventories/DISK_GB"
            while (await admin.ok("GET", path_of_host))["total"] != 500:
                await asyncio.sleep(0.1)
        assert (await admin.ok("GET", path))["reserved"] == 1
        assert await fits() == 7
        await put()
        assert await fits() == 8
