"""A `novakit serve` whose state directory is on a disk of a few MiB: a tmpfs in a mount namespace of its own.

The namespace ends with the process, and the disk with it; what is done to the disk goes through the process's own view
of the file system.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from tests.support.service import Service


class SmallDisk:
    """A disk that outlives the services that are started on it, each of which sees it as its state directory."""

    def __init__(self, directory: Path, mib: int):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.mib = directory, mib
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        script = f'mount -t tmpfs -o size={self.mib}m tmpfs "$1" && echo mounted && exec sleep infinity'
        command = ["unshare", "--mount", "sh", "-c", script, "sh", str(self.directory)]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None and self._holder.stdout.readline() == "mounted\n"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holder is not None
        self._holder.kill()
        self._holder.wait(10)

    @property
    def path(self) -> Path:
        """The disk as this process reaches it."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{self.directory}")

    def command(self, *command: str) -> list[str]:
        """Make a command run where the disk is mounted."""
        assert self._holder is not None
        return ["nsenter", "--mount", f"--target={self._holder.pid}", f"--wd={Path.cwd()}", "--", *command]

    @property
    def free(self) -> int:
        """Bytes."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def fill(self, leave: int = 0) -> None:
        """Use the disk up but for so many bytes, as another program would."""
        with (self.path / "other").open("ab", buffering=0) as file:
            try:
                while (more := min(1 << 16, self.free - leave)) > 0:
                    file.write(bytes(more))
            except OSError:
                return

    def clear(self) -> None:
        """Give back what `fill` used."""
        (self.path / "other").unlink()


class ServiceOnSmallDisk(Service):
    """A service that runs in the namespace of the disk; `state` is the directory as seen from here."""

    def __init__(self, disk: SmallDisk, *arguments: str):
        super().__init__(disk.path, *arguments)
        self.disk = disk

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "novakit", "serve", "--state", str(self.disk.directory)]
        return self.disk.command(*command, "--listen", f"127.0.0.1:{self.port}", *self.arguments)

    def printed(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="novakit-serve-")) / "serve.out"
