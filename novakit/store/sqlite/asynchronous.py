"""SQLAlchemy's asyncio engine, without the ORM that its package brings in.

`sqlalchemy.ext.asyncio` imports its sessions, and with them all of `sqlalchemy.orm`, of which nothing is used here:
90 ms of CPU and 7 MiB in every process that has a database. So its modules are imported here before the package itself
is run, which happens as soon as anybody, such as a plugin, asks it for anything else.
"""

import importlib.util
import sys

_PACKAGE = "sqlalchemy.ext.asyncio"
_PARTS = ("exc", "base", "result", "engine")
"""The engine, and what it imports of its package itself."""


def _import_engine() -> None:
    """Import the engine alone, unless the whole package is there."""
    spec = None if _PACKAGE in sys.modules else importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader
    sys.modules[_PACKAGE] = package
    for part in _PARTS:
        importlib.import_module(f"{_PACKAGE}.{part}")

    def rest(name: str) -> object:
        if name.startswith("__"):  # asked of every package by what lists or prints modules
            raise AttributeError(name)
        vars(package).pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, name)

    vars(package)["__getattr__"] = rest


_import_engine()
from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
