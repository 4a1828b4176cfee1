"""Offers a filter that cannot be built and is on by default, and one that nobody asks for by itself."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.scheduling import FilterSpec


def build(options):
    raise OSError("the rack list is not readable")


class Everywhere:
    """Lets every host through."""

    def passes(self, host, ask):
        return True


@hookimpl
def novakit_filters():
    yield FilterSpec(name="unbuildable", api=1, build=build, default=True)
    yield FilterSpec(name="everywhere", api=1, build=lambda options: Everywhere())
