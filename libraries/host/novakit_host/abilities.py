"""What every guest of QEMU can have, whichever driver starts it, as traits of its host."""

from novakit_hookspecs.facets import CONFIG_DRIVES, trait_of_format
from novakit_host.disks import FORMATS

OF_QEMU = frozenset(
    {
        "COMPUTE_NODE",
        "COMPUTE_FIRMWARE_BIOS",
        CONFIG_DRIVES,
        *map(trait_of_format, FORMATS),
        *(f"COMPUTE_STORAGE_BUS_{bus}" for bus in ("VIRTIO", "SCSI")),
        *(f"COMPUTE_NET_VIF_MODEL_{model}" for model in ("VIRTIO", "E1000", "E1000E", "RTL8139")),
    }
)
"""A driver adds what it offers beside these, such as further buses, firmware, and limits that it sets."""
