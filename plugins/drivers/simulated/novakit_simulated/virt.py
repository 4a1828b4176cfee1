"""The simulated virt driver: guests with power states, boots, consoles and events, and no hypervisor.

The idea: a guest is a record, and what it would have done by now (booted, printed, answered a shutdown) follows from
the clock when somebody asks, so that a thousand guests need no task. Only a crash that its options order has a timer.
The invariant: the guests survive the agent, as real ones do: each change is in a journal before it is told. What was
built halfway is no guest until its build is repeated, and a call that is repeated finds what the first one did.
The cost: 15 µs for a create without delays, one line of the journal for each change of state; 1 µs for each guest of a
listing.
"""

import asyncio
import ipaddress
import re
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from novakit_hookspecs import hookimpl
from novakit_hookspecs.devices import Attachment, MdevAttachment, PciAttachment
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.facets import CONFIG_DRIVES, LIMITS_CPUS, LIMITS_DISKS
from novakit_hookspecs.hosts import CpuInfo, CpuTopology, Holding, HostContext, HostFacts, Inventory
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, Power
from novakit_hookspecs.virt import DriverSpec, ListsHoldings, LogsConsole, Pauses, Snapshots, Suspends
from novakit_simulated import console, topology_file
from novakit_simulated.faults import Dice, SimulatedFault, chance_of
from novakit_simulated.journal import Journal
from novakit_simulated.options import VirtOptions
from novakit_simulated.topology_file import HostTopology

FACETS = frozenset({LogsConsole, ListsHoldings, Snapshots, Pauses, Suspends})
"""What the driver can do beside what every one does; the host has a trait for each."""
ABILITIES = frozenset(
    {
        "COMPUTE_FIRMWARE_BIOS",
        *(f"COMPUTE_STORAGE_BUS_{bus}" for bus in ("VIRTIO", "SCSI", "SATA", "IDE", "USB")),
        *(f"COMPUTE_NET_VIF_MODEL_{model}" for model in ("VIRTIO", "E1000", "E1000E", "RTL8139", "VMXNET3")),
        CONFIG_DRIVES,
        LIMITS_CPUS,
        LIMITS_DISKS,
    }
)
"""Traits of every simulated host: what its guests are asked to have costs it nothing."""
BUILDING = "building"
_FAILED = "failed creates"
_KEPT_BOOTS = 8
"""Boots whose console output is made up again when somebody reads it; older ones have scrolled away."""
_OFF = (Power.SHUTDOWN.value, Power.CRASHED.value)
_DISK = 4096
"""Bytes of a simulated root disk."""


@attrs.define(eq=False)
class Events:
    """One listener's stream of power changes, from its making until the driver closes."""

    _queue: asyncio.Queue[GuestEvent | None] = attrs.field(factory=asyncio.Queue)

    def tell(self, event: GuestEvent | None) -> None:
        """Put an event in the stream; None ends it."""
        self._queue.put_nowait(event)

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> GuestEvent:
        if (event := await self._queue.get()) is None:
            raise StopAsyncIteration
        return event


