"""What an emulator can do to its host, tried from where it stands: in its namespaces, as its user, powerless."""

import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

import attrs

from novakit_hookspecs.servers import GuestPlan, LocalImage


@attrs.frozen
class Emulator:
    """A running QEMU."""

    pid: int

    def says(self, field: str) -> str:
        """Return a line of /proc/PID/status."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(line for line in lines if line.startswith(f"{field}:")).partition(":")[2].strip()

    @property
    def user(self) -> int:
        """The user it runs as, when that is one in every sense."""
        users, groups = set(self.says("Uid").split()), set(self.says("Gid").split())
        assert len(users) == len(groups) == 1, (users, groups)
        return int(users.pop())

    def open_files(self) -> dict[str, int]:
        """Return what it holds open below no pseudo file system, each with how (`os.O_RDONLY`, ...)."""
        found: dict[str, int] = {}
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            name = str(link.readlink())
            if name.startswith("/") and not name.startswith(("/dev/", "/proc/", "/memfd:")):
                [flags] = [
                    line.split()[1]
                    for line in Path(f"/proc/{self.pid}/fdinfo/{link.name}").read_text().splitlines()
                    if line.startswith("flags:")
                ]
                found[name] = max(found.get(name, 0), int(flags, 8) & os.O_ACCMODE)
        return found

    def tries(self, *argv: str | Path, walled: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as its user, within its walls or in the host's own place."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-n", "-i", "-u"] if walled else []
        who = ["setpriv", "--reuid", str(self.user), "--regid", self.says("Gid").split()[0], *self._groups()]
        who += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        return subprocess.run([*enter, *who, *argv], capture_output=True, text=True, timeout=60, check=False)

    def can_read(self, path: Path, *, walled: bool = True) -> bool:
        """Say whether its user can read a byte of a file, or list a directory."""
        read = 'if [ -d "$1" ]; then ls "$1"; else head -c 1 "$1" >/dev/null; fi'
        return self.tries("sh", "-c", read, "sh", path, walled=walled).returncode == 0

    def can_write_in(self, directory: Path) -> bool:
        """Say whether its user can make a file or a link in a directory of the host, or take a name away there."""
        script = (
            'touch "$1/planted" || ln -s /etc/passwd "$1/planted" || for f in "$1"/*; do mv "$f" "$1/x" && exit; done'
        )
        done = self.tries("sh", "-c", script, "sh", directory, walled=False)
        return done.returncode == 0 or (directory / "planted").is_symlink()

    def _groups(self) -> Sequence[str]:
        groups = self.says("Groups").split()
        return ["--groups", ",".join(groups)] if groups else ["--clear-groups"]


def waiting_guest(image: Path) -> GuestPlan:
    """Write an image on which nothing is found to boot, and return a guest on it, which waits."""
    image.write_bytes(bytes(1 << 20))
    image.chmod(0o444)
    local = LocalImage(id=str(uuid.uuid4()), path=str(image), disk_format="raw", virtual_size=1 << 20)
    guest = str(uuid.uuid4())
    return GuestPlan(
        id=guest, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1, swap_mb=8, image=local, config_drive={}
    )


def require_nobody(emulator: Emulator) -> None:
    """Hold an emulator to what both drivers promise: no root, no power, none to be gained, and QEMU's own sandbox."""
    assert emulator.user != 0
    assert {emulator.says(f"Cap{kind}") for kind in ("Prm", "Eff", "Amb")} == {"0" * 16}
    assert emulator.says("NoNewPrivs") == "1"
    assert emulator.says("Seccomp") == "2"
    sandbox = Path(f"/proc/{emulator.pid}/cmdline").read_text().split("\0")
    told = sandbox[sandbox.index("-sandbox") + 1].split(",")
    assert told[0] == "on"
    assert set(told) >= {"obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"}


def emulator_in(run_dir: Path, guest: str) -> Emulator:
    """The QEMU of libvirt's guest in a lab, by its number outside of it; `run_dir` is the lab's /run."""
    inside = (run_dir / f"libvirt/qemu/nk-{guest}.pid").read_text().strip()
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            argv = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if lines["NSpid"].split()[-1] == inside and guest.encode() in argv and lines["Name"].startswith("qemu"):
            return Emulator(int(status.parent.name))
    raise AssertionError(f"no process {inside} of guest {guest}")
