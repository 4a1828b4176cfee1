"""Libraries as a service needs them, without what nobody here asks of them; imported before anything that needs them.

structlog takes rich where it finds it, to draw tracebacks in colours on a terminal: the logs of a service are lines of
JSON, and rich takes 50 ms of CPU and 5 MiB of each start.

aiohttp reads the certificates that this machine trusts while it is imported, twice, which takes 40 ms and 2 MiB. Most
services never ask another for anything by HTTPS, so each of its contexts reads them once it is used.
"""

import importlib
import ssl
import sys

_load_default_certs = ssl.SSLContext.load_default_certs


class Late(ssl.SSLContext):
    """A context that knows no certificates of this machine yet, and reads them before anybody sees that."""

    def _knowing(self) -> ssl.SSLContext:
        _load_default_certs(self)
        context: ssl.SSLContext = self
        context.__class__ = ssl.SSLContext
        return context

    def wrap_bio(self, *arguments, **options):  # type: ignore[no-untyped-def]
        return self._knowing().wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments, **options):  # type: ignore[no-untyped-def]
        return self._knowing().wrap_socket(*arguments, **options)

    def get_ca_certs(self, *arguments, **options):  # type: ignore[no-untyped-def]
        return self._knowing().get_ca_certs(*arguments, **options)

    def cert_store_stats(self) -> dict[str, int]:
        return self._knowing().cert_store_stats()


def import_structlog() -> None:
    """Import structlog without rich, unless either is there already."""
    if "rich" in sys.modules or "structlog" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # as if it were not installed, which structlog allows for
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


def import_aiohttp() -> None:
    """Import aiohttp, unless it is there already, and let its contexts read certificates once they are used."""
    if "aiohttp" in sys.modules:
        return
    made: list[ssl.SSLContext] = []

    def note(context: ssl.SSLContext, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH) -> None:
        made.append(context)

    ssl.SSLContext.load_default_certs = note  # type: ignore[method-assign, assignment]
    ssl.SSLContext.set_default_verify_paths = note  # type: ignore[method-assign, assignment]
    try:
        importlib.import_module("aiohttp")
    finally:
        ssl.SSLContext.load_default_certs = _load_default_certs  # type: ignore[method-assign]
        del ssl.SSLContext.set_default_verify_paths
        for context in made:
            context.__class__ = Late


import_structlog()
import_aiohttp()
