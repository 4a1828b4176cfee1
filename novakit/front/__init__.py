"""What stands before every HTTP server of novakit: who may connect, for how long, and at whose cost."""

from novakit.config.connections import ConnectionOptions
from novakit.front.door import Door

__all__ = ("ConnectionOptions", "Door")
