"""Extra specs and image properties of other clouds that nothing here carries out: refused, never ignored."""

import re
from collections.abc import Mapping

from novakit import errors

_OFF = frozenset({"0", "f", "false", "off", "n", "no"})
_NOTHING: frozenset[str] = frozenset()

EXTRA_SPECS: Mapping[str, tuple[str, frozenset[str]]] = {
    r"hw:cpu_realtime": ("realtime CPUs", _OFF),
    r"hw:cpu_realtime_mask": ("realtime CPUs", _NOTHING),
    r"hw:locked_memory": ("locked memory", _OFF),
    r"hw:maxphysaddr_(mode|bits)": ("a choice of physical address bits", _NOTHING),
    r"hw:mem_encryption": ("memory encryption", _OFF),
    r"hw:mem_encryption_model": ("memory encryption", _NOTHING),
    r"hw:numa_mempolicy": ("memory policies other than strict", frozenset({"strict"})),
    r"hw:pmem": ("persistent memory", _NOTHING),
    r"hw:redirected_usb_ports": ("USB redirection", frozenset({"0"})),
    r"hw:serial_port_count": ("more or fewer serial ports than one", frozenset({"1"})),
    r"hw:sound_model": ("sound", _NOTHING),
    r"hw:tpm_(model|version|secret_security)": ("a TPM", _NOTHING),
    r"hw:usb_model": ("USB", frozenset({"none"})),
    r"hw:vif_multiqueue_enabled": ("multiqueue NICs", _OFF),
    r"hw:viommu_model": ("an IOMMU for guests", _NOTHING),
    r"hw:virtio_packed_ring": ("packed virtio rings", _OFF),
    r"hw:ephemeral_encryption": ("encryption of ephemeral disks", _OFF),
    r"hw:ephemeral_encryption_format": ("encryption of ephemeral disks", _NOTHING),
    r"quota:(cpu|memory|disk_io|vif)_(limit|reservation|shares_level|shares_share)": (
        "limits of the VMware driver",
        _NOTHING,
    ),
    r"quota:vif_(inbound|outbound)_(average|peak|burst)": ("bandwidth limits of NICs", _NOTHING),
    r"(member_of|in_tree|same_subtree|root_required)[a-zA-Z0-9_-]*": (
        "request groups restricted to an aggregate or tree",
        _NOTHING,
    ),
    r"(resources|trait)\d+": ("an amount or trait without a class or trait name after a colon", _NOTHING),
    r"(vmware|powervm|zvm|hyperv):.+": ("the extra specs of another hypervisor", _NOTHING),
}
"""By pattern of the name: what it would give, and the values that ask for what every guest has anyway."""

IMAGE_PROPERTIES: Mapping[str, tuple[str, frozenset[str]]] = {
    "hw_rng_model": ("another source of random numbers than virtio's", frozenset({"virtio"})),
    "hw_mem_encryption": ("memory encryption", _OFF),
    "hw_ephemeral_encryption": ("encryption of ephemeral disks", _OFF),
}
"""The same for image properties that protect a guest's data and that no filter looks at; others are ignored."""


def check_extra_specs(specs: Mapping[str, str]) -> None:
    """Raise BadRequest for an extra spec that would have no effect."""
    for name, value in specs.items():
        for pattern, (what, harmless) in EXTRA_SPECS.items():
            if re.fullmatch(pattern, name) and value.strip().lower() not in harmless:
                raise errors.BadRequest(
                    f"Extra spec '{name[:80]}' is not supported yet ({what}); remove it from the flavor."
                )


def check_image(properties: Mapping[str, str]) -> None:
    """Raise BadRequest for an image property that promises a protection which no guest would have."""
    for name, (what, harmless) in IMAGE_PROPERTIES.items():
        if name in properties and str(properties[name]).strip().lower() not in harmless:
            raise errors.BadRequest(f"Image property '{name}' is not supported yet ({what}); remove it from the image.")
