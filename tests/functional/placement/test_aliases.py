"""A class that people write as VGPU_MEMORY_MB, which is no standard class: taken everywhere, given out nowhere."""

import asyncio
import sys

import pytest

from novakit import errors
from novakit.api.compute.flavors.extra_specs import check_extra_specs
from novakit.scheduler.pipeline.ask import from_plain

HOST, CELL, GPU, SERVER = (f"{digit * 8}-0000-4000-8000-{digit * 12}" for digit in "1234")
TRAITS = ["HW_CPU_X86_AVX2", "HW_CPU_X86_AVX512F", "STORAGE_DISK_SSD"]
OWNER = {"project_id": "p", "user_id": "u", "consumer_generation": None, "consumer_type": "INSTANCE"}


def stock(**totals):
    return {name: {"total": total, "reserved": 0, "allocation_ratio": 1.0} for name, total in totals.items()}


async def make(http, id, name, parent, inventories):
    body = {"name": name, "uuid": id, "parent_provider_uuid": parent}
    assert (await http("POST", "/resource_providers", body)).status == 200
    body = {"resource_provider_generation": 0, "inventories": inventories}
    answer = await http("PUT", f"/resource_providers/{id}/inventories", body)
    assert answer.status == 200
    return answer.body["inventories"]


async def test_a_tree_with_graphics_memory_is_filled_asked_for_and_claimed(http):
    await make(http, HOST, "compute-node-01", None, stock(MEMORY_MB=262144, DISK_GB=1000))
    await make(http, CELL, "compute-node-01-numa-0", HOST, stock(VCPU=24, MEMORY_MB=131072))
    shown = await make(http, GPU, "gpu-0-0", CELL, stock(VGPU=1, VGPU_MEMORY_MB=16384))
    assert set(shown) == {"VGPU", "CUSTOM_VGPU_MEMORY_MB"}
    wanted = "resources=MEMORY_MB:32768,DISK_GB:100&resources1=VCPU:16&resources2=VGPU:1,VGPU_MEMORY_MB:16384"
    asked = f"/allocation_candidates?{wanted}&group_policy=none&in_tree1={CELL}"
    found = (await http("GET", asked)).body["allocation_requests"]
    mine = [one for one in found if HOST in one["allocations"]]
    assert mine[0]["allocations"][GPU] == {"resources": {"VGPU": 1, "CUSTOM_VGPU_MEMORY_MB": 16384}}
    held = {
        HOST: {"resources": {"MEMORY_MB": 32768, "DISK_GB": 100}},
        CELL: {"resources": {"VCPU": 16}},
        GPU: {"resources": {"VGPU": 1, "VGPU_MEMORY_MB": 16384}},
    }
    body = {"allocations": held, "mappings": {"1": [HOST, CELL, GPU]}, **OWNER}
    assert (await http("PUT", f"/allocations/{SERVER}", body)).status == 204
    shown = (await http("GET", f"/allocations/{SERVER}")).body["allocations"]
    assert shown[GPU]["resources"] == {"VGPU": 1, "CUSTOM_VGPU_MEMORY_MB": 16384}
    one = await http("GET", f"/resource_providers/{GPU}/inventories/VGPU_MEMORY_MB")
    assert one.body["total"] == 16384
    assert (await http("GET", "/resource_providers?resources=VGPU_MEMORY_MB:1")).body["resource_providers"] == []
    assert (await http("DELETE", f"/resource_providers/{GPU}/inventories/VGPU_MEMORY_MB")).status == 409


async def test_the_class_goes_by_its_own_name(http):
    assert (await http("GET", "/resource_classes/VGPU_MEMORY_MB")).status == 404
    made = await http("PUT", "/resource_classes/VGPU_MEMORY_MB")
    assert made.status == 201 and made.headers["Location"].endswith("/resource_classes/CUSTOM_VGPU_MEMORY_MB")
    assert (await http("GET", "/resource_classes/VGPU_MEMORY_MB")).body["name"] == "CUSTOM_VGPU_MEMORY_MB"
    listed = {one["name"] for one in (await http("GET", "/resource_classes")).body["resource_classes"]}
    assert "CUSTOM_VGPU_MEMORY_MB" in listed and "VGPU_MEMORY_MB" not in listed
    assert (await http("DELETE", "/resource_classes/VGPU_MEMORY_MB")).status == 204


async def test_both_names_at_once_are_refused(http):
    await http("POST", "/resource_providers", {"name": "gpu", "uuid": GPU})
    both = stock(VGPU_MEMORY_MB=1, CUSTOM_VGPU_MEMORY_MB=2)
    body = {"resource_provider_generation": 0, "inventories": both}
    refused = await http("PUT", f"/resource_providers/{GPU}/inventories", body)
    assert refused.status == 400 and "are one" in refused.detail


async def test_it_moves_to_another_provider_in_one_step(http):
    await make(http, HOST, "host", None, stock(VGPU_MEMORY_MB=8))
    await http("POST", "/resource_providers", {"name": "gpu", "uuid": GPU, "parent_provider_uuid": HOST})
    wanted = {
        HOST: {"resource_provider_generation": 1, "inventories": {}},
        GPU: {"resource_provider_generation": 0, "inventories": stock(VGPU_MEMORY_MB=8)},
    }
    held = {SERVER: {"allocations": {GPU: {"resources": {"VGPU_MEMORY_MB": 8}}}, **OWNER}}
    moved = await http("POST", "/reshaper", {"inventories": wanted, "allocations": held}, token="service")
    assert moved.status == 204
    used = (await http("GET", f"/resource_providers/{GPU}/usages")).body["usages"]
    assert used == {"CUSTOM_VGPU_MEMORY_MB": 8}


def test_a_flavor_may_ask_for_it():
    specs = {"resources:VGPU_MEMORY_MB": "4096"}
    check_extra_specs((2, 86), specs)
    with pytest.raises(errors.BadRequest):
        check_extra_specs((2, 86), {"trait:VGPU_MEMORY_MB": "required"})
    with pytest.raises(errors.BadRequest):
        check_extra_specs((2, 86), {"resources:VGPU_MEMORY_GB": "4"})
    ask = from_plain({"server_id": SERVER, "vcpus": 1, "memory_mb": 64, "extra_specs": specs})
    assert ask.resources == {"VCPU": 1, "MEMORY_MB": 64, "CUSTOM_VGPU_MEMORY_MB": 4096}


async def test_a_process_warns_of_it_once():
    script = "from novakit.resource_classes import canonical; print([canonical('VGPU_MEMORY_MB') for _ in range(3)])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert said.decode().count("resource class is not standard") == 1
    assert said.decode().count("'CUSTOM_VGPU_MEMORY_MB'") == 3
