"""Declares a facet that its object does not have."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.accelerators import AcceleratorSpec, Watches


class Deaf:
    """Has the methods of a provider and does not watch."""

    async def discover(self):
        return []

    async def prepare(self, claim):
        return []

    async def release(self, claim):
        return None


@hookimpl
def novakit_accelerators():
    yield AcceleratorSpec(name="hollow", api=1, build=lambda options, context: Deaf(), facets={Watches})
