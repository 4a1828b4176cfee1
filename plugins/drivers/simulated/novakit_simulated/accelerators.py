"""The simulated accelerator provider: GPUs, cuts of GPUs, FPGAs and network cards made of options."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from novakit_hookspecs import hookimpl
from novakit_hookspecs.accelerators import AcceleratorSpec, Claim
from novakit_hookspecs.devices import Attachment, Device, Health, MdevAttachment, PciAttachment
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_simulated.journal import Journal
from novakit_simulated.options import AcceleratorOptions

_BUS = {"gpu": 0x10, "fpga": 0x20, "nic": 0x30}
_CLASS = {"gpu": "PGPU", "fpga": "FPGA", "nic": "PCI_DEVICE"}
_CUT = "/cut"


@attrs.define(eq=False)
class SimulatedAccelerators:
    """Devices that exist by configuration; who holds which is in a journal."""

    options: AcceleratorOptions
    context: HostContext
    _journal: Journal = attrs.field(init=False)
    _devices: dict[str, Device] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._journal = Journal.open(str(Path(self.context.state_dir) / "claims.journal"))
        self._devices = {device.key: device for device in _devices(self.options)}

    async def discover(self) -> Sequence[Device]:
        return list(self._devices.values())

    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        device = self._devices.get(claim.device)
        if device is None:
            raise NotFound(f"there is no device {claim.device} on this host")
        known = self._journal.records.get(claim.id)
        if known is None:
            self._take(claim, device)
        elif known["device"] != claim.device:
            raise Refused(
                f"claim {claim.id} holds {known['device']} already; release it before it takes {claim.device}"
            )
        if device.parent is not None:
            return [MdevAttachment(uuid=claim.id, parent=device.parent)]
        return [PciAttachment(address=device.key)]

    async def release(self, claim: str) -> None:
        self._journal.drop(claim)

    def _take(self, claim: Claim, device: Device) -> None:
        if device.health is not Health.OK:
            raise Refused(f"device {device.key} takes no new work: {device.why}")
        units = sum(claim.resources.values()) or 1
        card = device.parent or device.key
        held = self._journal.records.values()
        sold = sum(record["units"] for record in held if record["device"] == device.key)
        twins = [record for record in held if record["card"] == card and record["device"] != device.key]
        if twins or sold + units > sum(device.inventory.values()):
            raise Busy(f"device {device.key} is taken; release a claim on it first")
        self._journal.put(claim.id, {"device": device.key, "card": card, "units": units})


def _devices(options: AcceleratorOptions) -> Iterator[Device]:
    counts = {"gpu": options.gpus, "fpga": options.fpgas, "nic": options.nics}
    cuts = options.vgpus_per_gpu
    for kind, count in counts.items():
        for slot in range(count):
            key = f"0000:{_BUS[kind] + slot // 32:02x}:{slot % 32:02x}.0"
            shares = {"CUTS": cuts} if kind == "gpu" and cuts else {}
            yield _device(options, key=key, kind=kind, inventory={_CLASS[kind]: 1}, counters=shares, draws=shares)
            if shares:
                yield _device(
                    options, key=key + _CUT, kind="vgpu", parent=key, inventory={"VGPU": cuts}, draws={"CUTS": 1}
                )


def _device(
    options: AcceleratorOptions,
    *,
    key: str,
    kind: str,
    inventory: dict[str, int],
    parent: str | None = None,
    counters: dict[str, int] | None = None,
    draws: dict[str, int] | None = None,
) -> Device:
    health, why = Health.OK, ""
    if {key, parent} & set(options.lost):
        health, why = Health.LOST, "It has fallen off the simulated bus, as its options say."
    elif {key, parent} & set(options.degraded):
        health, why = Health.DEGRADED, "It is degraded, as its options say."
    return Device(
        key=key,
        kind=kind,
        parent=parent,
        inventory=inventory,
        counters=counters or {},
        draws=draws or {},
        traits={"CUSTOM_SIMULATED", f"CUSTOM_SIMULATED_{kind.upper()}"},
        numa_node=0,
        health=health,
        why=why,
    )


@hookimpl
def novakit_accelerators() -> Iterable[AcceleratorSpec]:
    """Offer the simulated accelerators."""
    yield AcceleratorSpec(
        name="simulated",
        api=1,
        build=SimulatedAccelerators,
        options=AcceleratorOptions,
        yields={PciAttachment, MdevAttachment},
    )
