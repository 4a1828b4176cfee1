"""What the CPUs of guests can do, asked of QEMU itself."""

import asyncio
import json
from collections.abc import Collection

from novakit_host.acceleration import QEMU

WITHIN = 10.0
"""Seconds for a QEMU that starts no guest; it needs a tenth of one."""


def model(acceleration: str) -> str:
    """Name the CPU that guests are given: every feature that this host can offer."""
    return "host" if acceleration == "kvm" else "max"


async def features(acceleration: str, qemu: str = QEMU) -> Collection[str]:
    """Name the features of that CPU; empty when QEMU does not say."""
    argv = ["-accel", acceleration, "-machine", "none", "-no-user-config", "-nodefaults", "-display", "none", "-S"]
    asked = [
        {"execute": "qmp_capabilities"},
        {"execute": "query-cpu-model-expansion", "arguments": {"type": "full", "model": {"name": model(acceleration)}}},
        {"execute": "quit"},
    ]
    process = await asyncio.create_subprocess_exec(
        *(qemu, *argv, "-qmp", "stdio"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(WITHIN):
            printed, _ = await process.communicate("\n".join(map(json.dumps, asked)).encode())
    except TimeoutError:
        return frozenset()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return read(printed)


def read(printed: bytes) -> Collection[str]:
    """Find the expanded model in what QEMU printed, a JSON object a line, and name what is true of it."""
    for line in printed.splitlines():
        try:
            answer = json.loads(line).get("return")
        except ValueError:
            continue  # QEMU ended in the middle of it
        if isinstance(answer, dict) and "model" in answer:
            return frozenset(name for name, value in answer["model"].get("props", {}).items() if value is True)
    return frozenset()
