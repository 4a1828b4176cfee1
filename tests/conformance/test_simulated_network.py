"""The simulated network driver keeps the contract."""

from pathlib import Path

import pytest

from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.testing.networks import Build, NetworkConformance
from novakit_simulated.network import SimulatedNetwork
from novakit_simulated.options import SimulatedNetworkOptions


class TestSimulatedNetwork(NetworkConformance):
    @pytest.fixture
    def build(self, tmp_path: Path) -> Build:
        return lambda: SimulatedNetwork(SimulatedNetworkOptions(), HostContext(host="here", state_dir=str(tmp_path)))
