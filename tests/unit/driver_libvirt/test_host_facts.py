"""What the host is said to offer."""

import os_traits
import pytest

from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions, novakit_drivers
from novakit_driver_libvirt.acceleration import Verdict
from novakit_driver_libvirt.host_facts import ABILITIES, CPU_TRAITS, Machine, facts
from novakit_hookspecs.hosts import HostContext, HostFacts

CAPABILITIES = """<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>
<topology sockets='1' dies='1' cores='4' threads='2'/></cpu></host>
<guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>"""
MACHINE = Machine(cpus=8, memory_mb=16000, disk_gb=100, flags=frozenset({"avx2", "aes", "unheard_of"}))


def made(acceleration: str, *, uefi: bool = False) -> HostFacts:
    return facts(
        host="alpha",
        machine=MACHINE,
        options=LibvirtOptions(reserved_memory_mb=1000, cpu_allocation_ratio=2.0),
        verdict=Verdict(acceleration, "because"),
        capabilities=CAPABILITIES,
        version=7002022,
        uefi=uefi,
    )


def test_every_trait_is_a_standard_one() -> None:
    standard = set(os_traits.get_traits())
    assert ABILITIES | set(CPU_TRAITS.values()) <= standard


@pytest.mark.parametrize(("uefi", "known"), [(False, {"BIOS"}), (True, {"BIOS", "UEFI"})])
def test_images_find_a_host_by_the_firmware_it_has(uefi: bool, known: set[str]) -> None:
    traits = made("tcg", uefi=uefi).traits
    assert {trait.removeprefix("COMPUTE_FIRMWARE_") for trait in traits if "FIRMWARE" in trait} == known


def test_kvm_shows_the_host_cpu() -> None:
    host = made("kvm")
    assert host.hypervisor_type == "KVM"
    assert {"HW_CPU_X86_AVX2", "HW_CPU_X86_AESNI"} <= host.traits
    assert ("x86_64", "kvm", "hvm") in host.supported_instances
    assert host.cpu_info["topology"] == {"sockets": 1, "cores": 4, "threads": 2}


def test_emulation_promises_nothing_of_the_host_cpu_and_no_kvm() -> None:
    host = made("tcg")
    assert (host.hypervisor_type, host.acceleration, host.why) == ("QEMU", "tcg", "because")
    assert not {trait for trait in host.traits if trait.startswith("HW_CPU")}
    assert host.supported_instances == (("x86_64", "qemu", "hvm"),)


def test_the_inventory_follows_machine_and_options() -> None:
    inventory = made("tcg").inventory
    assert (inventory["VCPU"].total, inventory["VCPU"].allocation_ratio) == (8, 2.0)
    assert (inventory["MEMORY_MB"].total, inventory["MEMORY_MB"].reserved) == (16000, 1000)
    assert inventory["DISK_GB"].total == 100


def test_the_offer_holds_the_facets_it_declares() -> None:
    (spec,) = novakit_drivers()
    driver = spec.build(LibvirtOptions(), HostContext(host="alpha", state_dir="/nowhere"))
    assert isinstance(driver, LibvirtDriver)
    assert all(isinstance(driver, facet) for facet in spec.facets)
