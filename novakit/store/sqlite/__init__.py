"""What SQLite needs: connections that are kept, a quick way to its thread, commits on the disk, files that shrink."""

from novakit.store.sqlite.connections import HeldConnection, Hold
from novakit.store.sqlite.database import SqliteDatabase, open_database
from novakit.store.sqlite.wal import WriteAheadLog

__all__ = ["HeldConnection", "Hold", "SqliteDatabase", "WriteAheadLog", "open_database"]
