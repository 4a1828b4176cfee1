"""The build host's commands: which are needed, and how one is run."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

NEEDS: Mapping[str, str] = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "cpio": "cpio",
    "depmod": "kmod",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
}
"""Commands the build runs, each with the Debian package that brings it."""

SEARCH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
"""The directories of administrators' commands are not on everybody's path."""


class CannotBuild(Exception):
    """The image cannot be built on this host; the sentence says why and what to do."""


def missing() -> Sequence[str]:
    """List the Debian packages to install before an image can be built here."""
    return sorted({package for command, package in NEEDS.items() if not shutil.which(command, path=SEARCH)})


def run(*argv: str | Path, cwd: Path | None = None, path: str = SEARCH, stdin: bytes | None = None) -> str:
    """Run a command. Returns what it printed. Raises CannotBuild with its complaint when it fails."""
    environment = {**os.environ, "PATH": path, "LC_ALL": "C", "MTOOLS_SKIP_CHECK": "1"}
    process = subprocess.run(argv, cwd=cwd, env=environment, input=stdin or b"", capture_output=True, check=False)
    if process.returncode:
        said = (process.stderr or process.stdout).decode(errors="replace").strip()[-600:]
        raise CannotBuild(f"{' '.join(map(str, argv))[:300]} ended with {process.returncode}: {said}")
    return process.stdout.decode(errors="replace")
