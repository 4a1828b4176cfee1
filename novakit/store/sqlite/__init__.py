"""What SQLite needs: connections that are kept, a quick way to its thread, commits on the disk, files that shrink."""

from novakit.store.sqlite.connections import Connections, HeldConnection, Hold, prepare
from novakit.store.sqlite.dialect import DRIVER, make_incremental, vacuum_some
from novakit.store.sqlite.wal import WriteAheadLog

__all__ = [
    "DRIVER",
    "Connections",
    "HeldConnection",
    "Hold",
    "WriteAheadLog",
    "make_incremental",
    "prepare",
    "vacuum_some",
]
