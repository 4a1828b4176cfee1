"""The guest's two file trees: what starts it from memory, and the system on its disk."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from novakit_micro_image.commands import CannotBuild, run

PROGRAMS = ("dropbear", "dropbearkey", "qemu-ga")
FIRST_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix")
"""What reaches a disk; ext4 and nvme are part of Debian's cloud kernel."""
MODULES = (
    *FIRST_MODULES,
    *("virtio_net", "virtio_console", "virtio_rng", "virtio_balloon"),
    *("button", "evdev", "acpiphp", "sr_mod", "isofs", "vfat", "nls_ascii", "nls_cp437", "nls_utf8"),
    *("e1000", "e1000e", "8139cp", "8021q", "i6300esb"),
)
FIRST_DIRECTORIES = ("bin", "dev", "proc", "sys", "newroot")
DIRECTORIES = ("bin", "dev", "proc", "sys", "run", "tmp", "root", "srv", "mnt", "var/lib", "var/log", "lib64")
NOT_APPLETS = frozenset({"busybox", "dpkg", "dpkg-deb", "rpm", "rpm2cpio", "init"})
"""Applets that would pretend a package manager, and the name that must stay `/sbin/init`."""

_LIBRARY = re.compile(r"^\s*(?P<name>\S+) => (?P<path>/\S+|not found)", re.MULTILINE)


def first_stage(unpacked: Path, kernel: str, root: Path) -> Path:
    """Lay out the tree that runs from memory until the disk is found."""
    _directories(root, FIRST_DIRECTORIES)
    _busybox(unpacked, root)
    _modules(unpacked, kernel, root, FIRST_MODULES)
    _overlay("initramfs", root)
    return root


def system(unpacked: Path, kernel: str, root: Path) -> Path:
    """Lay out the tree of the disk's file system."""
    _directories(root, DIRECTORIES)
    _busybox(unpacked, root)
    (root / "sbin").mkdir()
    (root / "sbin/init").symlink_to("../bin/busybox")
    for name in PROGRAMS:
        shutil.copy(_find(unpacked, name), root / "bin" / name)
    _libraries(unpacked, root)
    _modules(unpacked, kernel, root, MODULES)
    _overlay("root", root)
    (root / "var/run").symlink_to("../run")
    (root / "root").chmod(0o700)
    (root / "etc/shadow").chmod(0o600)
    (root / "tmp").chmod(0o1777)
    return root


def _directories(root: Path, names: Iterable[str]) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def _busybox(unpacked: Path, root: Path) -> None:
    shutil.copy(_find(unpacked, "busybox"), root / "bin/busybox")
    for applet in run(root / "bin/busybox", "--list").split():
        if applet not in NOT_APPLETS:
            (root / "bin" / applet).symlink_to("busybox")


def _libraries(unpacked: Path, root: Path) -> None:
    """Copy what the programs load, as the packages' own dynamic linker resolves it, never the build host's."""
    linker = _find(unpacked, "ld-linux-x86-64.so.2")
    shutil.copy(linker, root / "lib64/ld-linux-x86-64.so.2")
    places = sorted({str(path.parent) for path in unpacked.rglob("*.so*") if path.parent.name.endswith("-linux-gnu")})
    target = root / "lib/x86_64-linux-gnu"
    target.mkdir(parents=True)
    for program in PROGRAMS:
        argv: list[str | Path] = [
            linker,
            "--inhibit-cache",
            "--library-path",
            ":".join(places),
            "--list",
            root / "bin" / program,
        ]
        for match in _LIBRARY.finditer(run(*argv)):
            name, path = match["name"], match["path"]
            if path == "not found" or not Path(path).is_relative_to(unpacked):
                raise CannotBuild(f"{program} needs {name}, which none of the downloaded packages brings")
            if not name.startswith("/"):
                shutil.copy(path, target / name)


def _modules(unpacked: Path, kernel: str, root: Path, names: Sequence[str]) -> None:
    modules = next(path for path in unpacked.rglob(f"lib/modules/{kernel}") if path.is_dir())
    base = modules.parent.parent.parent
    if not (modules / "modules.dep").exists():
        run("depmod", "-b", base, kernel)
    target = root / "lib/modules" / kernel
    target.mkdir(parents=True)
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(modules / name, target / name)
    for relative in set(_with_dependencies((modules / "modules.dep").read_text(), names)):
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modules / relative, target / relative)
    run("depmod", "-b", root, kernel)


def _with_dependencies(dep: str, names: Sequence[str]) -> Iterator[str]:
    """Pick module files and all they depend on from a modules.dep, whose lines are already transitive."""
    wanted = {name.replace("-", "_") for name in names}
    for line in dep.splitlines():
        file, _, needs = line.partition(":")
        if Path(file).name.split(".")[0].replace("-", "_") in wanted:
            yield file
            yield from needs.split()


def _overlay(name: str, root: Path) -> None:
    """Put our own files over the tree; scripts become executable whatever the package's installer made of them."""
    with as_file(files("novakit_micro_image") / "guest" / name) as ours:
        for path in sorted(ours.rglob("*")):
            if path.is_dir():
                continue
            target = root / path.relative_to(ours)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_bytes()
            target.write_bytes(text)
            target.chmod(0o755 if text.startswith(b"#!") else 0o644)


def _find(unpacked: Path, name: str) -> Path:
    for directory, _, names in os.walk(unpacked):
        path = Path(directory, name)
        if name in names and path.is_file() and _is_program(path):
            return path
    raise CannotBuild(f"none of the downloaded packages brings {name}; their layout has changed")


def _is_program(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
