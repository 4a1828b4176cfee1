"""What a guest wrote to its disks and its memory is not found by the next one: real guests by libvirt."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions
from novakit_hookspecs.hosts import HostContext
from tests.support.confinement import emulator_in
from tests.support.remains import require_nothing_left

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(libvirt=True, openvswitch=False) as lab:
        yield lab


@pytest.fixture
async def driver(lab: Lab, tmp_path: Path) -> AsyncIterator[LibvirtDriver]:
    uri = f"qemu:///system?socket={lab.run_dir}/libvirt/libvirt-sock"
    options = LibvirtOptions(uri=uri, acceleration="tcg")
    driver = LibvirtDriver(options, HostContext(host="alpha", state_dir=str(tmp_path)))
    await driver.open()
    yield driver
    for guest in await driver.guests():
        await driver.destroy(guest.id)
    await driver.close()


async def test_the_next_guest_finds_nothing_of_the_one_before(driver: LibvirtDriver, micro: Any, lab: Lab) -> None:
    await require_nothing_left(driver, micro.image, lambda guest: emulator_in(lab.run_dir, guest).pid)