@attrs.define(eq=False)
class SimulatedVirt:
    """A host whose guests are records in a journal."""

    options: VirtOptions
    context: HostContext
    clock: Callable[[], float] = time.time  # noqa: TID251
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    _dice: Dice = attrs.field(init=False)
    _journal: Journal = attrs.field(init=False)
    _topology: HostTopology = attrs.field(init=False, default=HostTopology())
    _listeners: "weakref.WeakSet[Events]" = attrs.field(init=False, factory=weakref.WeakSet)
    _timers: dict[str, asyncio.TimerHandle] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._dice = Dice(
            probability=self.options.fail_create,
            hosts=self.options.fail_hosts,
            first=self.options.fail_first,
            how=self.options.fail_how,
            random=chance_of(self.options.fail_create, self.options.seed, self.context.host),
        )
        self._journal = Journal(str(Path(self.context.state_dir) / "guests.journal"))

    async def open(self) -> None:
        self._topology = await asyncio.to_thread(topology_file.read, self.options.topology, self.context.host)
        self._journal = Journal.open(self._journal.path)
        for guest, record in self._guests():
            if record["power"] == Power.RUNNING.value:
                self._arm(guest, record)

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for listener in tuple(self._listeners):
            listener.tell(None)

    async def host(self) -> HostFacts:
        options = self.options
        told = self._topology
        if options.topology:  # Read again, so that what the host measures can change while it runs.
            told = await asyncio.to_thread(topology_file.read, options.topology, self.context.host)
        return HostFacts(
            hypervisor_type="simulated",
            hypervisor_version=1_000_000,
            hypervisor_hostname=self.context.host,
            host_ip=_address(self.context.host),
            inventory=self._inventory(),
            numa=self._topology.cells,
            pci=self._topology.pci,
            metrics=told.metrics,
            traits=ABILITIES | frozenset(options.traits),
            cpu_info=CpuInfo(
                arch="x86_64", model="simulated", vendor="novakit", topology=CpuTopology(cores=options.vcpus)
            ),
            supported_instances=(("x86_64", "simulated", "hvm"), ("x86_64", "qemu", "hvm"), ("x86_64", "kvm", "hvm")),
            machine_types=options.machine_types,
            why="This host is simulated; its guests run no code.",
        )

    def _inventory(self) -> dict[str, Inventory]:
        options, found = self.options, self._topology.cells
        shared = sum(len(cell.cpus) for cell in found) if found else options.vcpus
        memory = sum(cell.memory_mb for cell in found) if found else options.memory_mb
        inventory = {
            "MEMORY_MB": Inventory(total=memory, allocation_ratio=options.ram_allocation_ratio),
            "DISK_GB": Inventory(total=options.disk_gb, allocation_ratio=options.disk_allocation_ratio),
        }
        if shared or not found:
            inventory["VCPU"] = Inventory(total=shared, allocation_ratio=options.cpu_allocation_ratio)
        if dedicated := sum(len(cell.dedicated) for cell in found):
            inventory["PCPU"] = Inventory(total=dedicated)
        return inventory

    async def guests(self) -> Sequence[Guest]:
        return [_guest(key, record) for key, record in self._guests() if record["power"] != BUILDING]

    async def create(self, plan: GuestPlan) -> Guest:
        known = self._journal.records.get(plan.id)
        if known is not None and known["power"] != BUILDING:
            return self._start(plan.id, known)
        self._check_devices(plan)
        self._maybe_fail(plan)
        if delay := self._delay():
            self._journal.put(plan.id, _record(plan, BUILDING, []))
            await self.sleep(delay)
            known = self._journal.records.get(plan.id)
            if known is None:
                raise NotFound(f"guest {plan.id} was destroyed while it was being built")
            if known["power"] != BUILDING:
                return _guest(plan.id, known)
        record = _record(plan, Power.RUNNING.value, [[self.clock(), None]])
        return self._become(plan.id, record)

    async def destroy(self, guest: str) -> None:
        self._disarm(guest)
        self._journal.drop(guest)

    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        record = self._known(guest)
        if to is Power.RUNNING:
            return self._start(guest, record)
        if to is not Power.SHUTDOWN:
            raise Refused(f"a simulated guest cannot be brought to {to.value}; it takes running and shutdown")
        if record["power"] == Power.RUNNING.value and (wait := self._answers_in(record, within)) > 0:
            await self.sleep(wait)
        return self._stop(guest, Power.SHUTDOWN, "shut down")

    async def pause(self, guest: str) -> Guest:
        record = self._known(guest)
        if record["power"] not in (Power.RUNNING.value, Power.PAUSED.value):
            raise Refused(f"guest {guest} is {record['power']}; only one that runs can be paused")
        return self._halt(guest, record, Power.PAUSED)

    async def suspend(self, guest: str) -> Guest:
        record = self._known(guest)
        if record["power"] in (Power.SHUTDOWN.value, Power.CRASHED.value):
            raise Refused(f"guest {guest} is {record['power']}; only one that is on can be suspended")
        return self._halt(guest, record, Power.SUSPENDED)

    def events(self) -> AsyncIterator[GuestEvent]:
        listener = Events()
        self._listeners.add(listener)
        return listener

    async def console_log(self, guest: str, max_bytes: int) -> bytes:
        record = self._known(guest)
        if max_bytes <= 0:
            return b""
        printed = console.render(
            record["boots"],
            hostname=record["hostname"],
            vcpus=record["vcpus"],
            memory_mb=record["memory_mb"],
            boot_seconds=self.options.boot_seconds,
            now=self.clock(),
        )
        return printed[-max_bytes:]

    async def snapshot(self, guest: str, path: str) -> str:
        if self._known(guest)["power"] not in _OFF:
            raise Refused(f"guest {guest} is not off; stop it before a snapshot of its disk is taken")
        await asyncio.to_thread(Path(path).write_bytes, f"root disk of guest {guest}".encode().ljust(_DISK, b"\0"))
        return "raw"

    async def holdings(self) -> Sequence[Holding]:
        held = []
        for guest, record in self._guests():
            held.append(Holding(kind="disk", name=f"{guest}.disk", owner=guest))
            held += [Holding(kind="device", name=name, owner=guest) for name in record.get("devices", ())]
            if record["power"] != BUILDING:
                held.append(Holding(kind="domain", name=guest, owner=guest))
        return held

    def happen(self, guest: str, power: Power, why: str) -> Guest:
        """Let a guest stop or crash by itself, behind the agent's back. Raises NotFound for an unknown one."""
        self._known(guest)
        return self._stop(guest, power, why)

    def _guests(self) -> list[tuple[str, dict[str, Any]]]:
        return [(key, record) for key, record in self._journal.records.items() if key != _FAILED]

    def _known(self, guest: str) -> dict[str, Any]:
        record: dict[str, Any] | None = self._journal.records.get(guest)
        if record is None or record["power"] == BUILDING:
            raise NotFound(f"there is no guest {guest} on this host")
        return record

    def _check_devices(self, plan: GuestPlan) -> None:
        """Refuse a device that the host never reported, and break on one that another guest has."""
        if not plan.attachments:
            return
        reported = {device.address for device in self._topology.pci}
        taken = {name: guest for guest, record in self._guests() for name in record.get("devices", ())}
        for attachment, name in zip(plan.attachments, _devices(plan.attachments), strict=True):
            if isinstance(attachment, PciAttachment) and name not in reported:
                raise Refused(f"this host hands out no PCI device {name[:40]!r}")
            if taken.setdefault(name, plan.id) != plan.id:
                raise SimulatedFault(f"device {name} of host {self.context.host} is in guest {taken[name]} already")

    def _maybe_fail(self, plan: GuestPlan) -> None:
        failed = int(self._journal.records.get(_FAILED, 0))
        if self._dice.fails(self.context.host, failed):
            if failed < self.options.fail_first:
                self._journal.put(_FAILED, failed + 1)
            raise self._dice.error(f"guest {plan.id} was not created on {self.context.host}")

    def _delay(self) -> float:
        hangs = not self.options.hang_hosts or self.context.host in self.options.hang_hosts
        return self.options.create_seconds + (self.options.hang_create if hangs else 0.0)

    def _answers_in(self, record: dict[str, Any], within: float) -> float:
        """Return in how many seconds the guest is off, at the latest when the plug is pulled."""
        if self.options.ignores_shutdown:
            return within
        booted: float = record["boots"][-1][0] + self.options.boot_seconds
        return min(within, max(0.0, booted - self.clock()) + self.options.shutdown_seconds)

    def _start(self, guest: str, record: dict[str, Any]) -> Guest:
        if record["power"] == Power.RUNNING.value:
            return _guest(guest, record)
        boots = record["boots"]
        if record["power"] in _OFF:
            boots = [*boots, [self.clock(), None]][-_KEPT_BOOTS:]
        return self._become(guest, {**record, "power": Power.RUNNING.value, "why": "", "boots": boots})

    def _stop(self, guest: str, power: Power, why: str) -> Guest:
        record = self._known(guest)
        if record["power"] in _OFF:
            return _guest(guest, record)
        boots = [*record["boots"][:-1], [record["boots"][-1][0], self.clock()]]
        return self._become(guest, {**record, "power": power.value, "why": why, "boots": boots})

    def _halt(self, guest: str, record: dict[str, object], power: Power) -> Guest:
        """Stop a guest's CPUs; it goes on in the boot that it is in."""
        if record["power"] == power.value:
            return _guest(guest, record)
        return self._become(guest, {**record, "power": power.value, "why": power.value})

    def _become(self, guest: str, record: dict[str, Any]) -> Guest:
        """Write the new state down, then tell of it."""
        self._journal.put(guest, record)
        if record["power"] == Power.RUNNING.value:
            self._arm(guest, record)
        else:
            self._disarm(guest)
        event = GuestEvent(guest=guest, power=Power(record["power"]), why=record["why"])
        for listener in tuple(self._listeners):
            listener.tell(event)
        return _guest(guest, record)

    def _arm(self, guest: str, record: dict[str, Any]) -> None:
        if self.options.crash_after:
            due = record["boots"][-1][0] + self.options.crash_after - self.clock()
            loop = asyncio.get_running_loop()
            self._disarm(guest)
            self._timers[guest] = loop.call_later(
                max(0.0, due), self._stop, guest, Power.CRASHED, "crashed, as its options say"
            )

    def _disarm(self, guest: str) -> None:
        if timer := self._timers.pop(guest, None):
            timer.cancel()


