"""What the host has to offer, from /proc and the file system."""

import re
from collections.abc import Collection
from pathlib import Path

from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.hosts import CpuTopology, HostContext, HostFacts
from novakit_host.abilities import OF_QEMU
from novakit_host.acceleration import Acceleration
from novakit_host.cpu_traits import cpu_traits
from novakit_host.machine import HostMachine
from novakit_host.pci.survey import survey

ABILITIES = OF_QEMU


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
    machine = HostMachine.read(Path(context.state_dir))
    return HostFacts(
        hypervisor_type="KVM" if kvm else "QEMU",
        hypervisor_version=version,
        hypervisor_hostname=context.host,
        inventory=machine.inventory(options),
        traits=ABILITIES | cpu_traits(cpu_features),
        cpu_info=machine.cpu_info(arch="x86_64", topology=CpuTopology(cores=machine.cpus)),
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
