"""What an operator may set in `[drivers.qemu]`."""

import attrs
from attrs.validators import ge, gt, in_, le, lt

from novakit_hookspecs.fields import tuple_field
from novakit_host import guest_users
from novakit_host.pci.rules import PciRule

FOREIGN = (1 << 31) - 1
"""Users above are read as negative numbers by some programs."""
MOST = 1_000_000
"""How often one thing may be promised: more would overflow what counts them."""


@attrs.frozen(kw_only=True)
class QemuOptions:
    """Options of the plain QEMU driver."""

    acceleration: str = attrs.field(default="auto", validator=in_(("auto", "kvm", "tcg")))
    """`auto` uses KVM when a probe guest really runs on it, else software emulation (TCG)."""
    reserved_memory_mb: int = attrs.field(default=512, validator=ge(0))
    """MiB of memory kept for the host itself."""
    reserved_disk_gb: int = attrs.field(default=0, validator=ge(0))
    """GiB of the state directory's file system kept for the host itself."""
    cpu_allocation_ratio: float = attrs.field(default=4.0, validator=[gt(0), le(MOST)])
    """How many guest CPUs may be promised for each of the host's."""
    ram_allocation_ratio: float = attrs.field(default=1.0, validator=[gt(0), le(MOST)])
    """How many MiB may be promised for each MiB of the host's memory."""
    disk_allocation_ratio: float = attrs.field(default=1.0, validator=[gt(0), le(MOST)])
    """How many GiB may be promised for each GiB of the state directory's file system."""
    first_user: int = attrs.field(default=guest_users.FIRST, validator=[gt(0), lt(FOREIGN - guest_users.COUNT)])
    """The first of 65,536 numeric users that no account has; each guest's QEMU runs as one of its own."""
    pci: tuple[PciRule, ...] = tuple_field()
    """Which of the host's PCI devices guests may have; each must be bound to vfio-pci."""
