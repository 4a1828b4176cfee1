"""Starts libvirt's daemons where no init system did."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from novakit_driver_libvirt import kvm_device
from novakit_hookspecs.errors import Refused
from novakit_host.acceleration import DEVICE
from novakit_host.commands import SEARCH, run
from novakit_host.sockets import answers

NEEDS: Mapping[str, str] = {
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "genisoimage": "genisoimage",
    "mke2fs": "e2fsprogs",
}
"""Commands the driver needs on its host, each with the Debian package that brings it."""

RUN = Path("/run")
PAGES = Path("/dev/hugepages")
SOCKETS = ("libvirt/libvirt-sock", "libvirt/virtqemud-sock")
START_WITHIN = 15.0
"""Seconds for a daemon to be ready; libvirtd asks each QEMU what it can before it answers, once for each version."""
LOOK_EVERY = 0.05
"""Seconds between two looks whether it is ready."""


def missing() -> Sequence[str]:
    """List the Debian packages to install before guests can run here."""
    return sorted({package for command, package in NEEDS.items() if not shutil.which(command, path=SEARCH)})


def is_running(run_dir: Path = RUN) -> bool:
    """Return whether a libvirt daemon answers on this host's socket."""
    return any(answers(path) for path in sockets(run_dir))


def sockets(run_dir: Path = RUN) -> Sequence[Path]:
    """List where a libvirt daemon of this host listens."""
    return [run_dir / name for name in SOCKETS]


async def start_missing(run_dir: Path = RUN, *, hide_kvm: bool = False) -> Sequence[str]:
    """Start virtlogd and libvirtd when libvirt does not answer. Returns what was started.

    With `hide_kvm` libvirtd gets no /dev/kvm, because QEMU does not work on it.
    Before that, a file system of huge pages is mounted where the kernel has some and nobody did: libvirtd looks for
    one at its start alone.
    """
    if is_running(run_dir):
        return []
    return [*await _mount_pages(), *await _start_daemons(run_dir, hide_kvm)]


async def _mount_pages() -> Sequence[str]:
    if not huge_pages() or pages_mounted():
        return []
    ended = await run(["mount", "-m", "-t", "hugetlbfs", "hugetlbfs", str(PAGES)], within=START_WITHIN)
    return [f"mounted the huge pages at {PAGES}"] if ended.status == 0 else []


def huge_pages(memory: Path = Path("/proc/meminfo")) -> int:
    """Count the huge pages of the default size that the kernel keeps."""
    told = [line.split()[1] for line in memory.read_text().splitlines() if line.startswith("HugePages_Total:")]
    return int(told[0]) if told else 0


def pages_mounted(mounts: Path = Path("/proc/mounts")) -> bool:
    """Return whether a file system of huge pages is mounted."""
    return any(line.split()[2] == "hugetlbfs" for line in mounts.read_text().splitlines())


def cpus_are_limited(mounts: Path = Path("/proc/mounts")) -> bool:
    """Return whether there are control groups for CPUs: without any, libvirt starts guests and drops their weights."""
    for line in mounts.read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return True
        if kind == "cgroup2" and "cpu" in (Path(where) / "cgroup.controllers").read_text().split():
            return True
    return False


async def _start_daemons(run_dir: Path, hide_kvm: bool) -> Sequence[str]:
    if lacking := missing():
        raise Refused(f"guests need programs that are not installed: apt-get install {' '.join(lacking)}")
    hidden = f" without the {DEVICE} that does not work here" if hide_kvm else ""
    if (run_dir / "systemd/system").is_dir():
        if hide_kvm:
            await asyncio.to_thread(kvm_device.hide_from_unit, "libvirtd", run_dir)
            await _start(["systemctl", "daemon-reload"], None)
        await _start(["systemctl", "start", "libvirtd"], run_dir)
        return [f"started libvirtd by systemd{hidden}"]
    said = []
    if not answers(run_dir / "libvirt/virtlogd-sock"):
        await _start(["virtlogd", "-d", "-p", str(run_dir / "virtlogd.pid")], None)
        said.append("started virtlogd, which keeps the consoles' logs")
    argv: Sequence[str] = ["libvirtd", "-d", "-p", str(run_dir / "libvirtd.pid")]
    await _start(kvm_device.without(argv, run_dir) if hide_kvm else argv, run_dir)
    return [*said, f"started libvirtd{hidden}"]


async def _start(argv: Sequence[str], run_dir: Path | None) -> None:
    ended = await run(argv, within=START_WITHIN)
    if ended.status != 0:
        raise Refused(f"{' '.join(argv)} ended with {ended.status}: {ended.said}; start it and try again")
    if run_dir is None:
        return
    for _ in range(int(START_WITHIN / LOOK_EVERY)):
        if is_running(run_dir):
            return
        await asyncio.sleep(LOOK_EVERY)
    raise Refused(f"{argv[0]} started, and its socket below {run_dir}/libvirt does not answer; look into its log")
