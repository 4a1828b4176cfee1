"""How the roles talk: named targets that are called, topics that are published; plain data only.

Who calls is part of every message and cannot be chosen by the caller: the bus knows it from the connection.
"""

from novakit.bus.interface import Bus, BusError, Handler, Message, NotPermitted, RemoteError, Reply, Unreachable
from novakit.bus.memory import MemoryBus

__all__ = ["Bus", "BusError", "Handler", "MemoryBus", "Message", "NotPermitted", "RemoteError", "Reply", "Unreachable"]
