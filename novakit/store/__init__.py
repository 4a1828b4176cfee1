"""The only place with SQL: one module per aggregate, all on one `Store`."""

from novakit.store.engine import Session, Store
from novakit.store.schema import UTC, metadata

__all__ = ["UTC", "Session", "Store", "metadata"]
