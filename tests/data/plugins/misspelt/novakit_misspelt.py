"""Its hook's name has a typing error."""

from novakit_hookspecs import hookimpl


@hookimpl
def novakit_filtres():
    return []
