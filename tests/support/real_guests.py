"""What tests of drivers with real guests share: the guest that the suite boots, and what it prints."""

import json
import uuid

from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_hookspecs.testing.virt import until
from novakit_hookspecs.virt import LogsConsole, VirtDriver

FINISHED = b"Cloud-init v. micro finished"
"""What the micro image prints last."""
BOOT_WITHIN = 120.0
"""Seconds, under software emulation on a machine that does other things, too."""


async def printed(driver: VirtDriver, guest: str, text: bytes, times: int = 1) -> bytes:
    """Wait until a guest has printed a text so many times. Returns all that it has printed."""
    assert isinstance(driver, LogsConsole)

    async def check() -> bytes:
        log = await driver.console_log(guest, 1 << 20)
        return log if log.count(text) >= times else b""

    log: bytes = await until(check, f"the guest prints {text!r}", BOOT_WITHIN)
    return log


def drive_of(guest: str, user_data: bytes = b"") -> dict[str, bytes]:
    """Return the files of a config drive, with which a guest does not wait for a metadata service."""
    meta = json.dumps({"uuid": guest, "hostname": "a-guest.novalocal", "public_keys": {}}).encode()
    return {"openstack/latest/meta_data.json": meta, "openstack/latest/user_data": user_data}


def small(image: LocalImage) -> GuestPlan:
    """Return the plan of a small guest with a config drive."""
    guest = str(uuid.uuid4())
    return GuestPlan(
        id=guest,
        name="a guest",
        hostname="a-guest",
        vcpus=1,
        memory_mb=192,
        root_gb=0,
        image=image,
        config_drive=drive_of(guest),
        owner={"project_id": "a-project"},
    )
