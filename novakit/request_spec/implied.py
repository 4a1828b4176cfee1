"""Abilities of a host that flavor, image and config drive imply: traits that it must have, whatever filters are on.

A driver refuses what it cannot build, when the server has long been placed. What is listed here is known before: hosts
without the trait are not chosen, and the owner is told which one was lacking.
"""

import re
from collections.abc import Iterator, Mapping

from novakit_fit.device_request import devices
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.facets import CONFIG_DRIVES, LIMITS_CPUS, LIMITS_DISKS, trait_of_attachment, trait_of_format

UEFI, SECURE_BOOT = "COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_UEFI_SECURE_BOOT"
WORDS: Mapping[str, Mapping[str, str]] = {
    "hw_firmware_type": {"uefi": UEFI, "bios": "COMPUTE_FIRMWARE_BIOS"},
    "os_secure_boot": {"required": SECURE_BOOT},
    "hw_tpm_version": {"2.0": "COMPUTE_SECURITY_TPM_2_0", "1.2": "COMPUTE_SECURITY_TPM_1_2"},
    "hw_viommu_model": {
        "intel": "COMPUTE_VIOMMU_MODEL_INTEL",
        "smmuv3": "COMPUTE_VIOMMU_MODEL_SMMUV3",
        "virtio": "COMPUTE_VIOMMU_MODEL_VIRTIO",
    },
}
"""By image property and value: the trait. Other values are refused with the request, or mean nothing to a host."""
MODELS: Mapping[str, str] = {"hw_disk_bus": "COMPUTE_STORAGE_BUS_", "hw_vif_model": "COMPUTE_NET_VIF_MODEL_"}
"""By image property: how the traits begin that end with the value, so that no host has that of a model without one."""
LIMITS: Mapping[str, str] = {"quota:cpu_": LIMITS_CPUS, "quota:disk_": LIMITS_DISKS}
"""By how an extra spec begins: the trait of hosts that can set such limits; 0 is none."""


def implied(
    specs: Mapping[str, str], properties: Mapping[str, str], disk_format: str = "", *, config_drive: bool = False
) -> dict[str, str]:
    """Return the traits without which no host can give what is asked for, each with the words that ask for it.

    `disk_format` is the image's, empty where nobody knows it.
    """
    found = dict((*_by_specs(specs, properties), *_by_properties(properties)))
    if disk_format:
        found[trait_of_format(disk_format)] = f"disk_format {disk_format}"
    if config_drive:
        found[CONFIG_DRIVES] = "config_drive true"
    if SECURE_BOOT in found:
        # Firmware that boots only what is signed is UEFI, and another is not needed.
        found.pop(UEFI, None)
    return found


def _by_properties(properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in properties.items():
        word = value.strip().lower()
        if name in WORDS and word in WORDS[name]:
            yield WORDS[name][word], f"{name} {word}"
        elif name in MODELS and word:
            yield MODELS[name] + re.sub(r"[^A-Z0-9]+", "_", word.upper())[:200], f"{name} {word[:80]}"


def _by_specs(specs: Mapping[str, str], properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if specs.get("os:secure_boot", "").strip().lower() == "required":
        yield SECURE_BOOT, "os:secure_boot required"
    for name, value in specs.items():
        for begin, trait in LIMITS.items():
            if name.startswith(begin) and value.strip() not in ("", "0"):
                yield trait, f"{name} {value}"
    try:
        wanted = devices(specs, properties)
    except ValueError:
        return  # refused with the request; the filters say what is wrong
    if wanted:
        yield trait_of_attachment(PciAttachment), "devices of the host"
