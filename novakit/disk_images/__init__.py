"""Disk images as files that somebody else made: whether they are what they are said to be, and safe to open."""

from novakit.disk_images.inspection import CONTAINERS, FORMATS, Inspection, inspect_file

__all__ = ["CONTAINERS", "FORMATS", "Inspection", "inspect_file"]
