"""What a request implies of its host is known before anything begins, and every driver reports what it can give."""

from collections.abc import Mapping

import pytest

from novakit.request_spec.implied import MODELS, implied
from novakit.scheduler.pipeline.ask import complete
from novakit_driver_libvirt import domain_xml
from novakit_driver_libvirt import host_facts as libvirt_facts
from novakit_driver_qemu import host_facts as qemu_facts
from novakit_driver_qemu import machine
from novakit_hookspecs.scheduling import Ask, ImageAsk
from novakit_simulated.virt import ABILITIES as SIMULATED

SECURE_BOOT = "COMPUTE_SECURITY_UEFI_SECURE_BOOT"


@pytest.mark.parametrize(
    ("specs", "properties", "traits"),
    [
        ({}, {}, set()),
        ({}, {"os_distro": "debian"}, set()),
        ({}, {"hw_firmware_type": "uefi"}, {"COMPUTE_FIRMWARE_UEFI"}),
        ({}, {"hw_firmware_type": " BIOS "}, {"COMPUTE_FIRMWARE_BIOS"}),
        ({}, {"os_secure_boot": "required"}, {SECURE_BOOT}),
        ({}, {"os_secure_boot": "optional"}, set()),
        ({"os:secure_boot": "required"}, {"hw_firmware_type": "uefi"}, {SECURE_BOOT}),
        ({"os:secure_boot": "disabled"}, {}, set()),
        ({}, {"hw_tpm_version": "2.0"}, {"COMPUTE_SECURITY_TPM_2_0"}),
        ({}, {"hw_viommu_model": "virtio"}, {"COMPUTE_VIOMMU_MODEL_VIRTIO"}),
        ({}, {"hw_disk_bus": "scsi"}, {"COMPUTE_STORAGE_BUS_SCSI"}),
        ({}, {"hw_vif_model": "e1000e"}, {"COMPUTE_NET_VIF_MODEL_E1000E"}),
        ({}, {"hw_vif_model": "ne2k-pci'/><x"}, {"COMPUTE_NET_VIF_MODEL_NE2K_PCI_X"}),
        ({"quota:cpu_shares": "512"}, {}, {"CUSTOM_COMPUTE_LIMITS_CPUS"}),
        ({"quota:disk_total_iops_sec": "400", "quota:cpu_quota": "0"}, {}, {"CUSTOM_COMPUTE_LIMITS_DISKS"}),
        ({"pci_passthrough:alias": "a100:1"}, {}, {"CUSTOM_COMPUTE_RENDERS_PCI_ATTACHMENT"}),
    ],
)
def test_a_decision_requires_what_flavor_and_image_imply(
    specs: Mapping[str, str], properties: Mapping[str, str], traits: set[str]
) -> None:
    assert set(implied(specs, properties)) == traits
    asked = complete(
        Ask(
            server_id="s",
            project_id="p",
            user_id="u",
            vcpus=1,
            memory_mb=64,
            root_gb=1,
            extra_specs=specs,
            required_traits={"CUSTOM_OWN"},
            image=ImageAsk(properties=properties),
        )
    )
    assert asked.required_traits == {"CUSTOM_OWN", *traits}
    assert set(asked.implied) == traits and all(asked.implied.values())


@pytest.mark.parametrize(
    ("reported", "offered"),
    [
        (libvirt_facts.ABILITIES, {"hw_disk_bus": domain_xml.DISK_BUSES, "hw_vif_model": domain_xml.VIF_MODELS}),
        (qemu_facts.ABILITIES, {"hw_disk_bus": machine.DISK_BUSES, "hw_vif_model": machine.VIF_MODELS}),
    ],
    ids=["libvirt", "qemu"],
)
def test_a_driver_reports_every_model_that_it_offers_and_no_other(
    reported: frozenset[str], offered: Mapping[str, list[str]]
) -> None:
    for name, begin in MODELS.items():
        said = {trait for trait in reported if trait.startswith(begin)}
        assert said == {trait for each in offered[name] for trait in implied({}, {name: each})}


def test_simulated_hosts_take_what_real_ones_do() -> None:
    models = tuple(MODELS.values())
    real = {trait for trait in libvirt_facts.ABILITIES | qemu_facts.ABILITIES if trait.startswith(models)}
    assert real <= SIMULATED
    assert {trait for trait in libvirt_facts.ABILITIES if "LIMITS" in trait} <= SIMULATED


def test_the_plain_driver_that_sets_no_limits_does_not_say_that_it_does() -> None:
    assert not [trait for trait in qemu_facts.ABILITIES if "LIMITS" in trait]
