"""The unmodified openstack client with osc-placement, against our server."""

import asyncio
import json
import uuid

import pytest

from novakit_hookspecs.hosts import Inventory, PciDevice
from tests.support.openstack_client import openstack_command
from tests.support.stores import sqlite_store

AGGREGATE = "11111111-1111-1111-1111-111111111111"
CONSUMER = "22222222-2222-2222-2222-222222222222"


@pytest.fixture
async def store(tmp_path):

    opened = await sqlite_store(tmp_path / "placement.db")
    yield opened
    await opened.close()


@pytest.fixture
def openstack(http):

    async def run(words, *, form="json"):
        options = ["--os-auth-type", "admin_token", "--os-endpoint", http.url, "--os-token", "admin"]
        command = [openstack_command(), *options, "--os-placement-api-version", "1.39", *words.split()]
        command += ["-f", form] if form else []
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        assert process.returncode == 0, f"{words}: {err.decode()}"
        return json.loads(out) if form == "json" else None

    return run


@pytest.mark.slow
async def test_every_resource_can_be_driven_by_hand(openstack):
    host = (await openstack("resource provider create host"))["uuid"]
    child = (await openstack(f"resource provider create card --parent-provider {host}"))["uuid"]
    await openstack("trait create CUSTOM_GOLD", form=None)
    await openstack("resource class create CUSTOM_LICENCE", form=None)
    stock = "--resource VCPU=16 --resource VCPU:allocation_ratio=4.0 --resource CUSTOM_LICENCE=3"
    rows = await openstack(f"resource provider inventory set {host} {stock}")
    assert {row["resource_class"]: row["total"] for row in rows} == {"VCPU": 16, "CUSTOM_LICENCE": 3}
    await openstack(f"resource provider trait set {host} --trait CUSTOM_GOLD")
    generation = (await openstack(f"resource provider show {host}"))["generation"]
    await openstack(f"resource provider aggregate set {host} --aggregate {AGGREGATE} --generation {generation}")
    found = await openstack(f"resource provider list --resource VCPU=4 --required CUSTOM_GOLD --member-of {AGGREGATE}")
    assert [row["uuid"] for row in found] == [host]
    candidates = await openstack("allocation candidate list --resource VCPU=4 --required CUSTOM_GOLD")
    assert [row["resource provider"] for row in candidates] == [host]
    place = f"--allocation rp={host},VCPU=4 --project-id p --user-id u --consumer-type INSTANCE"
    await openstack(f"resource provider allocation set {CONSUMER} {place}")
    usage = {row["resource_class"]: row["usage"] for row in await openstack(f"resource provider usage show {host}")}
    assert usage == {"VCPU": 4, "CUSTOM_LICENCE": 0}
    assert (await openstack("resource usage show p"))[0]["usage"] == {"VCPU": 4, "consumer_count": 1}
    await openstack(f"resource provider allocation delete {CONSUMER}", form=None)
    await openstack(f"resource provider delete {child}", form=None)
    await openstack(f"resource provider delete {host}", form=None)
    assert await openstack("resource provider list") == []


@pytest.mark.slow
async def test_a_device_taken_out_of_service_by_hand_stays_out_until_it_is_put_back(openstack, http):
    host, gpu, kind = str(uuid.uuid4()), PciDevice(address="0000:3b:00.0", kind="a100"), "CUSTOM_PCI_A100"

    async def report(memory):
        stock = {"MEMORY_MB": Inventory(total=memory, reserved=512), "VCPU": Inventory(total=4, allocation_ratio=4.0)}
        async with http.placement.store.write() as session:
            await http.placement.report_host(session, provider_id=host, name="host", inventory=stock, pci=[gpu])

    async def shown(provider):
        rows = await openstack(f"resource provider inventory list {provider}")
        return {row["resource_class"]: (row["total"], row["reserved"], row["allocation_ratio"]) for row in rows}

    await report(4096)
    found = await openstack(f"resource provider list --in-tree {host} --resource {kind}=1")
    (device,) = (row["uuid"] for row in found)
    await openstack(f"resource provider inventory set {device} --resource {kind}=1 --resource {kind}:reserved=1")
    await openstack(f"resource provider inventory set {host} --amend --resource VCPU:allocation_ratio=1.0")
    await report(8192)
    assert await shown(device) == {kind: (1, 1, 1.0)}
    assert await shown(host) == {"MEMORY_MB": (8192, 512, 1.0), "VCPU": (4, 0, 1.0)}
    await openstack(f"resource provider inventory set {device} --resource {kind}=1")
    await openstack(f"resource provider inventory class set {host} VCPU --total 4")
    await report(4096)
    assert await shown(device) == {kind: (1, 0, 1.0)}
    assert await shown(host) == {"MEMORY_MB": (4096, 512, 1.0), "VCPU": (4, 0, 4.0)}
