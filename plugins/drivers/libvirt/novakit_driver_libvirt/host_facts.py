"""What the host has to offer, from /proc, the file system and libvirt's capabilities."""

from collections.abc import Collection, Mapping, Sequence

import attrs
from lxml import etree

from novakit_driver_libvirt import host_cells
from novakit_driver_libvirt.firmware import NONE, Firmware
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_hookspecs.facets import LIMITS_CPUS, LIMITS_DISKS
from novakit_hookspecs.hosts import CpuInfo, CpuTopology, HostFacts, Inventory, PciDevice
from novakit_hookspecs.numa import NumaCell
from novakit_host.abilities import OF_QEMU
from novakit_host.acceleration import Acceleration
from novakit_host.cpu_traits import cpu_traits
from novakit_host.machine import HostMachine

ABILITIES = OF_QEMU | {"COMPUTE_STORAGE_BUS_SATA", LIMITS_CPUS, LIMITS_DISKS}


def facts(
    *,
    host: str,
    machine: HostMachine,
    options: LibvirtOptions,
    verdict: Acceleration,
    capabilities: str,
    version: int,
    pages: bool = True,
    firmware: Firmware = NONE,
    cpu_features: Collection[str] = (),
    pci: tuple[PciDevice, ...] = (),
) -> HostFacts:
    """Put the record together.

    `pages` says whether a file system of huge pages is mounted, for guests to use, `firmware` what their UEFI can be,
    and `cpu_features` what their CPUs can do.
    """
    kvm = verdict.acceleration == "kvm"
    tree = etree.fromstring(capabilities)
    numa = host_cells.cells(tree, options, pages=pages)
    return HostFacts(
        hypervisor_type="KVM" if kvm else "QEMU",
        hypervisor_version=version,
        hypervisor_hostname=host,
        inventory=_inventory(machine, options, numa),
        numa=numa,
        pci=pci,
        traits=ABILITIES | cpu_traits(cpu_features) | _firmware_traits(firmware),
        cpu_info=_cpu_info(tree, machine),
        supported_instances=_supported(tree, kvm=kvm),
        machine_types=_machine_types(tree),
        acceleration=verdict.acceleration,
        why=verdict.why,
    )


def _firmware_traits(firmware: Firmware) -> frozenset[str]:
    had = {"COMPUTE_FIRMWARE_UEFI": firmware.plain, "COMPUTE_SECURITY_UEFI_SECURE_BOOT": firmware.secure}
    return frozenset(trait for trait, code in had.items() if code)


def _inventory(machine: HostMachine, options: LibvirtOptions, numa: Sequence[NumaCell]) -> Mapping[str, Inventory]:
    shared = sum(len(cell.cpus) for cell in numa) if numa else machine.cpus
    return machine.inventory(options, shared=shared, dedicated=sum(len(cell.dedicated) for cell in numa))


def _cpu_info(tree: etree._Element, machine: HostMachine) -> CpuInfo:
    topology = tree.find("host/cpu/topology")
    sizes: Mapping[str, str] = {} if topology is None else {str(key): str(of) for key, of in topology.attrib.items()}
    arranged = CpuTopology(**{key: int(sizes.get(key, 1)) for key in ("sockets", "cores", "threads")})
    model, vendor = tree.findtext("host/cpu/model", ""), tree.findtext("host/cpu/vendor", "")
    told = attrs.evolve(machine, model=model, vendor=vendor)
    return told.cpu_info(arch=tree.findtext("host/cpu/arch", ""), topology=arranged)


def _supported(tree: etree._Element, *, kvm: bool) -> tuple[tuple[str, str, str], ...]:
    found = {
        (str(arch.get("name")), str(domain.get("type")), guest.findtext("os_type", "hvm"))
        for guest in tree.iterfind("guest")
        for arch in guest.iterfind("arch")
        for domain in arch.iterfind("domain")
    }
    return tuple(sorted(each for each in found if kvm or each[1] != "kvm"))


def _machine_types(tree: etree._Element) -> tuple[str, ...]:
    """Return the machines that guests of this architecture may have, by all names."""
    found = set()
    for machine in tree.iterfind("guest/arch[@name='x86_64']/machine"):
        found.update({machine.text or "", str(machine.get("canonical", ""))})
    return tuple(sorted(found - {""}))
