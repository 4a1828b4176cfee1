"""The machine as the kernel tells of it, and what of it a host offers; a record, so that a test can make another."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

from novakit_hookspecs.hosts import CpuInfo, CpuTopology, Inventory

GIB = 1 << 30


class Offers(Protocol):
    """The options of a driver that say how much of the machine guests may have."""

    @property
    def cpu_allocation_ratio(self) -> float: ...
    @property
    def ram_allocation_ratio(self) -> float: ...
    @property
    def disk_allocation_ratio(self) -> float: ...
    @property
    def reserved_memory_mb(self) -> int: ...
    @property
    def reserved_disk_gb(self) -> int: ...


@attrs.frozen(kw_only=True)
class HostMachine:
    """What is read from the host itself."""

    cpus: int
    memory_mb: int
    disk_gb: int
    """GiB of the file system that holds the guests' disks."""
    flags: frozenset[str]
    """What its CPUs can do, as the kernel spells it."""
    model: str = ""
    vendor: str = ""

    @classmethod
    def read(cls, state_dir: Path) -> "HostMachine":
        """Read /proc and the file system of the state directory."""
        disk = os.statvfs(state_dir)
        cpu = _fields(Path("/proc/cpuinfo").read_text().partition("\n\n")[0])
        memory = _fields(Path("/proc/meminfo").read_text())["MemTotal"]
        return cls(
            cpus=os.cpu_count() or 1,
            memory_mb=int(memory.split()[0]) // 1024,
            disk_gb=disk.f_blocks * disk.f_frsize // GIB,
            flags=frozenset(cpu.get("flags", "").split()),
            model=cpu.get("model name", ""),
            vendor=cpu.get("vendor_id", ""),
        )

    def cpu_info(self, *, arch: str, topology: CpuTopology) -> CpuInfo:
        """Return what clients are shown of its CPUs; how they are arranged each hypervisor sees for itself."""
        return CpuInfo(
            arch=arch, model=self.model, vendor=self.vendor, features=tuple(sorted(self.flags)), topology=topology
        )

    def inventory(self, options: Offers, *, shared: int | None = None, dedicated: int = 0) -> Mapping[str, Inventory]:
        """Return what the host offers; `shared` and `dedicated` are numbers of its CPUs, by default all are shared."""
        floating = self.cpus if shared is None else shared
        cpus = {
            "VCPU": Inventory(total=floating, allocation_ratio=options.cpu_allocation_ratio),
            "PCPU": Inventory(total=dedicated),
        }
        return {
            **{name: stock for name, stock in cpus.items() if stock.total},
            "MEMORY_MB": Inventory(
                total=self.memory_mb,
                reserved=min(options.reserved_memory_mb, self.memory_mb),
                allocation_ratio=options.ram_allocation_ratio,
            ),
            "DISK_GB": Inventory(
                total=self.disk_gb,
                reserved=min(options.reserved_disk_gb, self.disk_gb),
                allocation_ratio=options.disk_allocation_ratio,
            ),
        }


def _fields(text: str) -> Mapping[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
