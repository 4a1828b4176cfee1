"""The disks under the service: how much room they have."""

from novakit.disk.room import MIB, Disk, Room

__all__ = ["MIB", "Disk", "Room"]
