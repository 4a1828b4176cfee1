"""Images: what guests boot from, kept as files and inspected before anybody uses them."""

from novakit.image.records import DEACTIVATED, Image, ImageFile
from novakit.image.service import Images

__all__ = ["DEACTIVATED", "Image", "ImageFile", "Images"]
