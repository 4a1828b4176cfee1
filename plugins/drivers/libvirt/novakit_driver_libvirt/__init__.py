"""The libvirt virt driver of novakit: real guests on QEMU, with KVM or TCG."""

from collections.abc import Iterable

from novakit_driver_libvirt.driver import FACETS, LibvirtDriver
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_hookspecs import hookimpl
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.virt import API, DriverSpec

__all__ = ["LibvirtDriver", "LibvirtOptions", "novakit_drivers"]


@hookimpl
def novakit_drivers() -> Iterable[DriverSpec]:
    """Offer the driver `libvirt`."""
    yield DriverSpec(
        name="libvirt",
        api=API,
        build=LibvirtDriver,
        options=LibvirtOptions,
        facets=FACETS,
        renders=frozenset({PciAttachment}),
        network="ovs",
    )
