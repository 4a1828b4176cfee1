"""What a guest wrote to its disks and its memory is not found by the next one: real guests on plain QEMU."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from novakit_driver_qemu import QemuDriver, QemuOptions
from novakit_driver_qemu.examination import missing as missing_packages
from novakit_driver_qemu.processes import running
from novakit_hookspecs.hosts import HostContext
from tests.support.remains import require_nothing_left

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_packages()), reason=f"needs {', '.join(missing_packages())}"),
]


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[QemuDriver]:
    driver = QemuDriver(QemuOptions(acceleration="tcg"), HostContext(host="alpha", state_dir=str(tmp_path)))
    await driver.open()
    yield driver
    for guest in await driver.guests():
        await driver.destroy(guest.id)
    await driver.close()


async def test_the_next_guest_finds_nothing_of_the_one_before(driver: QemuDriver, micro: Any, tmp_path: Path) -> None:
    await require_nothing_left(driver, micro.image, lambda guest: running(tmp_path / "instances")[guest][0])
