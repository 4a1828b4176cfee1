"""What SQLite needs: connections that are kept, a quick way to its thread, commits on the disk, files that shrink."""

from novakit.store.sqlite.connections import Connections, HeldConnection, prepare
from novakit.store.sqlite.dialect import DRIVER, make_incremental, vacuum_some
from novakit.store.sqlite.wal import WriteAheadLog

__all__ = ["DRIVER", "Connections", "HeldConnection", "WriteAheadLog", "make_incremental", "prepare", "vacuum_some"]
