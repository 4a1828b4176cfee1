"""Which of the host's commands the driver needs."""

import shutil
from collections.abc import Mapping, Sequence

from novakit_host.acceleration import QEMU
from novakit_host.commands import SEARCH

NEEDS: Mapping[str, str] = {
    QEMU: "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
    "mkswap": "util-linux",
    "fallocate": "util-linux",
}
"""Commands the driver needs on its host, each with the Debian package that brings it."""


def missing() -> Sequence[str]:
    """List the Debian packages to install before guests can run here."""
    return sorted({package for command, package in NEEDS.items() if not shutil.which(command, path=SEARCH)})
