"""What SQLite needs: a quick way to its thread, commits that are on the disk, files that shrink."""

from novakit.store.sqlite.dialect import DRIVER, changes, make_incremental, vacuum_some
from novakit.store.sqlite.wal import WriteAheadLog

__all__ = ["DRIVER", "WriteAheadLog", "changes", "make_incremental", "vacuum_some"]
