"""What a plugin is told about the machine it runs on, and what it says is there."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_names, mapping_field, tuple_field
from novakit_hookspecs.numa import NumaCell
from novakit_hookspecs.pci import parse_address

PCI_CLASS = "CUSTOM_PCI_"
_OTHER = re.compile(r"[^A-Z0-9_]")


def pci_name(*parts: str) -> str:
    """Return the name under which the ledger knows devices: the resource class of a kind is CUSTOM_PCI_<KIND>.

    Parts are joined by an underscore and written in upper case, every other character as an underscore.
    """
    return f"{PCI_CLASS}{_OTHER.sub('_', '_'.join(parts).upper())}"[:200]


@attrs.frozen(kw_only=True)
class HostContext:
    """Where a node-side plugin runs; handed to its `build`."""

    host: str
    """The compute host's name, unique in the cloud."""
    state_dir: str
    """An existing directory that is the plugin's own; everything it must remember lives there."""


@attrs.frozen(kw_only=True)
class Inventory:
    """How much of one resource class a provider holds, in the class's own unit (MEMORY_MB: MiB, DISK_GB: GiB)."""

    total: int
    """How much there is."""
    reserved: int = 0
    """How much of that the host keeps for itself."""
    allocation_ratio: float = 1.0
    """How often each unit may be promised: 4.0 lets 4 virtual CPUs share one."""
    min_unit: int = 1
    """The least that one server takes."""
    max_unit: int | None = None
    """The most that one server takes; None means `total`."""
    step_size: int = 1
    """What every amount must be a multiple of."""


@attrs.frozen(kw_only=True)
class PciDevice:
    """A PCI function of the host that may be handed to a guest whole; the ledger holds it as a provider of its own."""

    address: str = attrs.field()
    """domain:bus:slot.function, such as 0000:3b:00.0; unique on the host and the same after a reboot."""
    kind: str
    """What flavors call it: the alias of `pci_passthrough:alias`, the type of `gpu:type`."""
    vendor_id: str = ""
    """Four hexadecimal digits: 10de."""
    product_id: str = ""
    """Four hexadecimal digits: 20b5."""
    numa_cell: int | None = None
    """The NUMA cell that it is near; None where the host does not know."""
    is_withheld: bool = False
    """Whether nobody can be given it now though no guest has it, as something else on the host holds it."""

    @address.validator
    def _address_is_one(self, _: "attrs.Attribute[str]", value: str) -> None:
        parse_address(value)

    @property
    def resource_class(self) -> str:
        """Return the resource class of which the ledger counts it as one unit."""
        return pci_name(self.kind)

    @property
    def traits(self) -> frozenset[str]:
        """Return the trait of its model, such as CUSTOM_PCI_10DE_20B5, where vendor and product are known."""
        known = self.vendor_id and self.product_id
        return frozenset({pci_name(self.vendor_id, self.product_id)} if known else ())


@attrs.frozen(kw_only=True)
class PciPool:
    """Devices of one kind on one NUMA cell of a host, as the scheduler counts them."""

    kind: str
    """The kind of the devices."""
    numa_cell: int | None = None
    """The NUMA cell that they are near; None where the host does not know."""
    free: int
    """How many can be given to a guest now."""


@attrs.frozen(kw_only=True)
class CpuTopology:
    """How a host's CPUs are arranged."""

    sockets: int = 1
    """Sockets of the host."""
    cores: int = 1
    """Cores of each socket."""
    threads: int = 1
    """Threads of each core."""


@attrs.frozen(kw_only=True)
class CpuInfo:
    """What a host's CPUs are, as clients are shown it; empty texts where it is not known."""

    arch: str = ""
    """As the kernel names it: x86_64."""
    model: str = ""
    """The model, as the driver names it."""
    vendor: str = ""
    """Who made it: GenuineIntel, AMD."""
    features: tuple[str, ...] = tuple_field()
    """What they can do, as the kernel spells it, in order."""
    topology: CpuTopology = CpuTopology()
    """How they are arranged."""


@attrs.frozen(kw_only=True)
class HostFacts:
    """What a virt driver reports about its host; it becomes the compute node's resource provider."""

    hypervisor_type: str
    """As clients show it: QEMU, KVM, simulated."""
    hypervisor_version: int
    """major * 1,000,000 + minor * 1,000 + release, as libvirt counts."""
    hypervisor_hostname: str
    """The hypervisor's own name of the machine, as clients show it."""
    inventory: Mapping[str, Inventory] = mapping_field()
    """By resource class: VCPU, MEMORY_MB, DISK_GB, or a CUSTOM_ one."""
    traits: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Names of traits: standard ones of `os-traits`, or CUSTOM_ ones."""
    cpu_info: CpuInfo = CpuInfo()
    """What the host's CPUs are."""
    supported_instances: tuple[tuple[str, str, str], ...] = tuple_field()
    """Triples of architecture, hypervisor type and vm mode: ("x86_64", "qemu", "hvm")."""
    machine_types: tuple[str, ...] = tuple_field()
    """Names of machine types that guests may have, aliases among them; empty where the driver judges each guest."""
    acceleration: str = "none"
    """kvm, tcg or none: what was probed, not what a device file promises."""
    why: str = ""
    """One sentence on how the acceleration was decided."""
    metrics: Mapping[str, float] = mapping_field()
    """Measurements by name, such as power_usage_watts, beside those of the agent, over which they win.

    Filters and weighers read each as `metric_<name>`, dots being underscores; 64 at most, and only finite numbers.
    """
    numa: tuple[NumaCell, ...] = tuple_field()
    """The host's NUMA cells; empty where they are not known, and then no guest that asks for cells comes here."""
    pci: tuple[PciDevice, ...] = tuple_field()
    """Devices that guests may be given, including those that guests have now; which are taken, Placement knows."""
    host_ip: str | None = None
    """The host's own address, for the hint build_near_host_ip."""


@attrs.frozen(kw_only=True)
class Holding:
    """One thing that a plugin keeps on the host for a server, port, network, router or claim; for `novakit audit`."""

    kind: str
    """domain, disk, file, tap, namespace, process, flow, lease, bridge-port, device."""
    name: str
    """Its name on the host, for people."""
    owner: str
    """The id of the server, port, network, router or claim it belongs to."""


@runtime_checkable
class PreparesHost(Protocol):
    """Facet of a virt or network driver: can start the daemons it needs on a host whose init system did not."""

    async def prepare_host(self) -> Sequence[str]:
        """Start what is missing and may be started, before `open`. Returns a sentence for each thing that was started.

        What already runs is left alone, so a second call returns an empty list.
        Raises Refused with a remedy when something is not installed or does not start.
        """
