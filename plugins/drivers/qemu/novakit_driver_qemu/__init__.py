"""The plain QEMU virt driver of novakit: real guests with KVM or TCG, without libvirt."""

from collections.abc import Iterable

from novakit_driver_qemu.driver import FACETS, QemuDriver
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs import hookimpl
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.virt import API, DriverSpec

__all__ = ["QemuDriver", "QemuOptions", "novakit_drivers"]


@hookimpl
def novakit_drivers() -> Iterable[DriverSpec]:
    """Offer the driver `qemu`."""
    yield DriverSpec(
        name="qemu",
        api=API,
        build=QemuDriver,
        options=QemuOptions,
        facets=FACETS,
        renders=frozenset({PciAttachment}),
        network="ovs",
    )
