"""Imports structlog without rich; to be imported before anything that imports structlog.

structlog takes rich where it finds it, to draw tracebacks in colours on a terminal: the logs of a service are lines of
JSON, and rich takes 50 ms of CPU and 5 MiB of each start.
"""

import importlib
import sys


def import_structlog() -> None:
    """Import structlog without rich, unless either is there already."""
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # as if it were not installed, which structlog allows for
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


import_structlog()
