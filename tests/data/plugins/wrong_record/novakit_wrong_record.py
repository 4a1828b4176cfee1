"""Yields a dictionary where a record belongs."""

from novakit_hookspecs import hookimpl


@hookimpl
def novakit_filters():
    yield {"name": "wrong"}