def _devices(attachments: Sequence[Attachment]) -> list[str]:
    return [each.address if isinstance(each, PciAttachment) else each.uuid for each in attachments]


def _record(plan: GuestPlan, power: str, boots: list[list[float | None]]) -> dict[str, object]:
    return {
        "power": power,
        "why": "",
        "hostname": plan.hostname,
        "vcpus": plan.vcpus,
        "memory_mb": plan.memory_mb,
        "boots": boots,
        **({"numa": to_plain(plan.numa)} if plan.numa else {}),
        **({"devices": _devices(plan.attachments)} if plan.attachments else {}),
    }


def _guest(guest: str, record: dict[str, Any]) -> Guest:
    return Guest(id=guest, power=Power(record["power"]), why=record["why"])


@hookimpl
def novakit_drivers() -> Iterable[DriverSpec]:
    """Offer the simulated virt driver."""
    yield DriverSpec(
        name="simulated",
        api=1,
        build=SimulatedVirt,
        options=VirtOptions,
        facets=FACETS,
        renders={PciAttachment, MdevAttachment},
        wants_images=False,
        simulates=True,
    )


def _address(host: str) -> str:
    """Return the address of a simulated host: made of the number its name ends in, from the range for benchmarks."""
    number = re.search(r"\d+$", host)
    return str(ipaddress.IPv4Address("198.18.0.0") + int(number[0] if number else 0) % 2**17)
