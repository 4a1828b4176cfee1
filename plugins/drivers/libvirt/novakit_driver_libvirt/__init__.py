"""The libvirt virt driver of novakit: real guests on QEMU, with KVM or TCG."""

from collections.abc import Iterable

from novakit_driver_libvirt.driver import LibvirtDriver
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_hookspecs import hookimpl
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.findings import ExaminesHost
from novakit_hookspecs.hosts import PreparesHost
from novakit_hookspecs.virt import API, DriverSpec, ListsHoldings, LogsConsole, Pauses, Snapshots, Suspends, UsesImages

__all__ = ["LibvirtDriver", "LibvirtOptions", "novakit_drivers"]


@hookimpl
def novakit_drivers() -> Iterable[DriverSpec]:
    """Offer the driver `libvirt`."""
    yield DriverSpec(
        name="libvirt",
        api=API,
        build=LibvirtDriver,
        options=LibvirtOptions,
        facets=frozenset(
            {LogsConsole, ListsHoldings, PreparesHost, ExaminesHost, Snapshots, Pauses, Suspends, UsesImages}
        ),
        renders=frozenset({PciAttachment}),
        network="ovs",
    )
