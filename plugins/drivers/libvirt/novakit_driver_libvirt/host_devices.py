"""PCI devices of the host in domain XML: put in for a guest, and read back."""

from collections.abc import Mapping, Sequence

from lxml import etree

from novakit_hookspecs.errors import DeviceTaken, Refused
from novakit_hookspecs.pci import addresses, parse_address
from novakit_hookspecs.servers import GuestPlan
from novakit_host.pci.survey import Survey


def add(devices: etree._Element, plan: GuestPlan) -> None:
    """Hand the plan's devices over; libvirt takes them from the host's driver at the start and gives them back."""
    for address in addresses(plan.attachments):
        hostdev = etree.SubElement(devices, "hostdev", {"mode": "subsystem", "type": "pci", "managed": "yes"})
        parts = zip(("domain", "bus", "slot", "function"), parse_address(address), (4, 2, 2, 1), strict=True)
        where = {name: f"0x{number:0{digits}x}" for name, number, digits in parts}
        etree.SubElement(etree.SubElement(hostdev, "source"), "address", where)


def read(xml: str) -> Sequence[str]:
    """Return the addresses of the host's devices that a domain has."""
    found = []
    for source in etree.fromstring(xml).iterfind("devices/hostdev[@type='pci']/source/address"):
        domain, bus, slot, function = (int(str(source.get(name)), 0) for name in ("domain", "bus", "slot", "function"))
        found.append(f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}")
    return found


def require(plan: GuestPlan, found: Survey, held: Mapping[str, Sequence[str]], domain: str) -> None:
    """Raise `Refused` for a device that no guest can be given, and `DeviceTaken` for one another domain has."""
    for address in addresses(plan.attachments):
        if why := found.why_not(address):
            raise Refused(why)
        for other, theirs in held.items():
            if address in theirs and other != domain:
                raise DeviceTaken(f"the PCI device {address} is in domain {other} already")
