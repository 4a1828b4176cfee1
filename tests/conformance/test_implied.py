"""What a request implies of its host is known before anything begins, and every driver reports what it can give."""

from collections.abc import Mapping

import os_traits
import pytest

from novakit import disk_images
from novakit.request_spec.implied import MODELS, implied
from novakit.scheduler.pipeline.ask import complete
from novakit_driver_libvirt import domain_xml
from novakit_driver_libvirt import host_facts as libvirt_facts
from novakit_driver_qemu import host_facts as qemu_facts
from novakit_driver_qemu import machine
from novakit_hookspecs.facets import CONFIG_DRIVES, IMAGE_FORMATS, trait_of_format, traits_of
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
def test_a_decision_requires_what_flavor_and_properties_imply(
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


@pytest.mark.parametrize("disk_format", IMAGE_FORMATS)
def test_a_decision_requires_the_format_of_the_image_and_a_config_drive(disk_format: str) -> None:
    ask = Ask(server_id="s", image=ImageAsk(disk_format=disk_format), config_drive=True)
    trait = trait_of_format(disk_format)
    assert complete(ask).implied == {trait: f"disk_format {disk_format}", CONFIG_DRIVES: "config_drive true"}
    assert complete(ask).required_traits == {trait, CONFIG_DRIVES}
    assert trait.startswith("CUSTOM_") or trait in os_traits.get_traits("COMPUTE_")
    assert not complete(Ask(server_id="s", image=ImageAsk())).required_traits


def test_the_formats_of_images_are_those_of_the_image_service() -> None:
    assert set(IMAGE_FORMATS) == set(disk_images.FORMATS)


@pytest.mark.parametrize("abilities", [libvirt_facts.ABILITIES, qemu_facts.ABILITIES], ids=["libvirt", "qemu"])
def test_a_real_driver_reports_the_formats_that_it_boots_and_its_config_drives(abilities: frozenset[str]) -> None:
    begin = "COMPUTE_IMAGE_TYPE_"
    assert {trait for trait in abilities if begin in trait} == {f"{begin}QCOW2", f"{begin}RAW"}
    assert CONFIG_DRIVES in abilities


def test_a_host_whose_driver_wants_no_images_takes_servers_of_every_format() -> None:
    every = {trait_of_format(each) for each in IMAGE_FORMATS}
    assert every <= traits_of(object(), (), (), wants_images=False)
    assert not every & traits_of(object(), (), ())
    assert CONFIG_DRIVES in SIMULATED


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
