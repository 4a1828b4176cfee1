"""An accelerator provider that keeps the contract."""

from novakit_hookspecs import hookimpl
from novakit_hookspecs.accelerators import AcceleratorSpec


class Nothing:
    """A host without devices."""

    async def discover(self):
        return []

    async def prepare(self, claim):
        return []

    async def release(self, claim):
        return None


@hookimpl
def novakit_accelerators():
    yield AcceleratorSpec(name="vendor", api=1, build=lambda options, context: Nothing())
