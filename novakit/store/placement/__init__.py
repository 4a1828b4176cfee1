"""Placement's tables and queries, one module per resource; see `tables` for what is kept."""

from novakit.store.placement import tables

__all__ = ["tables"]
