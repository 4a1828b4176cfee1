"""A wall clock for processes under test, which a test sets while they run."""

import struct
import subprocess
from pathlib import Path

import attrs

SOURCE = Path(__file__).with_suffix(".c")


@attrs.frozen
class WallClock:
    """A library that is preloaded into a process, and the file that says by how many seconds its clock is wrong."""

    library: Path
    file: Path

    @classmethod
    def build(cls, scratch: Path) -> "WallClock":
        """Compile the library; the clock is right at first."""
        library = scratch / "clock.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        clock = cls(library, scratch / "clock")
        clock.set(0)
        return clock

    def set(self, seconds: float) -> None:
        """Let the clock be ahead by so many seconds, at once in every process that has it."""
        with self.file.open("r+b" if self.file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("d", seconds))

    def environment(self) -> dict[str, str]:
        """Give the environment of a process that is to have this clock."""
        return {"LD_PRELOAD": str(self.library), "CLOCK_FILE": str(self.file)}
