"""Speaks an API number of the past."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.accelerators import AcceleratorSpec


@hookimpl
def novakit_accelerators():
    yield AcceleratorSpec(name="old", api=0, build=lambda options, context: None)
