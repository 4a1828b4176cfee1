"""The stock scheduler weighers."""

from collections.abc import Callable, Iterable
from typing import Any

from novakit_hookspecs import hookimpl
from novakit_hookspecs.weighing import API, ColumnWeigher, WeigherSpec
from novakit_weighers import amounts, neighbours

GROUP = 100.0
"""What a user asked for by a soft policy outweighs the operator's spreading of memory, CPU and disk together."""


def _spec(
    name: str,
    build: Callable[[Any], ColumnWeigher],
    *aliases: str,
    reads: Iterable[str] = (),
    default: bool = True,
    **rest: Any,
) -> WeigherSpec:
    return WeigherSpec(name=name, api=API, build=build, reads=reads, default=default, aliases=aliases, **rest)


def _always(weigher: ColumnWeigher) -> Callable[[Any], ColumnWeigher]:
    return lambda _: weigher


@hookimpl
def novakit_weighers() -> Iterable[WeigherSpec]:
    """Offer the stock weighers."""
    for name, fact, aliases in (
        ("ram", "free_memory_mb", ("RAMWeigher", "RamWeigher")),
        ("cpu", "free_vcpus", ("CPUWeigher", "CpuWeigher")),
        ("disk", "free_disk_gb", ("DiskWeigher",)),
    ):
        yield _spec(name, _always(amounts.Column(fact)), *aliases, reads={fact}, stacks=True)
    yield _spec("io_ops", lambda _: amounts.Column("io_ops"), "IoOpsWeigher", reads={"io_ops"}, multiplier=-1.0)
    yield _spec(
        "build_failure",
        lambda _: amounts.Fewest("failed_builds"),
        "BuildFailureWeigher",
        reads={"failed_builds"},
        multiplier=1_000_000.0,
    )
    yield _spec(
        "soft_affinity",
        lambda _: neighbours.SoftGroup("soft-affinity", 1.0),
        "ServerGroupSoftAffinityWeigher",
        multiplier=GROUP,
    )
    yield _spec(
        "soft_anti_affinity",
        lambda _: neighbours.SoftGroup("soft-anti-affinity", -1.0),
        "ServerGroupSoftAntiAffinityWeigher",
        multiplier=GROUP,
    )
    yield _spec(
        "cross_cell",
        lambda _: neighbours.CrossCell(),
        "CrossCellWeigher",
        reads={"cell"},
        multiplier=1_000_000.0,
        aggregate_key="cross_cell_move_weight_multiplier",
    )
    yield _spec(
        "hypervisor_version",
        lambda _: amounts.Column("hypervisor_version"),
        "HypervisorVersionWeigher",
        reads={"hypervisor_version"},
    )
    yield from _optional()


def _optional() -> Iterable[WeigherSpec]:
    yield _spec(
        "num_instances",
        lambda _: amounts.Column("servers"),
        "NumInstancesWeigher",
        reads={"servers"},
        multiplier=-1.0,
        default=False,
    )
    yield _spec(
        "metrics",
        amounts.MetricsWeigher,
        "MetricsWeigher",
        reads={"metric_*"},
        options=amounts.MetricsWeigherOptions,
        default=False,
    )
    yield _spec("pci", lambda _: neighbours.Pci(), "PCIWeigher", reads={"pci"}, default=False)
    yield _spec(
        "image_properties",
        neighbours.ImagePropertiesWeigher,
        "ImagePropertiesWeigher",
        reads={"image_properties"},
        options=neighbours.ImagePropertiesOptions,
        aggregate_key="image_props_weight_multiplier",
        default=False,
    )
    yield _spec(
        "energy_efficiency",
        lambda _: amounts.EnergyEfficiency(),
        "EnergyEfficiencyWeigher",
        reads={"metric_power_usage_watts", "metric_cpu_percent"},
        default=False,
    )
    yield _spec(
        "production",
        lambda _: amounts.Production(),
        "ProductionWeigher",
        reads={
            *(f"{part}_{fact}" for part in ("free", "capacity") for fact in ("memory_mb", "vcpus", "disk_gb")),
            "io_ops",
            "metric_uptime_hours",
            "metric_failure_rate",
        },
        default=False,
    )
