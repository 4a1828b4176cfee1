"""What a disk holds after a power cut at any answer of a service, from what `power_cut.c` recorded of it.

The worst disk that is allowed: nothing survives that no fsync was asked for, neither content nor a name.
"""

import subprocess
from pathlib import Path

import attrs

SOURCE = Path(__file__).with_suffix(".c")


@attrs.frozen
class Recorder:
    """A library that is preloaded into a service, and where it writes."""

    library: Path
    root: Path
    log: Path

    @classmethod
    def build(cls, scratch: Path, root: Path) -> "Recorder":
        """Compile the library; what happens below `root` is recorded."""
        log = scratch / "recorded"
        log.mkdir(parents=True)
        library = scratch / "power_cut.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
        return cls(library, root.resolve(), log)

    def environment(self) -> dict[str, str]:
        """Give the environment of the service that is to be recorded."""
        return {"LD_PRELOAD": str(self.library), "POWER_CUT_ROOT": str(self.root), "POWER_CUT_LOG": str(self.log)}

    def disk_at(self, request_id: str, into: Path) -> Path:
        """Write below `into` what the disk held at the moment at which the answer to a request began to leave."""
        content: dict[str, int] = {}
        for line in (self.log / "log").read_text().splitlines():
            kind, one, other = line.split()
            if kind != "answer":
                content[one] = max(content.get(one, 0), int(other))
            elif other == request_id:
                into.mkdir(parents=True)
                self._restore(str(self.root.stat().st_ino), content, into)
                return into
        raise AssertionError(f"no answer to {request_id} was recorded")

    def _restore(self, directory: str, content: dict[str, int], into: Path) -> None:
        if directory not in content:
            return
        for line in (self.log / str(content[directory])).read_text().splitlines():
            inode, is_directory, name = line.split(" ", 2)
            if is_directory == "1":
                (into / name).mkdir()
                self._restore(inode, content, into / name)
            else:
                kept = (self.log / str(content[inode])).read_bytes() if inode in content else b""
                (into / name).write_bytes(kept)
