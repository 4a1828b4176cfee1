"""The simulated network driver keeps the contract, and those that take their own for nobody's do not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from novakit_hookspecs.errors import NotFound
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.networks import Abandoned, Topology
from novakit_hookspecs.testing.networks import Build, NetworkConformance
from novakit_hookspecs.testing.topologies import Draft
from novakit_simulated.network import SimulatedNetwork
from novakit_simulated.options import SimulatedNetworkOptions


class TestSimulatedNetwork(NetworkConformance):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Build:
        return lambda: SimulatedNetwork(SimulatedNetworkOptions(), HostContext(host="here", state_dir=str(tmp_path)))


class TakesItsOwn(SimulatedNetwork):
    """Takes for abandoned what it has itself."""

    async def abandoned(self) -> Sequence[Abandoned]:
        return [Abandoned(owner="/lost", things=tuple(await self.holdings()))]


class RemovesAnything(SimulatedNetwork):
    """Removes what it is told to, whosever it is."""

    async def remove_abandoned(self, owner: str) -> None:
        self._apply(Topology(revision=self.revision))
        raise NotFound(owner)


class SaysThatItDid(SimulatedNetwork):
    """Says nothing of what is not there."""

    async def remove_abandoned(self, owner: str) -> None:
        return


@pytest.mark.parametrize("broken", [TakesItsOwn, RemovesAnything, SaysThatItDid])
async def test_a_driver_that_takes_its_own_for_abandoned_does_not_pass(
    broken: type[SimulatedNetwork], tmp_path: Path
) -> None:
    def build() -> SimulatedNetwork:
        return broken(SimulatedNetworkOptions(), HostContext(host="here", state_dir=str(tmp_path)))

    driver = build()
    await driver.open()
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await NetworkConformance().test_nothing_of_its_own_is_abandoned(driver, Draft(), build)
