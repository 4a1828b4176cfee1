"""How the roles talk: named targets that are called, topics that are published; plain data only.

Who calls is part of every message and cannot be chosen by the caller: the bus knows it from the connection.
"""

from novakit.bus.contract import Answer, Contract, Encoded, Targets, ask_each, call, client, serve, time_left
from novakit.bus.interface import (
    BadAnswer,
    BadCall,
    Bus,
    BusError,
    Message,
    MessageHandler,
    NotPermitted,
    NotTaken,
    RemoteBusy,
    RemoteError,
    RemoteNotFound,
    RemoteRefused,
    Reply,
    Unreachable,
)
from novakit.bus.memory import MemoryBus
from novakit.bus.repeats import READS, kept, settles

__all__ = [
    "READS",
    "Answer",
    "BadAnswer",
    "BadCall",
    "Bus",
    "BusError",
    "Contract",
    "Encoded",
    "MemoryBus",
    "Message",
    "MessageHandler",
    "NotPermitted",
    "NotTaken",
    "RemoteBusy",
    "RemoteError",
    "RemoteNotFound",
    "RemoteRefused",
    "Reply",
    "Targets",
    "Unreachable",
    "ask_each",
    "call",
    "client",
    "kept",
    "serve",
    "settles",
    "time_left",
]
