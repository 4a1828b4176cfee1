"""Requests for the tests of filters and weighers: ordinary ones, odd ones and hostile ones."""

from collections.abc import Iterator
from typing import Any

from novakit_hookspecs.scheduling import Ask, GroupAsk, ImageAsk
from novakit_hookspecs.trees import RequestGroup

SERVER = "6f5b1a52-1d77-4c2c-9d8e-6f6f0a2d7f10"
OTHER = "0d1c7a3e-3f1b-4a59-8a0b-0d9f3a1c5e77"


def ask(**fields: object) -> Ask:
    """Make a request for a small server, with whatever else is said."""
    small: dict[str, Any] = {
        "server_id": SERVER,
        "project_id": "project-a",
        "user_id": "user-a",
        "flavor_name": "m1.small",
        "vcpus": 1,
        "memory_mb": 2048,
        "root_gb": 20,
    }
    return Ask(**{**small, **fields})


def asks() -> Iterator[Ask]:
    """Yield requests that between them use every part of `Ask`, nonsense in every part that users write included."""
    yield ask()
    yield ask(vcpus=64, memory_mb=2**31, root_gb=2**31)
    yield ask(memory_mb=0, root_gb=0)
    yield ask(resources={"VGPU": 1, "PCPU": 4, "CUSTOM_NOTHING": 1})
    vgpu = RequestGroup(suffix="1", resources={"VGPU": 1}, required={"CUSTOM_FAST"})
    fpga = RequestGroup(suffix="2", resources={"FPGA": 2, "VCPU": 1}, forbidden={"CUSTOM_FAST"})
    yield ask(resources={"VGPU": 1}, groups=[vgpu])
    yield ask(resources={"VGPU": 1, "FPGA": 2, "VCPU": 2}, groups=[vgpu, fpga], isolate_groups=True)
    yield ask(availability_zone="zone-a")
    yield ask(availability_zone="nowhere")
    yield ask(host="host0", node="node0")
    yield ask(excluded_hosts={"host1", "unheard-of"})
    yield ask(required_traits={"CUSTOM_FAST"}, forbidden_traits={"HW_CPU_X86_AVX"})
    for policy in ("affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"):
        yield ask(group=GroupAsk(id=OTHER, policy=policy))
        yield ask(group=GroupAsk(id=OTHER, policy=policy, hosts={"host0": 2, "gone": 1}, max_server_per_host=2))
    yield ask(image=ImageAsk(id=OTHER, properties={"hw_architecture": "x86_64", "os_distro": "debian"}))
    yield ask(image=ImageAsk(id=OTHER, properties={"img_hv_requested_version": ">=8,<<9", "hw_architecture": "\0"}))
    yield ask(extra_specs={"capabilities:hypervisor_type": "<or> QEMU <or> KVM", "ssd": "true", "gpu:count": "many"})
    yield ask(extra_specs={"capabilities:cpu_info:features": "<in> avx", "hw:numa_nodes": "-1", "": ""})
    yield ask(hints={"different_host": OTHER, "same_host": [OTHER, 7, None]}, server_hosts={OTHER: "host0"})
    yield ask(hints={"query": '["and", [">=", "$free_ram_mb", 1024], ["not", ["=", "$hypervisor_type", "KVM"]]]'})
    yield ask(hints={"query": "[" * 5000, "build_near_host_ip": "999.1.1.1", "cidr": "/99"})
    yield ask(hints={"build_near_host_ip": ["10.0.1.7"], "cidr": "/24", "group": {"deep": [[]]}})
