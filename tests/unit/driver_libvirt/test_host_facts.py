"""What the host is said to offer."""

import re
from collections.abc import Collection

import os_traits
import pytest

from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions, guest_cpu, novakit_drivers
from novakit_driver_libvirt.firmware import NONE, Firmware
from novakit_driver_libvirt.host_facts import ABILITIES, facts
from novakit_hookspecs.facets import CONFIG_DRIVES, LIMITS_CPUS, LIMITS_DISKS
from novakit_hookspecs.hosts import CpuTopology, HostContext, HostFacts
from novakit_host.acceleration import Acceleration
from novakit_host.machine import HostMachine

CAPABILITIES = """<capabilities><host><cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>
<topology sockets='1' dies='1' cores='4' threads='2'/></cpu></host>
<guest><os_type>hvm</os_type><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>
</capabilities>"""
MACHINE = HostMachine(cpus=8, memory_mb=16000, disk_gb=100, flags=frozenset({"avx2", "aes", "unheard_of"}))


DOMAINS = """<domainCapabilities><cpu>
<mode name='host-passthrough' supported='no'/>
<mode name='host-model' supported='{supported}'><model fallback='forbid'>EPYC</model><vendor>AMD</vendor>
<feature policy='require' name='la57'/><feature policy='disable' name='sha-ni'/></mode>
</cpu></domainCapabilities>"""


def made(acceleration: str, *, firmware: Firmware = NONE, cpu_features: Collection[str] = ()) -> HostFacts:
    return facts(
        host="alpha",
        machine=MACHINE,
        options=LibvirtOptions(reserved_memory_mb=1000, cpu_allocation_ratio=2.0),
        verdict=Acceleration(acceleration, "because"),
        capabilities=CAPABILITIES,
        version=7002022,
        firmware=firmware,
        cpu_features=cpu_features,
    )


def test_every_trait_is_a_standard_one_or_one_of_the_contract() -> None:
    assert set(os_traits.get_traits()) >= ABILITIES - {CONFIG_DRIVES, LIMITS_CPUS, LIMITS_DISKS}


@pytest.mark.parametrize(
    ("firmware", "known"),
    [
        (Firmware(), {"FIRMWARE_BIOS"}),
        (Firmware(plain="a.fd"), {"FIRMWARE_BIOS", "FIRMWARE_UEFI"}),
        (Firmware(plain="a.fd", secure="b.fd"), {"FIRMWARE_BIOS", "FIRMWARE_UEFI", "SECURITY_UEFI_SECURE_BOOT"}),
    ],
)
def test_images_find_a_host_by_the_firmware_it_has(firmware: Firmware, known: set[str]) -> None:
    traits = made("tcg", firmware=firmware).traits
    assert {trait.removeprefix("COMPUTE_") for trait in traits if re.search("FIRMWARE|BOOT", trait)} == known


def test_kvm_shows_the_host_cpu() -> None:
    host = made("kvm")
    assert host.hypervisor_type == "KVM"
    assert ("x86_64", "kvm", "hvm") in host.supported_instances
    assert host.cpu_info.topology == CpuTopology(sockets=1, cores=4, threads=2)
    assert host.cpu_info.features == tuple(sorted(host.cpu_info.features))


def test_emulation_offers_no_kvm() -> None:
    host = made("tcg")
    assert (host.hypervisor_type, host.acceleration, host.why) == ("QEMU", "tcg", "because")
    assert host.supported_instances == (("x86_64", "qemu", "hvm"),)


@pytest.mark.parametrize("acceleration", ["tcg", "kvm"])
def test_cpu_traits_are_those_of_guests_and_not_of_the_host(acceleration: str) -> None:
    found = made(acceleration, cpu_features={"sse4.2", "svm", "unheard_of"}).traits
    assert found - ABILITIES == {"HW_CPU_X86_SSE42", "HW_CPU_X86_SVM", "HW_CPU_X86_AMD_SVM"}


def test_the_guests_cpu_is_asked_of_libvirt_as_a_model_with_differences() -> None:
    asked = guest_cpu.host_model(DOMAINS.format(supported="yes"))
    assert asked is not None
    assert '<arch>x86_64</arch><model fallback="forbid">EPYC</model>' in asked
    assert "la57" in asked and "sha-ni" in asked
    assert guest_cpu.features(asked) == {"la57"}


def test_a_libvirt_that_does_not_know_the_guests_cpu_is_asked_nothing() -> None:
    assert guest_cpu.host_model(DOMAINS.format(supported="no")) is None


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
