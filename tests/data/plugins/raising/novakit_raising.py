"""Its hook raises."""

from novakit_hookspecs import hookimpl


@hookimpl
def novakit_filters():
    raise RuntimeError("the licence server is away")
