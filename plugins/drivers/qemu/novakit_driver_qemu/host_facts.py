"""What the host has to offer, from /proc and the file system."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.hosts import HostContext, HostFacts, Inventory
from novakit_host.acceleration import Acceleration
from novakit_host.cpu_traits import cpu_traits
from novakit_host.pci_survey import survey

GIB = 1 << 30
ABILITIES = frozenset(
    {
        "COMPUTE_NODE",
        "COMPUTE_FIRMWARE_BIOS",
        "COMPUTE_IMAGE_TYPE_QCOW2",
        "COMPUTE_IMAGE_TYPE_RAW",
        "COMPUTE_STORAGE_BUS_VIRTIO",
        "COMPUTE_STORAGE_BUS_SCSI",
        "COMPUTE_NET_VIF_MODEL_VIRTIO",
        "COMPUTE_NET_VIF_MODEL_E1000",
        "COMPUTE_NET_VIF_MODEL_E1000E",
        "COMPUTE_NET_VIF_MODEL_RTL8139",
    }
)


def read(
    context: HostContext,
    options: QemuOptions,
    verdict: Acceleration,
    version: int,
    root: Path,
    cpu_features: Collection[str],
) -> HostFacts:
    """Read the host and put its record together; `cpu_features` is what the CPUs of guests can do."""
    kvm = verdict.acceleration == "kvm"
    cpu = _first_cpu(Path("/proc/cpuinfo").read_text())
    topology = {"sockets": 1, "cores": os.cpu_count() or 1, "threads": 1}
    return HostFacts(
        hypervisor_type="KVM" if kvm else "QEMU",
        hypervisor_version=version,
        hypervisor_hostname=context.host,
        inventory=_inventory(Path(context.state_dir), options),
        traits=ABILITIES | cpu_traits(cpu_features),
        cpu_info={
            "arch": "x86_64",
            "model": cpu.get("model name", ""),
            "vendor": cpu.get("vendor_id", ""),
            "features": sorted(cpu.get("flags", "").split()),
            "topology": topology,
        },
        supported_instances=tuple(("x86_64", kind, "hvm") for kind in (("kvm", "qemu") if kvm else ("qemu",))),
        machine_types=("q35",),
        pci=survey(options.pci, root, bound_only=True).devices,
        acceleration=verdict.acceleration,
        why=verdict.why,
    )


def version_of(said: str) -> int:
    """Read what `--version` printed, as major * 1,000,000 + minor * 1,000 + release; 0 when it cannot be read."""
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", said)
    return (
        sum(int(part) * unit for part, unit in zip(match.groups(), (1_000_000, 1_000, 1), strict=True)) if match else 0
    )


def _inventory(state_dir: Path, options: QemuOptions) -> Mapping[str, Inventory]:
    disk = os.statvfs(state_dir)
    disk_gb = disk.f_blocks * disk.f_frsize // GIB
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    return {
        "VCPU": Inventory(total=os.cpu_count() or 1, allocation_ratio=options.cpu_allocation_ratio),
        "MEMORY_MB": Inventory(
            total=memory_mb,
            reserved=min(options.reserved_memory_mb, memory_mb),
            allocation_ratio=options.ram_allocation_ratio,
        ),
        "DISK_GB": Inventory(
            total=disk_gb,
            reserved=min(options.reserved_disk_gb, disk_gb),
            allocation_ratio=options.disk_allocation_ratio,
        ),
    }


def _first_cpu(cpuinfo: str) -> Mapping[str, str]:
    lines = cpuinfo.partition("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
