"""The machine of a guest and its command line: pure functions, and no text of a user gets through them."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from novakit_driver_qemu import guest_cpu
from novakit_fit.hardware import BadHardware, Hardware, hardware
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.fields import tuple_field, uuid_field
from novakit_hookspecs.pci import addresses
from novakit_hookspecs.servers import GuestPlan
from novakit_host.acceleration import QEMU

DISK_BUSES = ("virtio", "scsi")
VIF_MODELS: Mapping[str, str] = {
    "virtio": "virtio-net-pci",
    "e1000": "e1000",
    "e1000e": "e1000e",
    "rtl8139": "rtl8139",
}
CONSOLE = "console.log"
SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_ENDS = ("csum", "tso4", "tso6", "ecn", "ufo")
# A userspace switch does not complete checksums nor cut segments that a guest left to its card.
_PLAIN = ",".join(
    ["csum=off", "gso=off", "mrg_rxbuf=off"]
    + [f"host_{what}=off" for what in _ENDS[1:]]
    + [f"guest_{what}=off" for what in _ENDS]
)


@attrs.frozen(kw_only=True)
class Drive:
    """One disk of a guest, as a file of its directory."""

    file: str
    format: str
    cdrom: bool = False
    base_format: str = "qcow2"
    """Format of the image that it takes from, where it does."""


@attrs.frozen(kw_only=True)
class MachineNic:
    """One NIC of a guest."""

    tap: str
    mac: str
    mtu: int


@attrs.frozen(kw_only=True)
class Machine:
    """All of a plan that QEMU is told."""

    id: str = uuid_field()
    vcpus: int
    memory_mb: int
    bus: str
    vif: str
    disks: tuple[Drive, ...] = tuple_field()
    cards: tuple[MachineNic, ...] = tuple_field()
    devices: tuple[str, ...] = tuple_field()
    """PCI addresses of the host's devices."""
    hardware: Hardware = attrs.field(factory=Hardware)

    @classmethod
    def of(cls, plan: GuestPlan) -> "Machine":
        """Take what the plan says. Raises Refused when it asks for what this driver cannot give."""
        if plan.numa:
            raise Refused("the plain QEMU driver gives no dedicated CPUs, huge pages or NUMA cells; libvirt's does")
        _choice(plan.image_properties, "hw_firmware_type", "bios", ("bios",))
        _choice(plan.image_properties, "hw_machine_type", "q35", ("q35",))
        _choice(plan.image_properties, "hw_rng_model", "virtio", ("virtio",))
        image = plan.image.disk_format if plan.image is not None else "qcow2"
        disks = [Drive(file="root.qcow2", format="qcow2", base_format=image)]
        disks += [Drive(file="ephemeral.raw", format="raw")] if plan.ephemeral_gb else []
        disks += [Drive(file="swap.raw", format="raw")] if plan.swap_mb else []
        disks += [Drive(file="config.iso", format="raw", cdrom=True)] if plan.config_drive is not None else []
        for nic in plan.nics:
            if not _DEVICE.fullmatch(nic.device) or not _MAC.fullmatch(nic.mac):
                said = f"tap device ({nic.device[:40]!r}) or address ({nic.mac[:40]!r})"
                raise Refused(f"port {nic.port_id} has no usable {said}")
        return cls(
            id=plan.id,
            vcpus=plan.vcpus,
            memory_mb=plan.memory_mb,
            bus=_choice(plan.image_properties, "hw_disk_bus", "virtio", DISK_BUSES),
            vif=_choice(plan.image_properties, "hw_vif_model", "virtio", tuple(VIF_MODELS)),
            disks=tuple(disks),
            cards=tuple(MachineNic(tap=nic.device, mac=nic.mac, mtu=nic.mtu) for nic in plan.nics),
            devices=tuple(addresses(plan.attachments)),
            hardware=_hardware(plan),
        )

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> "Machine":
        """Return the machine that `attrs.asdict` wrote down."""
        disks, cards = [Drive(**each) for each in fields["disks"]], [MachineNic(**each) for each in fields["cards"]]
        wanted = Hardware(**fields.get("hardware", {}))
        return cls(**{**fields, "disks": disks, "cards": cards, "hardware": wanted})


def socket_of(guest: str) -> str:
    """Name the guest's QMP socket; QEMU is told it relative to the directory, as a socket's path must be short."""
    return f"nk-{guest}.qmp"


@attrs.frozen(kw_only=True)
class Descriptors:
    """What QEMU is handed open, in the order of the machine's disks and cards."""

    control: int
    """The listening socket of QMP."""
    console: int
    disks: tuple[int, ...]
    base: int | None = None
    """The image that the first disk takes from."""
    taps: tuple[int, ...] = ()

    @property
    def files(self) -> Sequence[int]:
        """List those that QEMU knows as files."""
        return [self.console, *self.disks, *([] if self.base is None else [self.base])]

    @property
    def all(self) -> Sequence[int]:
        """List every one."""
        return [self.control, *self.files, *self.taps]


