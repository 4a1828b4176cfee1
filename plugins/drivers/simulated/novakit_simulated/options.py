"""What can be set about simulated hosts."""

import attrs
from attrs.validators import ge, in_, le

from novakit_simulated.faults import HOW


@attrs.frozen(kw_only=True)
class VirtOptions:
    """`[drivers.simulated]`: the size of each host, its timing and its faults."""

    vcpus: int = attrs.field(default=16, validator=ge(0))
    memory_mb: int = attrs.field(default=65536, validator=ge(0))
    disk_gb: int = attrs.field(default=1000, validator=ge(0))
    cpu_allocation_ratio: float = attrs.field(default=4.0, validator=[ge(0.0), le(1_000_000)])
    ram_allocation_ratio: float = attrs.field(default=1.0, validator=[ge(0.0), le(1_000_000)])
    disk_allocation_ratio: float = attrs.field(default=1.0, validator=[ge(0.0), le(1_000_000)])
    traits: tuple[str, ...] = ()
    machine_types: tuple[str, ...] = ("pc", "q35")
    """Machine types that guests may have."""
    topology: str = ""
    """A file with the host's NUMA cells and PCI devices, JSON or TOML; with cells, CPUs and memory are as it says."""
    create_seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    """How long it takes until a new guest starts."""
    boot_seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    """How long a guest takes from its start to its login prompt; until then it does not hear a shutdown."""
    shutdown_seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    """How long a guest takes to shut down when asked."""
    ignores_shutdown: bool = False
    """Guests never shut down when asked; the plug must be pulled."""
    fail_create: float = attrs.field(default=0.0, validator=[ge(0.0), le(1.0)])
    """Chance that a create fails."""
    fail_hosts: tuple[str, ...] = ()
    """Hosts on which every create fails."""
    fail_first: int = attrs.field(default=0, validator=ge(0))
    """How many of the first creates on each host fail."""
    fail_how: str = attrs.field(default="fault", validator=in_(HOW))
    """fault: an error of the host's own, so another host may do; refused: it can never work; busy: try again."""
    hang_create: float = attrs.field(default=0.0, validator=ge(0.0))
    """Seconds for which a create hangs with the guest half built, on `hang_hosts` or everywhere."""
    hang_hosts: tuple[str, ...] = ()
    crash_after: float = attrs.field(default=0.0, validator=ge(0.0))
    """Seconds after its start at which each guest crashes; 0 never."""
    seed: int | None = None
    """Makes the chances the same in every run."""


@attrs.frozen(kw_only=True)
class SimulatedNetworkOptions:
    """`[networks.simulated]`: timing and faults of the simulated wiring."""

    apply_seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    fail_port: float = attrs.field(default=0.0, validator=[ge(0.0), le(1.0)])
    """Chance that a new port cannot be wired; it is tried again at the next change."""
    fail_hosts: tuple[str, ...] = ()
    """Hosts on which no port can be wired."""
    seed: int | None = None


@attrs.frozen(kw_only=True)
class AcceleratorOptions:
    """`[accelerators.simulated]`: which devices each host has; none by default."""

    gpus: int = attrs.field(default=0, validator=[ge(0), le(64)])
    vgpus_per_gpu: int = attrs.field(default=0, validator=[ge(0), le(64)])
    """Cuts each GPU can be sold in instead of whole."""
    fpgas: int = attrs.field(default=0, validator=[ge(0), le(64)])
    nics: int = attrs.field(default=0, validator=[ge(0), le(64)])
    lost: tuple[str, ...] = ()
    """Keys of devices that have fallen off the bus."""
    degraded: tuple[str, ...] = ()
    """Keys of devices that take no new work."""
