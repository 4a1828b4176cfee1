"""The conformance suite of virt drivers: subclass `VirtConformance`, give it your driver, run pytest.

    class TestTinyVm(VirtConformance):
        facets = frozenset({LogsConsole})

        @pytest.fixture
        async def driver(self):
            driver = TinyVm()
            await driver.open()
            yield driver
            await driver.close()

Give `image` as well when the driver boots from one.
Tests of facets that are not declared are skipped by name.
"""

from novakit_hookspecs.testing.virt.devices import HandsDevices
from novakit_hookspecs.testing.virt.facets import KeepsFacets
from novakit_hookspecs.testing.virt.frame import Witness, until, witness
from novakit_hookspecs.testing.virt.lives import GuestsLive

__all__ = ["VirtConformance", "Witness", "until", "witness"]


class VirtConformance(GuestsLive, KeepsFacets, HandsDevices):
    """What a virt driver promises, each promise a test."""
