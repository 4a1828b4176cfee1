"""The Debian packages the image is made of: found, downloaded once, unpacked without being installed."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs

from novakit_micro_image.commands import CannotBuild, run

KERNEL = "linux-image-cloud-amd64"
GUEST = ("busybox-static", "dropbear-bin", "qemu-guest-agent")
"""What runs in the guest; the libraries they need are found by their dependencies."""
TOOLS = ("mtools", "syslinux", "syslinux-common", "shim-signed", "grub-efi-amd64-signed")
"""What makes the disk bootable; run or copied from where they are unpacked."""

_DEPENDENCY = re.compile(r"^[ |]*(?:Pre)?Depends: ([a-z0-9][a-z0-9.+-]*)$", re.MULTILINE)
_URI = re.compile(r"^'[^']+' (?P<file>[^/\s]+\.deb) (?P<size>\d+) ", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Packages:
    """The package files of one build, in the cache."""

    kernel: str
    """The kernel's release, as `uname -r` will print it."""
    guest: tuple[Path, ...]
    tools: tuple[Path, ...]

    def names(self) -> Sequence[str]:
        """List the file names, which hold the versions."""
        return sorted(path.name for path in (*self.guest, *self.tools))


def fetch(cache: Path, say: Callable[[str], None]) -> Packages:
    """Download what the cache lacks of the current versions."""
    image = _kernel_package()
    guest = [image, *GUEST, *_libraries(GUEST)]
    wanted = _files([*guest, *TOOLS])
    absent = [name for name, (file, size) in wanted.items() if not _is_there(cache / file, size)]
    if absent:
        say(f"downloading {len(absent)} Debian packages to {cache}")
        run("apt-get", "download", "-q", *absent, cwd=cache)
    paths = {name: cache / file for name, (file, _) in wanted.items()}
    return Packages(
        kernel=image.removeprefix("linux-image-"),
        guest=tuple(paths[name] for name in guest),
        tools=tuple(paths[name] for name in TOOLS),
    )


def unpack(files: Iterable[Path], into: Path) -> Path:
    """Unpack package files over one another; nothing of them is run."""
    into.mkdir()
    for file in files:
        run("dpkg-deb", "-x", file, into)
    return into


def _kernel_package() -> str:
    found = _depends(KERNEL)
    images = [name for name in found if name.startswith("linux-image-")]
    if not images:
        raise CannotBuild(
            f"apt knows no package {KERNEL}; run `apt-get update` with Debian's main archive in the sources"
        )
    return images[0]


def _libraries(names: Iterable[str]) -> Sequence[str]:
    """Follow dependencies as long as they are libraries: what else a package wants is for an installed system."""
    known: set[str] = set()
    edge = set(names)
    while edge:
        found = {name for name in _depends(*sorted(edge)) if name.startswith(("lib", "zlib"))}
        edge = found - known
        known |= found
    return sorted(known)


def _depends(*names: str) -> Sequence[str]:
    return _DEPENDENCY.findall(run("apt-cache", "depends", "--important", *names))


def _files(names: Sequence[str]) -> dict[str, tuple[str, int]]:
    printed = run("apt-get", "download", "--print-uris", *names)
    found = {match["file"].split("_")[0]: (match["file"], int(match["size"])) for match in _URI.finditer(printed)}
    if lacking := [name for name in names if name not in found]:
        raise CannotBuild(f"apt offers no download of {', '.join(lacking)}; run `apt-get update` and try again")
    return found


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
