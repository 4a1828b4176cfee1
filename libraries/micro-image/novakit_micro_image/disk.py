"""The disk: a partition table, a FAT partition that BIOS and UEFI boot from, and the system's ext4."""

import gzip
import os
import struct
from pathlib import Path

import attrs

from novakit_micro_image.commands import SEARCH, CannotBuild, run

MIB = 1 << 20
SECTORS_PER_MIB = MIB // 512
BOOT_MIB = 40
"""Room for a kernel, an initrd and the boot loader."""
SYSTEM_MIB = 160
"""Room for the guest's files, with some to spare."""
COMMAND_LINE = (
    "console=tty0 console=ttyS0,115200 root=LABEL=micro-root quiet loglevel=4 panic=10"
    " mitigations=off no_timer_check random.trust_cpu=on"
)
SYSLINUX = (
    f"default micro\nprompt 0\ntimeout 0\nlabel micro\n  linux /vmlinuz\n  initrd /initrd.gz\n  append {COMMAND_LINE}\n"
)
GRUB = f"linux /vmlinuz {COMMAND_LINE}\ninitrd /initrd.gz\nboot\n"


@attrs.frozen
class Partition:
    """Where a partition lies on the disk."""

    kind: int
    """The type byte of the partition table."""
    start_mib: int
    size_mib: int
    active: bool = False

    @property
    def offset(self) -> int:
        """Bytes from the start of the disk."""
        return self.start_mib * MIB

    def entry(self) -> bytes:
        """Return the 16 bytes of the partition table, with cylinder numbers that say: look at the sectors."""
        beyond = b"\xfe\xff\xff"
        sectors = struct.pack("<II", self.start_mib * SECTORS_PER_MIB, self.size_mib * SECTORS_PER_MIB)
        return bytes([0x80 if self.active else 0]) + beyond + bytes([self.kind]) + beyond + sectors


BOOT = Partition(0xEF, 1, BOOT_MIB, active=True)
SYSTEM = Partition(0x83, 1 + BOOT_MIB, SYSTEM_MIB)


def boot_sector(code: bytes) -> bytes:
    """Return the disk's first sector around the boot code."""
    table = BOOT.entry() + SYSTEM.entry() + bytes(32)
    return code[:440].ljust(440, b"\0") + b"nkmi\0\0" + table + b"\x55\xaa"


def initramfs(tree: Path, out: Path) -> Path:
    """Pack a tree into the archive a kernel unpacks into memory; everything in it belongs to root."""
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*"))).encode()
    archive = out.with_suffix(".cpio")
    run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", "-F", archive, cwd=tree, stdin=names)
    out.write_bytes(gzip.compress(archive.read_bytes(), 6, mtime=0))
    return out


def write(raw: Path, *, kernel: Path, initrd: Path, system: Path, tools: Path) -> Path:
    """Write the whole disk into one sparse file; nothing is mounted, so no loop device and no privilege is needed."""
    with raw.open("wb") as disk:
        disk.write(boot_sector(_tool(tools, "mbr/mbr.bin").read_bytes()))
        disk.truncate((SYSTEM.start_mib + SYSTEM_MIB + 1) * MIB)
    _boot_partition(raw, kernel, initrd, tools)
    # The file system takes owners from the tree: in a user namespace the builder's own files are root's.
    as_root = () if os.geteuid() == 0 else ("unshare", "--map-root-user")
    options = f"offset={SYSTEM.offset},root_owner=0:0"
    flags = ("-q", "-F", "-t", "ext4", "-E", options, "-L", "micro-root", "-d", system)
    run(*as_root, "mke2fs", *flags, raw, f"{SYSTEM_MIB}M")
    return raw


def compress(raw: Path, out: Path) -> Path:
    """Turn the disk into a compressed qcow2."""
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", raw, out)
    return out


def _boot_partition(raw: Path, kernel: Path, initrd: Path, tools: Path) -> None:
    path = os.pathsep.join((str(tools / "usr/bin"), str(tools / "usr/sbin"), SEARCH))
    drive = f"{raw}@@{BOOT.offset}"
    size, hidden = str(BOOT_MIB * SECTORS_PER_MIB), str(BOOT.start_mib * SECTORS_PER_MIB)
    shape = ("-T", size, "-h", "16", "-s", "63", "-H", hidden, "-v", "MICROBOOT")
    run("mformat", "-i", drive, *shape, "::", path=path)
    run("mmd", "-i", drive, "::EFI", "::EFI/BOOT", "::EFI/debian", path=path)
    # Each is signed for the next: shim by the key that firmware knows, GRUB and the kernel by the one that shim knows.
    files = {
        "vmlinuz": kernel,
        "initrd.gz": initrd,
        "EFI/BOOT/BOOTX64.EFI": _tool(tools, "shim/shimx64.efi.signed"),
        "EFI/BOOT/grubx64.efi": _tool(tools, "x86_64-efi-signed/grubx64.efi.signed"),
    }
    texts = {"syslinux.cfg": SYSLINUX, "EFI/debian/grub.cfg": GRUB}
    for name, file in files.items():
        run("mcopy", "-i", drive, file, f"::{name}", path=path)
    for name, text in texts.items():
        run("mcopy", "-i", drive, "-", f"::{name}", path=path, stdin=text.encode())
    run("syslinux", "--offset", str(BOOT.offset), "--install", raw, path=path)


def _tool(tools: Path, end: str) -> Path:
    for path in tools.rglob(Path(end).name):
        if path.as_posix().endswith(end):
            return path
    raise CannotBuild(f"none of the downloaded packages brings {end}; their layout has changed")
