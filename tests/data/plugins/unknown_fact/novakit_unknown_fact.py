"""Reads a host fact that nobody reports."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.scheduling import FilterSpec


@hookimpl
def novakit_filters():
    yield FilterSpec(name="fact", api=1, build=lambda options: None, reads={"phase_of_the_moon"})
