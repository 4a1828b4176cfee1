"""The stock scheduler filters."""

from collections.abc import Callable, Iterable
from typing import Any

from novakit_filters import (
    aggregates,
    amounts,
    capabilities,
    devices,
    groups,
    images,
    load,
    numa,
    query,
    standing,
    trees,
    zones,
)
from novakit_hookspecs import hookimpl
from novakit_hookspecs.scheduling import API, ColumnFilter, FilterSpec


def _spec(
    name: str,
    build: Callable[[Any], ColumnFilter],
    *aliases: str,
    order: int = 0,
    reads: Iterable[str] = (),
    options: type | None = None,
    always: bool = False,
    before_driver: bool = False,
    when_forced: bool = False,
) -> FilterSpec:
    """Make a record; one with an order is on by default.

    What a scheduler driver may rely on is `before_driver`: hosts that take nobody are left out, and those outside the
    zone that a user named, and those that the claim would refuse.
    """
    return FilterSpec(
        name=name,
        api=API,
        build=build,
        reads=reads,
        options=options,
        default=order > 0,
        order=order or 100,
        aliases=aliases,
        always=always,
        before_driver=before_driver,
        when_forced=when_forced,
    )


def _always(filter: ColumnFilter) -> Callable[[Any], ColumnFilter]:
    return lambda _: filter


@hookimpl
def novakit_filters() -> Iterable[FilterSpec]:
    """Offer the stock filters, those that are on by default first."""
    yield from _standing()
    yield from _groups()
    yield from _amounts()
    yield from _loads()
    yield from _aggregates()
    yield from _devices()


def _standing() -> Iterable[FilterSpec]:
    """Offer what looks at a host by itself: up, in the zone, able to run the image."""
    yield _spec(
        "requested_host",
        lambda _: standing.RequestedHost(),
        "RetryFilter",
        order=5,
        reads={"node"},
        always=True,
        when_forced=True,
    )
    yield _spec(
        "compute",
        lambda _: standing.ComputeService(),
        "ComputeFilter",
        order=10,
        reads={"up", "enabled", "disabled_reason"},
        before_driver=True,
    )
    yield _spec(
        "availability_zone",
        lambda _: zones.AvailabilityZone(),
        "AvailabilityZoneFilter",
        order=15,
        reads={"availability_zone"},
        before_driver=True,
    )
    yield _spec("traits", lambda _: standing.Traits(), order=20, always=True, when_forced=True)
    yield _spec(
        "compute_capabilities",
        lambda _: capabilities.ComputeCapabilities(),
        "ComputeCapabilitiesFilter",
        order=25,
        reads=capabilities.READS,
    )
    yield _spec(
        "image_properties",
        lambda _: images.ImageProperties(),
        "ImagePropertiesFilter",
        order=30,
        reads={"supported_instances", "hypervisor_version", "machine_types", "pci"},
    )
    yield _spec("isolated_aggregate", lambda _: aggregates.IsolatedAggregate(), order=35)


def _groups() -> Iterable[FilterSpec]:
    """Offer what looks at where other servers are."""
    yield _spec("different_host", lambda _: groups.DifferentHost(), "DifferentHostFilter", order=40)
    yield _spec("same_host", lambda _: groups.SameHost(), "SameHostFilter", order=41)
    yield _spec("group_affinity", lambda _: groups.GroupAffinity(), "ServerGroupAffinityFilter", order=45, always=True)
    yield _spec(
        "group_anti_affinity",
        lambda _: groups.GroupAntiAffinity(),
        "ServerGroupAntiAffinityFilter",
        order=46,
        always=True,
    )
    yield _spec("group_limit", lambda _: groups.GroupLimit(), order=47, always=True)


def _amounts() -> Iterable[FilterSpec]:
    """Offer what counts what is left."""
    for name, amount, aliases, order in (
        ("ram", amounts.RAM, ("RamFilter", "AggregateRamFilter", "ExactRamFilter"), 60),
        ("core", amounts.CORE, ("CoreFilter", "AggregateCoreFilter", "ExactCoreFilter"), 61),
        ("disk", amounts.DISK, ("DiskFilter", "AggregateDiskFilter", "ExactDiskFilter"), 62),
    ):
        yield _spec(name, _always(amount), *aliases, order=order, reads=amount.reads, before_driver=True)
    yield _spec(
        "numa_topology",
        lambda _: numa.NumaTopology(),
        "NUMATopologyFilter",
        "NumaTopologyFilter",
        order=70,
        reads={"numa"},
        always=True,
    )
    yield _spec("resources", lambda _: amounts.OtherResources(), order=63, reads={"free_resource_*"}, always=True)
    yield _spec("provider_tree", lambda _: trees.ProviderTree(), order=64, reads=trees.READS, always=True)


def _loads() -> Iterable[FilterSpec]:
    """Offer what looks at how busy a host is, and with what; off by default."""
    yield _spec(
        "io_ops",
        lambda options: load.Below(
            "io_ops",
            "max_io_ops_per_host",
            options.max_io_ops_per_host,
            "busy with too many builds and moves",
            "operations",
        ),
        "IoOpsFilter",
        "AggregateIoOpsFilter",
        reads={"io_ops"},
        options=load.IoOpsOptions,
    )
    yield _spec(
        "num_instances",
        lambda options: load.Below(
            "servers",
            "max_instances_per_host",
            options.max_instances_per_host,
            "hold as many servers as they may",
            "servers",
        ),
        "NumInstancesFilter",
        "AggregateNumInstancesFilter",
        reads={"servers"},
        options=load.InstancesOptions,
    )
    yield _spec("json", lambda _: query.Query(), "JsonFilter", reads=query.READS)
    yield _spec("metrics", load.Metrics, "MetricsFilter", reads={"metric_*"}, options=load.MetricsOptions)
    yield _spec(
        "type_affinity",
        lambda _: load.TypeAffinity(),
        "TypeAffinityFilter",
        "AggregateTypeAffinityFilter",
        reads={"flavors"},
    )


def _aggregates() -> Iterable[FilterSpec]:
    """Offer what obeys the metadata of aggregates; off by default."""
    yield _spec(
        "aggregate_instance_extra_specs",
        lambda _: aggregates.InstanceExtraSpecs(),
        "AggregateInstanceExtraSpecsFilter",
        "AggregateInstanceExtraSpecFilter",
    )
    yield _spec(
        "aggregate_image_properties_isolation",
        aggregates.ImagePropertiesIsolation,
        "AggregateImagePropertiesIsolation",
        options=aggregates.ImageIsolationOptions,
    )
    yield _spec(
        "aggregate_multitenancy_isolation",
        lambda _: aggregates.MultiTenancyIsolation(),
        "AggregateMultiTenancyIsolation",
    )
    yield _spec("tenant_aggregate", aggregates.TenantAggregate, options=aggregates.TenantAggregateOptions)
    yield _spec(
        "isolated_hosts", aggregates.IsolatedHosts, "IsolatedHostsFilter", options=aggregates.IsolatedHostsOptions
    )


def _devices() -> Iterable[FilterSpec]:
    """Offer what looks for devices, and what is asked for by the address of a host."""
    yield _spec(
        "pci_passthrough", lambda _: devices.PciPassthrough(), "PciPassthroughFilter", order=71, reads={"pci", "numa"}
    )
    yield _spec("gpu_affinity", lambda _: devices.GpuAffinity(), "GPUAffinityFilter", order=72, reads={"pci", "numa"})
    yield _spec(
        "simple_cidr_affinity", lambda _: groups.SimpleCidrAffinity(), "SimpleCIDRAffinityFilter", reads={"host_ip"}
    )
