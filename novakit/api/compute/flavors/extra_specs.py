"""What the known extra specs of a flavor may be set to; from 2.86 on a misspelt one is refused.

One that would be without effect is refused in every version.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

import os_resource_classes
import os_traits

from novakit import errors
from novakit.api.records import FALSE, TRUE
from novakit.api.service import Version
from novakit.compute.flavors import unsupported
from novakit.resource_classes import canonical

Check = Callable[[str], bool]


def _boolean(value: str) -> bool:
    return value.strip().lower() in TRUE | FALSE


def _one_of(*words: str) -> Check:
    return lambda value: value in words


def _matches(pattern: str) -> Check:
    return lambda value: re.fullmatch(pattern, value) is not None


def _integer(minimum: int | None = None, maximum: int | None = None) -> Check:
    def check(value: str) -> bool:
        if not re.fullmatch(r"-?\d{1,18}", value):
            return False
        return (minimum is None or int(value) >= minimum) and (maximum is None or int(value) <= maximum)

    return check


def _any(value: str) -> bool:
    return True


_CPUS = _matches(r"\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*")

_FLAGS = (
    "cpu_realtime",
    "hide_hypervisor_id",
    "locked_memory",
    "boot_menu",
    "vif_multiqueue_enabled",
    "mem_encryption",
    "pmu",
    "virtio_packed_ring",
    "ephemeral_encryption",
)
_COUNTS = (
    "numa_nodes",
    "cpu_sockets",
    "cpu_cores",
    "cpu_threads",
    "cpu_max_sockets",
    "cpu_max_cores",
    "cpu_max_threads",
)

EXACT: Mapping[str, Check] = {
    **{f"hw:{name}": _boolean for name in _FLAGS},
    **{f"hw:{name}": _integer(1) for name in _COUNTS},
    "hw:cpu_realtime_mask": _CPUS,
    "hw:cpu_policy": _one_of("dedicated", "shared", "mixed"),
    "hw:cpu_thread_policy": _one_of("prefer", "isolate", "require"),
    "hw:emulator_threads_policy": _one_of("isolate", "share"),
    "hw:cpu_dedicated_mask": _CPUS,
    "hw:mem_page_size": _matches(r"(large|small|any|\d+([kKMGT]i?)?(b|bit|B)?)"),
    "hw:pci_numa_affinity_policy": _one_of("required", "preferred", "legacy", "socket"),
    "hw:mem_encryption_model": _one_of("amd-sev", "amd-sev-es", "amd-sev-snp"),
    "hw:pmem": _matches(r"[a-zA-Z0-9_]+(,[a-zA-Z0-9_]+)*,?"),
    "hw:serial_port_count": _integer(0),
    "hw:tpm_model": _one_of("tpm-tis", "tpm-crb"),
    "hw:tpm_version": _one_of("1.2", "2.0"),
    "hw:tpm_secret_security": _one_of("user", "host", "deployment"),
    "hw:watchdog_action": _one_of("none", "pause", "poweroff", "reset", "disabled"),
    "hw:viommu_model": _one_of("intel", "smmuv3", "virtio", "auto"),
    "hw:sound_model": _one_of("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
    "hw:usb_model": _one_of("none", "nec-xhci", "qemu-xhci"),
    "hw:redirected_usb_ports": _integer(0, 15),
    "hw:ephemeral_encryption_format": _one_of("plain", "luks", "luksv2"),
    "os:secure_boot": _one_of("disabled", "required"),
    "hw_rng:allowed": _boolean,
    "hw_rng:rate_bytes": _integer(0),
    "hw_rng:rate_period": _integer(0),
    "hw_video:ram_max_mb": _integer(0),
    "quota:cpu_shares": _integer(0),
    "quota:cpu_period": _integer(0),
    "quota:cpu_quota": _integer(),
    "accel:device_profile": _any,
    "group_policy": _one_of("none", "isolate"),
    "pci_passthrough:alias": _matches(r"[^:,]+:\d+(\s*,\s*[^:,]+:\d+)*"),
}
"""Extra specs whose whole name is known."""

PATTERNS: tuple[tuple[str, Check], ...] = (
    (r"hw:numa_cpus\.\d+", _CPUS),
    (r"hw:numa_mem\.\d+", _integer(1)),
    (r"quota:(cpu|memory|disk_io|vif)_limit", _integer(0)),
    (r"quota:(cpu|memory|disk_io|vif)_reservation", _integer()),
    (r"quota:(cpu|memory|disk_io|vif)_shares_level", _one_of("custom", "high", "normal", "low")),
    (r"quota:(cpu|memory|disk_io|vif)_shares_share", _integer(0)),
    (r"quota:disk_(read|write|total)_(bytes|iops)_sec", _integer(0)),
    (r"quota:vif_(inbound|outbound)_(average|peak|burst)", _integer(0)),
    (r"capabilities:.+", _any),
    (r"aggregate_instance_extra_specs:.+", _any),
)

GROUPED = re.compile(r"(resources|trait)([a-zA-Z0-9_-]{0,64}):([A-Z0-9_]+)")
NAMESPACES = frozenset((*(key.partition(":")[0] for key in EXACT), "capabilities", "aggregate_instance_extra_specs"))
GROUPED_NAMESPACE = re.compile(r"(resources|trait)([A-Z0-9_-][a-zA-Z0-9_-]{0,63})?")


@cache
def _standard_names() -> dict[str, frozenset[str]]:
    return {"resources": frozenset(os_resource_classes.STANDARDS), "trait": frozenset(os_traits.get_traits())}


def check_extra_specs(version: Version, specs: Mapping[str, str]) -> None:
    """Raise `BadRequest` for an extra spec of a known namespace that does not exist or cannot have this value."""
    unsupported.check_extra_specs(specs)
    if version < (2, 86):
        return
    for key, value in specs.items():
        namespace, colon, _ = key.partition(":")
        scoped = colon and (namespace in NAMESPACES or GROUPED_NAMESPACE.fullmatch(namespace))
        if key not in EXACT and not scoped:
            continue
        check = _check_for(key)
        if check is None:
            raise errors.BadRequest(f"Validation failed; extra spec '{key}' does not appear to be a valid extra spec.")
        if not check(value):
            raise errors.BadRequest(f"Validation failed; '{value[:80]}' is not a valid value of extra spec '{key}'.")


def _check_for(key: str) -> Check | None:
    if key in EXACT:
        return EXACT[key]
    if grouped := GROUPED.fullmatch(key):
        kind, _, name = grouped.groups()
        meant = canonical(name) if kind == "resources" else name
        if meant not in _standard_names()[kind] and not meant.startswith("CUSTOM_"):
            return None
        return _integer(0) if kind == "resources" else _one_of("required", "forbidden")
    return next((check for pattern, check in PATTERNS if re.fullmatch(pattern, key)), None)
