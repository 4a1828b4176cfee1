"""What the stock drivers can do they declare, as their suites skip the tests of a facet that is not declared."""

import pytest

from novakit_driver_libvirt.driver import FACETS as LIBVIRT
from novakit_driver_libvirt.driver import LibvirtDriver
from novakit_driver_qemu.driver import FACETS as QEMU
from novakit_driver_qemu.driver import QemuDriver
from novakit_hookspecs import hosts, virt
from novakit_simulated.virt import FACETS as SIMULATED
from novakit_simulated.virt import SimulatedVirt

FACETS = frozenset(
    kind
    for module in (hosts, virt)
    for name, kind in vars(module).items()
    if getattr(kind, "_is_runtime_protocol", False) and name not in ("VirtDriver", "NetworkDriver")
)


@pytest.mark.parametrize(
    ("driver", "declared"), [(SimulatedVirt, SIMULATED), (LibvirtDriver, LIBVIRT), (QemuDriver, QEMU)]
)
def test_a_facet_that_a_driver_has_is_declared(driver: type, declared: frozenset[type]) -> None:
    assert virt.Pauses in FACETS
    assert {each for each in FACETS if issubclass(driver, each)} == declared & FACETS
