"""The simulated drivers keep the contract."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs
import pytest

from novakit_hookspecs.accelerators import AcceleratorProvider
from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.networks import NetworkDriver
from novakit_hookspecs.servers import Power
from novakit_hookspecs.testing.accelerators import AcceleratorConformance
from novakit_hookspecs.testing.networks import NetworkConformance
from novakit_hookspecs.testing.virt import VirtConformance
from novakit_hookspecs.virt import VirtDriver
from novakit_simulated.accelerators import SimulatedAccelerators
from novakit_simulated.network import SimulatedNetwork
from novakit_simulated.options import AcceleratorOptions, SimulatedNetworkOptions, VirtOptions
from novakit_simulated.virt import FACETS, SimulatedVirt


class TestSimulatedVirt(VirtConformance):
    facets = FACETS
    renders = frozenset({PciAttachment, MdevAttachment})
    options = VirtOptions()

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[VirtDriver]:
        (tmp_path / "topology.json").write_text('{"pci": [{"address": "0000:3b:00.0", "kind": "a100"}]}')
        options = attrs.evolve(self.options, topology=str(tmp_path / "topology.json"))
        driver = SimulatedVirt(options, HostContext(host="here", state_dir=str(tmp_path)))
        await driver.open()
        yield driver
        await driver.close()

    async def boots(self, driver: VirtDriver, guest: str) -> int:
        assert isinstance(driver, SimulatedVirt)
        return (await driver.console_log(guest, 1 << 20)).count(b"Linux version")

    async def kill_behind(self, driver: VirtDriver, guest: str) -> None:
        assert isinstance(driver, SimulatedVirt)
        driver.happen(guest, Power.CRASHED, "killed")

    async def another(self, driver: VirtDriver) -> VirtDriver:
        assert isinstance(driver, SimulatedVirt)
        await driver.close()
        fresh = SimulatedVirt(driver.options, driver.context)
        await fresh.open()
        return fresh


class TestSlowSimulatedVirt(TestSimulatedVirt):
    options = VirtOptions(create_seconds=0.05, boot_seconds=0.05, shutdown_seconds=0.05)


class TestSimulatedAccelerators(AcceleratorConformance):
    @pytest.fixture
    def provider(self, tmp_path: Path) -> AcceleratorProvider:
        options = AcceleratorOptions(gpus=2, vgpus_per_gpu=4, fpgas=1, nics=2, lost=("0000:10:01.0",))
        return SimulatedAccelerators(options, HostContext(host="here", state_dir=str(tmp_path)))

    async def another(self, provider: AcceleratorProvider) -> AcceleratorProvider:
        assert isinstance(provider, SimulatedAccelerators)
        return SimulatedAccelerators(provider.options, provider.context)


class TestSimulatedNetwork(NetworkConformance):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Callable[[], NetworkDriver]:
        return lambda: SimulatedNetwork(SimulatedNetworkOptions(), HostContext(host="here", state_dir=str(tmp_path)))
