"""What a guest wrote to its disks and its memory is not found by the next one: real guests on plain QEMU."""

import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from novakit_driver_qemu import QemuDriver, QemuOptions
from novakit_driver_qemu.examination import missing as missing_packages
from novakit_driver_qemu.processes import running
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import LocalImage
from tests.support.remains import Remains, on_disks

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
    size = json.loads(Path(f"{micro.image}.json").read_text())["virtual_size"]
    image = LocalImage(id=str(uuid.uuid4()), path=str(micro.image), disk_format="qcow2", virtual_size=size)
    remains = Remains()
    first, second = remains.leaver(image), remains.looker(image)
    await driver.create(first)
    assert min(await on_disks(driver, first.id)) > 10_000, "the first one finds what it wrote"
    assert remains.in_memory(running(tmp_path / "instances")[first.id][0]) > 10_000
    await driver.destroy(first.id)
    await driver.create(second)
    assert await on_disks(driver, second.id) == [0, 0, 0]
    assert remains.in_memory(running(tmp_path / "instances")[second.id][0]) == 0
