"""Offers a record of a name that another distribution has."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.accelerators import AcceleratorSpec


@hookimpl
def novakit_accelerators():
    yield AcceleratorSpec(name="simulated", api=1, build=lambda options, context: None)