def command_line(machine: Machine, acceleration: str, given: Descriptors, *, suspended: bool = False) -> list[str]:
    """Return the argument vector that starts the machine, without a path of the host but that of a source of chance.

    A machine that was suspended waits for its memory before it runs.
    """
    argv = [QEMU, "-name", f"guest=nk-{machine.id},debug-threads=on", "-uuid", machine.id]
    argv += ["-no-user-config", "-nodefaults", "-display", "none", "-sandbox", SANDBOX]
    argv += ["-machine", "q35,usb=off", "-accel", acceleration, "-cpu", _cpu(machine.hardware, acceleration)]
    argv += ["-smp", _smp(machine), "-m", f"{machine.memory_mb}M", "-rtc", "base=utc"]
    argv += ["-boot", "strict=on,menu=on" if machine.hardware.boot_menu else "strict=on"]
    for descriptor in given.files:
        argv += ["-add-fd", f"fd={descriptor},set={descriptor}"]
    argv += ["-chardev", f"socket,id=qmp,fd={given.control},server=on,wait=off"]
    argv += ["-mon", "chardev=qmp,mode=control"]
    argv += ["-chardev", f"file,id=console,path={_file(given.console)},append=on"]
    argv += ["-serial", "chardev:console"]
    argv += [*_rng(machine.hardware), *_watchdog(machine.hardware)]
    if machine.bus == "scsi" or any(disk.cdrom for disk in machine.disks):
        argv += ["-device", "virtio-scsi-pci,id=scsi"]
    for number, (disk, descriptor) in enumerate(zip(machine.disks, given.disks, strict=True)):
        base = None if number or given.base is None else _node(disk.base_format, given.base)
        argv += _disk(f"disk{number}", disk, machine.bus, {**_node(disk.format, descriptor), **_taking(disk, base)})
    for number, (card, descriptor) in enumerate(zip(machine.cards, given.taps, strict=True)):
        argv += _nic(f"net{number}", card, machine.vif, descriptor)
    for address in machine.devices:
        argv += ["-device", f"vfio-pci,host={address}"]
    return [*argv, "-incoming", "defer"] if suspended else argv


def _hardware(plan: GuestPlan) -> Hardware:
    try:
        wanted = hardware(plan.vcpus, plan.extra_specs, plan.image_properties)
    except BadHardware as error:
        raise Refused(str(error)) from error
    if wanted.secure_boot == "required":
        raise Refused("the plain QEMU driver boots guests by BIOS, so there is no Secure Boot; libvirt's can")
    if limits := [name for name, _ in (*wanted.cpu_limits, *wanted.disk_limits)]:
        raise Refused(f"the plain QEMU driver sets no limits ({', '.join(limits)}) to CPUs and disks; libvirt's does")
    return wanted


def _cpu(wanted: Hardware, acceleration: str) -> str:
    parts = [guest_cpu.model(acceleration)]
    if wanted.pmu is not None:
        parts.append(f"pmu={'on' if wanted.pmu else 'off'}")
    if wanted.hidden:
        # Emulation has no signature of KVM to hide; its own goes with the bit that tells of a hypervisor.
        parts.append("kvm=off" if acceleration == "kvm" else "hypervisor=off")
    return ",".join(parts)


def _smp(machine: Machine) -> str:
    if machine.hardware.shape is None:
        return str(machine.vcpus)
    return "{},sockets={},cores={},threads={}".format(machine.vcpus, *machine.hardware.shape)


def _rng(wanted: Hardware) -> Sequence[str]:
    if not wanted.rng:
        return []
    rate = f",max-bytes={wanted.rng_bytes},period={wanted.rng_period_ms}" if wanted.rng_bytes else ""
    return ["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", f"virtio-rng-pci,rng=rng{rate}"]


def _watchdog(wanted: Hardware) -> Sequence[str]:
    return ["-device", "i6300esb", "-action", f"watchdog={wanted.watchdog}"] if wanted.watchdog else []


def _file(descriptor: int) -> str:
    return f"/dev/fdset/{descriptor}"


def _node(kind: str, descriptor: int) -> Mapping[str, object]:
    return {"driver": kind, "file": {"driver": "file", "filename": _file(descriptor)}}


def _taking(disk: Drive, base: Mapping[str, object] | None) -> Mapping[str, object]:
    """Return what a disk takes from: the whole chain, so that no file's own word for it is ever followed."""
    if disk.format != "qcow2":
        return {}
    if base is None:
        return {"backing": None}
    return {"backing": {**base, "read-only": True, **({"backing": None} if base["driver"] == "qcow2" else {})}}


def _disk(name: str, disk: Drive, bus: str, source: Mapping[str, object]) -> Sequence[str]:
    more = {"read-only": True} if disk.cdrom else {"discard": "unmap"}
    node: dict[str, object] = {"node-name": name, **source, **more}
    # Debian's cloud kernel has no AHCI: a drive on virtio-scsi is seen by every guest.
    kind = "scsi-cd,bus=scsi.0" if disk.cdrom else "virtio-blk-pci" if bus == "virtio" else "scsi-hd,bus=scsi.0"
    boot = ",bootindex=1" if name == "disk0" else ""
    return ["-blockdev", json.dumps(node), "-device", f"{kind},drive={name}{boot}"]


def _nic(name: str, card: MachineNic, vif: str, tap: int) -> Sequence[str]:
    plain = f",host_mtu={card.mtu},{_PLAIN}" if vif == "virtio" else ""
    return [
        *("-netdev", f"tap,id={name},fd={tap},vhost=off"),
        *("-device", f"{VIF_MODELS[vif]},netdev={name},mac={card.mac}{plain}"),
    ]


def _choice(properties: Mapping[str, str], key: str, default: str, offered: Sequence[str]) -> str:
    value = properties.get(key, default)
    if value not in offered:
        raise Refused(f"image property {key} {value[:40]!r} is not offered: use one of {', '.join(sorted(offered))}")
    return value
