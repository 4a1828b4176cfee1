"""What flavor and image ask for together, at the door of the API."""

import pytest

from tests.functional.compute_api.conftest import authenticate


async def ask(api, compute, tmp_path, specs, properties):
    file = tmp_path / "own.raw"
    file.write_bytes(b"\0" * 65536)
    await compute.images.open()
    image = await compute.images.ingest(
        await authenticate("admin", "req-1"),
        name="own",
        path=file,
        disk_format="raw",
        visibility="public",
        properties=properties,
    )
    flavor = await compute.flavors.create(
        flavor_id="own",
        name="own",
        vcpus=2,
        ram=512,
        disk=1,
        extra_specs={key if ":" in key else f"hw:{key}": specs[key] for key in specs},
    )
    body = {"name": "a", "imageRef": image.id, "flavorRef": flavor["id"], "networks": "none"}
    return await api("POST", "/v2.1/servers", {"server": body}, version="2.86")


@pytest.mark.parametrize(
    ("specs", "properties", "says"),
    [
        ({"cpu_policy": "shared"}, {"hw_cpu_policy": "dedicated"}, "hw_cpu_policy is dedicated"),
        ({"cpu_thread_policy": "require"}, {}, "needs dedicated CPUs, and hw:cpu_policy is shared"),
        ({"emulator_threads_policy": "isolate"}, {}, "set hw:cpu_policy to dedicated, or remove hw:emul"),
        ({}, {"hw_mem_page_size": "large"}, "choose a flavor with hw:mem_page_size large or any"),
        ({"numa_nodes": "2", "numa_cpus.0": "0", "numa_mem.0": "256"}, {}, "each of the 2 cells"),
        ({"cpu_policy": "mixed"}, {}, "needs a cpu_dedicated_mask"),
        ({"cpu_sockets": "3"}, {}, "2 CPUs cannot be made of sockets 3"),
        ({"pmu": "true"}, {"hw_pmu": "false"}, "contradict one another"),
        ({"cpu_realtime": "yes"}, {}, "hw:cpu_realtime' is not supported yet"),
        ({}, {"hw_mem_encryption": "true"}, "hw_mem_encryption' is not supported yet"),
        ({"trait:lower": "required"}, {}, "names no resource class or trait"),
        ({"trait:HW_CPU_X86_AVX2": "maybe"}, {}, "takes required or forbidden"),
        ({"resources:VCPU": "x"}, {}, "takes a number"),
        ({"resources:CUSTOM_X": "1.5"}, {}, "takes a number"),
        ({"trait1:CUSTOM_X": "required"}, {}, "has traits and no resources"),
        ({}, {"trait:lower": "required"}, "names no resource class or trait"),
        ({}, {"trait:CUSTOM_X": "bogus"}, "takes required or forbidden"),
        ({}, {"gpu:type": "a100"}, "of type a100, and the flavor gives none; choose a flavor that does"),
        ({"resources:PCPU": "2", "hw:cpu_policy": "shared"}, {}, "resources:PCPU contradicts hw:cpu_policy shared"),
        ({"gpu:count": "1"}, {}, "gpu:count without gpu:type"),
        ({"resources:VGPU": "\uff11"}, {}, "takes a number"),
        ({"resources1:PCPU": "2"}, {}, "resources1:PCPU asks for CPUs that no guest would get"),
        ({"resources:PCPU": "1"}, {}, "resources:PCPU is 1, and a guest of 2 CPUs of its own takes 2"),
        (
            {"resources:PCPU": "2", "hw:cpu_policy": "dedicated"},
            {},
            "both say how CPUs are counted; remove resources:PCPU",
        ),
        ({"resources:PCPU": "2", "hw:emulator_threads_policy": "isolate"}, {}, "takes 3"),
    ],
)
async def test_what_cannot_be_is_a_bad_request_and_no_server(api, compute, tmp_path, specs, properties, says):
    answer = await ask(api, compute, tmp_path, specs, properties)
    assert answer.status == 400
    assert says in answer.body["badRequest"]["message"]
    assert (await api("GET", "/v2.1/servers")).body == {"servers": []}


async def test_an_image_may_choose_where_its_flavor_leaves_it_open(api, compute, tmp_path):
    properties = {"hw_mem_page_size": "2MB", "hw_cpu_policy": "shared", "hw_cpu_sockets": "4", "hw_sound_model": "ac97"}
    answer = await ask(api, compute, tmp_path, {"mem_page_size": "any", "cpu_policy": "dedicated"}, properties)
    assert answer.status == 202
