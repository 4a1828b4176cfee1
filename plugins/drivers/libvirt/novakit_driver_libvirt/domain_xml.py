"""The domain XML of a guest: a pure function from plan and surroundings to text."""

import re
from collections.abc import Mapping, Sequence

import attrs
from lxml import etree

from novakit_driver_libvirt import guest_cells, guest_hardware, host_devices
from novakit_driver_libvirt.firmware import PACKAGE, Firmware
from novakit_driver_libvirt.naming import METADATA_NAMESPACE, name_of
from novakit_fit.hardware import BadHardware, Hardware, hardware, is_q35
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage, Nic

DISK_BUSES: Mapping[str, str] = {"virtio": "vd", "scsi": "sd", "sata": "sd"}
"""Values of `hw_disk_bus` with the prefix of the device names they give."""
VIF_MODELS = frozenset({"virtio", "e1000", "e1000e", "rtl8139"})
_MACHINE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OFF = {"csum": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off"}


@attrs.frozen(kw_only=True)
class DomainDisk:
    """One disk of a guest, as a file on the host."""

    path: str
    format: str
    cdrom: bool = False
    base: LocalImage | None = None
    """The image that it takes from what the guest has not written."""


@attrs.frozen(kw_only=True)
class Surroundings:
    """What the domain needs to know besides the plan."""

    kind: str
    """`kvm` or `qemu`."""
    machine: str
    directory: str
    """The instances directory, by which a driver knows its own domains."""
    console: str
    """The file that keeps what the guest prints."""
    nvram: str
    """The file that keeps what UEFI remembers."""
    firmware: Firmware = attrs.field(factory=Firmware)
    label: str = ""
    """Whom QEMU runs as and its files belong to, as libvirt's DAC driver writes it; empty for its own choice."""
    vnc: bool = False
    shared_cpus: Mapping[int, Sequence[int]] = attrs.field(factory=dict)
    """By cell of the host, the CPUs that guests share."""
    divided: bool = False
    """Whether guests must keep to the shared CPUs, because others are dedicated or the host's own."""


def render(plan: GuestPlan, disks: Sequence[DomainDisk], around: Surroundings) -> str:
    """Return the domain XML. Raises Refused when image properties ask for what this driver cannot give."""
    _choice(plan, "hw_rng_model", "virtio", ("virtio",))
    try:
        wanted = hardware(plan.vcpus, plan.extra_specs, plan.image_properties)
    except BadHardware as error:
        raise Refused(str(error)) from error
    domain = etree.Element("domain", {"type": around.kind})
    _text(domain, "name", name_of(plan.id))
    _text(domain, "uuid", plan.id)
    _metadata(domain, plan, around)
    _text(domain, "memory", str(plan.memory_mb), unit="MiB")
    guest_cells.memory_backing(domain, plan)
    room = guest_cells.ranges(cpu for cpus in around.shared_cpus.values() for cpu in cpus)
    apart = around.divided and not plan.numa
    _text(domain, "vcpu", str(plan.vcpus), placement="static", **({"cpuset": room} if apart else {}))
    guest_cells.placement(domain, plan, around.shared_cpus)
    guest_hardware.limit_cpus(domain, wanted)
    machine = _machine(plan, wanted, around)
    secure = _is_secure(wanted, machine, around.firmware)
    _boot(domain, machine, wanted, around, secure=secure)
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if secure:
        _add(features, "smm", {"state": "on"})
    guest_hardware.features(features, wanted)
    cpu = _add(domain, "cpu", {"mode": "host-passthrough" if around.kind == "kvm" else "maximum"})
    guest_hardware.cpu(cpu, wanted, around.kind)
    guest_cells.guest_topology(cpu, plan)
    _add(domain, "clock", {"offset": "utc"})
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(domain, f"on_{event}", action)
    _devices(_add(domain, "devices"), plan, disks, around, wanted)
    if around.label:
        _text(_add(domain, "seclabel", {"type": "static", "model": "dac", "relabel": "yes"}), "label", around.label)
    return str(etree.tostring(domain, pretty_print=True, encoding="unicode"))


def _metadata(domain: etree._Element, plan: GuestPlan, around: Surroundings) -> None:
    """Write down whose guest it is, for people who look at the host."""
    namespace = f"{{{METADATA_NAMESPACE}}}"
    holder = _add(domain, "metadata")
    guest = etree.SubElement(holder, f"{namespace}guest", nsmap={"novakit": METADATA_NAMESPACE})
    guest.set("directory", around.directory)
    facts = {"name": plan.name, **{f"owner:{key}": value for key, value in plan.owner.items()}}
    for key, value in facts.items():
        fact = etree.SubElement(guest, f"{namespace}fact")
        fact.set("key", _plain(key))
        fact.text = _plain(value)


def _is_secure(wanted: Hardware, machine: str, firmware: Firmware) -> bool:
    """Return whether the guest has Secure Boot. Raises Refused where the firmware it needs is not there."""
    if wanted.secure_boot == "required" and not firmware.secure:
        raise Refused(f"Secure Boot needs firmware with enrolled keys: apt-get install {PACKAGE}, and restart libvirtd")
    secure = wanted.secure_boot == "required" or (
        wanted.secure_boot == "optional" and bool(firmware.secure) and is_q35(machine)
    )
    if wanted.uefi and not secure and not firmware.plain:
        raise Refused(f"UEFI guests need firmware: apt-get install {PACKAGE}, and restart libvirtd")
    return secure


def _boot(domain: etree._Element, machine: str, wanted: Hardware, around: Surroundings, *, secure: bool) -> None:
    system = _add(domain, "os", {"firmware": "efi"} if wanted.uefi else {})
    _text(system, "type", "hvm", arch="x86_64", machine=machine)
    if wanted.uefi:
        firmware = _add(system, "firmware")
        if secure:
            _add(firmware, "feature", {"enabled": "yes", "name": "enrolled-keys"})
        # Not asked for, it could still be chosen, and would refuse images that nobody signed.
        _add(firmware, "feature", {"enabled": "yes" if secure else "no", "name": "secure-boot"})
        if secure:
            _add(system, "loader", {"secure": "yes"})
        _text(system, "nvram", around.nvram)
    if wanted.boot_menu:
        _add(system, "bootmenu", {"enable": "yes"})


def _devices(
    devices: etree._Element, plan: GuestPlan, disks: Sequence[DomainDisk], around: Surroundings, wanted: Hardware
) -> None:
    bus = _choice(plan, "hw_disk_bus", "virtio", DISK_BUSES)
    if bus == "scsi" or any(disk.cdrom for disk in disks):
        _add(devices, "controller", {"type": "scsi", "index": "0", "model": "virtio-scsi"})
    _add(devices, "controller", {"type": "usb", "model": "none"})
    _disks(devices, disks, bus, wanted.disk_limits)
    model = plan.image_properties.get("hw_vif_model")
    for nic in plan.nics:
        _interface(devices, nic, model or nic.model)
    host_devices.add(devices, plan)
    serial = _add(devices, "serial", {"type": "pty"})
    _add(serial, "log", {"file": around.console, "append": "on"})
    _add(serial, "target", {"port": "0"})
    agent = _add(devices, "channel", {"type": "unix"})
    _add(agent, "target", {"type": "virtio", "name": "org.qemu.guest_agent.0"})
    if around.vnc:
        _add(devices, "graphics", {"type": "vnc", "autoport": "yes", "listen": "127.0.0.1"})
        _add(_add(devices, "video"), "model", {"type": "virtio"})
    _add(_add(devices, "memballoon", {"model": "virtio"}), "stats", {"period": "10"})
    guest_hardware.devices(devices, wanted)


def _disks(devices: etree._Element, disks: Sequence[DomainDisk], bus: str, limits: Sequence[tuple[str, int]]) -> None:
    letters = {prefix: iter("abcdef") for prefix in DISK_BUSES.values()}
    for order, disk in enumerate(disks, start=1):
        element = _add(devices, "disk", {"type": "file", "device": "cdrom" if disk.cdrom else "disk"})
        driver = {"name": "qemu", "type": disk.format}
        _add(element, "driver", driver if disk.cdrom else {**driver, "discard": "unmap"})
        _add(element, "source", {"file": disk.path})
        _base(element, disk.base)
        # Debian's cloud kernel has no AHCI: a drive on virtio-scsi is seen by every guest.
        where = "scsi" if disk.cdrom else bus
        name = DISK_BUSES[where] + next(letters[DISK_BUSES[where]])
        _add(element, "target", {"dev": name, "bus": where})
        if disk.cdrom:
            _add(element, "readonly")
        elif order == 1:
            _add(element, "boot", {"order": "1"})
        if limits and not disk.cdrom:
            tune = _add(element, "iotune")
            for name, number in limits:
                _text(tune, name, str(number))


def _base(element: etree._Element, image: LocalImage | None) -> None:
    """Name the whole chain: libvirt believes no header, and leaves root the owner of a file that many guests share."""
    if image is None:
        _add(element, "backingStore")
        return
    chain = _add(element, "backingStore", {"type": "file"})
    _add(chain, "format", {"type": image.disk_format})
    source = _add(chain, "source", {"file": image.path})
    _add(source, "seclabel", {"model": "dac", "relabel": "no"})
    _add(chain, "backingStore")


def _interface(devices: etree._Element, nic: Nic, model: str) -> None:
    """Use the tap that the network driver made and wired; libvirt neither makes nor removes it."""
    if model not in VIF_MODELS:
        raise Refused(f"hw_vif_model {model[:40]!r} is not offered: use one of {', '.join(sorted(VIF_MODELS))}")
    if not _DEVICE.fullmatch(nic.device) or not _MAC.fullmatch(nic.mac):
        raise Refused(
            f"port {nic.port_id} has no usable tap device ({nic.device[:40]!r}) or address ({nic.mac[:40]!r})"
        )
    interface = _add(devices, "interface", {"type": "ethernet"})
    _add(interface, "mac", {"address": nic.mac})
    _add(interface, "target", {"dev": nic.device, "managed": "no"})
    _add(interface, "model", {"type": model})
    if model == "virtio":
        # A userspace switch does not complete checksums nor cut segments that a guest left to its card.
        driver = _add(interface, "driver", {"name": "qemu"})
        _add(driver, "host", {**_OFF, "gso": "off", "mrg_rxbuf": "off"})
        _add(driver, "guest", _OFF)
    _add(interface, "mtu", {"size": str(nic.mtu)})


def _machine(plan: GuestPlan, wanted: Hardware, around: Surroundings) -> str:
    usual = around.machine if wanted.secure_boot != "required" or is_q35(around.machine) else "q35"
    machine = plan.image_properties.get("hw_machine_type", usual)
    if not _MACHINE.fullmatch(machine):
        raise Refused(f"hw_machine_type {machine[:40]!r} is not a machine type")
    return machine


def _choice(plan: GuestPlan, key: str, default: str, offered: Mapping[str, str] | Sequence[str]) -> str:
    value = plan.image_properties.get(key, default)
    if value not in offered:
        raise Refused(f"image property {key} {value[:40]!r} is not offered: use one of {', '.join(sorted(offered))}")
    return value


def _plain(text: str) -> str:
    """Replace what XML cannot hold; the rest is escaped by the writer."""
    return _NOT_XML.sub("�", text)


def _add(parent: etree._Element, tag: str, attributes: Mapping[str, str] | None = None) -> etree._Element:
    return etree.SubElement(parent, tag, dict(attributes or {}))


def _text(parent: etree._Element, tag: str, text: str, **attributes: str) -> None:
    _add(parent, tag, attributes).text = text
