"""Memory that was freed goes back to the system, so that one large answer does not stay for the service's life."""

import subprocess
import sys

MEASURE = """
import sys
from novakit import allocator

if sys.argv[1] == "kept":
    assert allocator.keep_little()

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

before = resident()
for size in (20, 15):
    blocks = [b"x" * (size << 20) for _ in range(3)]
    last = b"y" * (100 << 10)
    del blocks
print(resident() - before)
"""


def _kept(settings: str) -> int:
    ended = subprocess.run([sys.executable, "-c", MEASURE, settings], capture_output=True, text=True, check=True)
    return int(ended.stdout)


def test_freed_blocks_are_given_back() -> None:
    """By glibc's defaults most of the 45 MiB of the second turn stays: its blocks came from the heap by then."""
    assert _kept("kept") < 4 << 20 < 16 << 20 < _kept("default")
