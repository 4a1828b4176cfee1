"""What an operator may set in `[drivers.libvirt]`."""

import attrs
from attrs.validators import ge, gt, in_, le, lt

from novakit_fit.numa_request import BadTopology, cpu_set
from novakit_hookspecs.fields import tuple_field
from novakit_host import guest_users
from novakit_host.pci.rules import PciRule

MOST = 1_000_000
"""How often one thing may be promised: more would overflow what counts them."""


def _cpus(options: object, attribute: "attrs.Attribute[str | None]", value: str | None) -> None:
    try:
        if value is not None:
            cpu_set(value)
    except BadTopology as error:
        raise ValueError(f"{attribute.name} takes a set of CPUs such as 2-15,^8: {error}") from error


@attrs.frozen(kw_only=True)
class LibvirtOptions:
    """Options of the libvirt driver."""

    uri: str = "qemu:///system"
    """Where libvirt listens, as libvirt writes it."""
    acceleration: str = attrs.field(default="auto", validator=in_(("auto", "kvm", "tcg")))
    """`auto` uses KVM when a probe guest really runs on it, else software emulation (TCG)."""
    machine: str = "q35"
    """QEMU machine type of guests whose image does not choose one with `hw_machine_type`."""
    reserved_memory_mb: int = attrs.field(default=512, validator=ge(0))
    """MiB of memory kept for the host itself."""
    reserved_disk_gb: int = attrs.field(default=0, validator=ge(0))
    """GiB of the state directory's file system kept for the host itself."""
    cpu_dedicated_set: str | None = attrs.field(default=None, validator=_cpus)
    """Host CPUs that are given to one guest CPU each, such as 2-15,^8."""
    cpu_shared_set: str | None = attrs.field(default=None, validator=_cpus)
    """Host CPUs that guests share; without it all, or none where there are dedicated ones."""
    cpu_allocation_ratio: float = attrs.field(default=4.0, validator=[gt(0), le(MOST)])
    """How many guest CPUs may be promised for each of the host's."""
    ram_allocation_ratio: float = attrs.field(default=1.0, validator=[gt(0), le(MOST)])
    """How many MiB may be promised for each MiB of the host's memory."""
    disk_allocation_ratio: float = attrs.field(default=1.0, validator=[gt(0), le(MOST)])
    """How many GiB may be promised for each GiB of the state directory's file system."""
    pci: tuple[PciRule, ...] = tuple_field()
    """Which of the host's PCI devices guests may have."""
    first_user: int = attrs.field(default=guest_users.FIRST, validator=[ge(0), lt((1 << 31) - guest_users.COUNT)])
    """The first of 65,536 numeric users that no account has, one for each guest's QEMU; 0 for libvirt's one user.

    Where they cannot be used, guests share libvirt's user, and `novakit doctor` says why.
    """
    vnc: bool = False
    """Give guests a screen, served by VNC on 127.0.0.1."""
    snapshot_within: float = attrs.field(default=86400.0, validator=gt(0))
    """Seconds that the copy of a root disk may take, where `[agent] snapshot_within` does not end it before."""
    workers: int = attrs.field(default=8, validator=gt(0))
    """Threads that wait for libvirt; more calls than that queue up."""

    def __attrs_post_init__(self) -> None:
        dedicated, shared = (cpu_set(said or "") for said in (self.cpu_dedicated_set, self.cpu_shared_set))
        if both := dedicated & shared:
            raise ValueError(f"CPU {min(both)} is in cpu_dedicated_set and in cpu_shared_set; each CPU is in one")
