"""Keeps a /dev/kvm that does not work from libvirtd, and finds out whether a running libvirtd has it.

libvirtd remembers what a QEMU can do, but not while it may open /dev/kvm and QEMU does not get KVM from it.
Then it runs QEMU anew for each domain that is defined or started, which takes minutes where QEMU aborts on the device.
A libvirtd that finds no usable /dev/kvm asks once.
"""

import contextlib
import os
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from novakit_host.acceleration import DEVICE

NAMES = frozenset({"libvirtd", "virtqemud"})
STAND_IN = "novakit-no-kvm"
DROP_IN = "systemd/system/{unit}.service.d/novakit-no-kvm.conf"
# A file that cannot be written to is one that even root is told to have no access to.
# libvirtd makes each guest a /dev of its own and hands it this file by a mount: its mounts must be shared with guests.
_HIDE = 'mount --make-rshared / && mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && shift 2 && exec "$@"'


def without(argv: Sequence[str], run_dir: Path, device: Path = DEVICE) -> Sequence[str]:
    """Return the command that runs `argv` where an empty file that nobody may write hides the device.

    Mounts that are made later on the host still reach the program.
    """
    own_mounts = ("unshare", "--mount", "--propagation", "slave")
    return [*own_mounts, "sh", "-c", _HIDE, "sh", _empty(run_dir), str(device), *argv]


def hide_from_unit(unit: str, run_dir: Path, device: Path = DEVICE) -> Path:
    """Tell systemd, until the next boot, to run the unit without the device; return the file that says so."""
    drop_in = run_dir / DROP_IN.format(unit=unit)
    drop_in.parent.mkdir(parents=True, exist_ok=True)
    drop_in.write_text(f"[Service]\nBindReadOnlyPaths={_empty(run_dir)}:{device}\n")
    return drop_in


def seen_by_libvirt(sockets: Sequence[Path], device: Path = DEVICE, proc: Path = Path("/proc")) -> int | None:
    """Return the process id of a running libvirt daemon that may open the device; None when there is none."""
    return next((pid for pid, mode in _views(sockets, device, proc) if stat.S_ISCHR(mode)), None)


def is_hidden(sockets: Sequence[Path], device: Path = DEVICE, proc: Path = Path("/proc")) -> bool:
    """Return whether the running libvirt daemon was started by `without` or `hide_from_unit`."""
    return any(stat.S_ISREG(mode) for _, mode in _views(sockets, device, proc))


def _views(sockets: Sequence[Path], device: Path, proc: Path) -> Iterator[tuple[int, int]]:
    """Yield process id and the mode of what each daemon has in the device's place, where we may know it."""
    for pid in _daemons(sockets, proc):
        with contextlib.suppress(OSError):
            yield pid, (proc / str(pid) / "root" / device.relative_to("/")).stat().st_mode


def _daemons(sockets: Sequence[Path], proc: Path) -> list[int]:
    """List the daemons behind the sockets; where systemd holds a socket, all daemons of that name."""
    found = [pid for path in sockets if (pid := _listener(path)) is not None]
    if any(_name(proc, pid) in NAMES for pid in found):
        return [pid for pid in found if _name(proc, pid) in NAMES]
    if not found:
        return []
    return [int(each.name) for each in proc.iterdir() if each.name.isdecimal() and _name(proc, int(each.name)) in NAMES]


def _listener(path: Path) -> int | None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except OSError:
            return None
        said = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", said)[0])


def _name(proc: Path, pid: int) -> str:
    try:
        return (proc / str(pid) / "comm").read_text().strip()
    except OSError:
        return ""


def _empty(run_dir: Path) -> str:
    path = run_dir / STAND_IN
    os.close(os.open(path, os.O_CREAT | os.O_NOFOLLOW | os.O_RDONLY, 0o444))
    return str(path)
