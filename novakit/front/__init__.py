"""What stands before every HTTP server of novakit: who may connect, for how long, and at whose cost."""

from novakit.front.door import Door
from novakit.front.limits import ConnectionOptions

__all__ = ("ConnectionOptions", "Door")
