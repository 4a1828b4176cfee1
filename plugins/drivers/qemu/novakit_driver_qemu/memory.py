"""A guest's memory as a file: written while its CPUs stand still, and read into a QEMU that has not run yet.

The file is there in whole or not at all, and is renamed away before the guest's CPUs run again: memory that is older
than the disk beside it is never read. Whatever is cut short is begun again from what stands then.
"""

import asyncio
import os
from pathlib import Path

from novakit_driver_qemu.qmp import QmpMonitor
from novakit_hookspecs.errors import Refused

LOOK_EVERY = 0.1
"""Seconds between two looks how far QEMU has come with the memory."""
_NAME = "memory"
_UNLIMITED = 1 << 40
"""Bytes each second: nothing runs meanwhile, so nothing has to be left for others."""


async def save(monitor: QmpMonitor, path: Path) -> None:
    """Write the memory of a guest that stands still; raises `Refused` when QEMU cannot, and leaves nothing then."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        await monitor.execute("migrate-set-parameters", **{"max-bandwidth": _UNLIMITED})
        await monitor.hand_over(_NAME, descriptor)
        await monitor.execute("migrate", uri=f"fd:{_NAME}")
        await _completed(monitor, "written")
        await asyncio.to_thread(os.fsync, descriptor)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    await asyncio.to_thread(_rename, fresh, path)


async def load(monitor: QmpMonitor, path: Path) -> None:
    """Read the memory into a QEMU that waits for it, and rename the file away; the guest stands still afterwards."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        await monitor.hand_over(_NAME, descriptor)
        await monitor.execute("migrate-incoming", uri=f"fd:{_NAME}")
        await _completed(monitor, "read")
    finally:
        os.close(descriptor)
    await asyncio.to_thread(_rename, path, path.with_name(path.name + ".old"))


def forget(path: Path) -> None:
    """Remove the memory and what is left of earlier ones; none is fine."""
    for name in (path.name, f"{path.name}.new", f"{path.name}.old"):
        path.with_name(name).unlink(missing_ok=True)


async def _completed(monitor: QmpMonitor, done: str) -> None:
    while (status := (await monitor.execute("query-migrate")).get("status")) != "completed":
        if status in ("failed", "cancelled"):
            raise Refused(f"the guest's memory could not be {done}: QEMU says {status}")
        await asyncio.sleep(LOOK_EVERY)


def _rename(path: Path, to: Path) -> None:
    """Rename so that it holds after a power cut."""
    path.replace(to)
    descriptor = os.open(to.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
