"""The disks under the service: how much room they have."""

from novakit.disk.room import MIB, Disk, Room, means_full

__all__ = ["MIB", "Disk", "Room", "means_full"]
