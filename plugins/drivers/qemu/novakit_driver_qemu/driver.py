"""The plain QEMU driver: composes directories, command lines, processes and QMP into the contract's methods.

The idea: each guest is a process that outlives this one, and its directory says all that is to be known of it. So a
driver that starts finds the guests that run by their directories, and watches them as if it had started them.
The invariant: a guest has one QEMU at most, since a start takes the lock of the guest's record, and one watch. What is
done to one guest is done in a row, and its removal overtakes (`WorkByGuest`); its directory goes last, so that whatever
is cut short is found and removed again.
The cost: for each guest that runs a shell, two tasks and two descriptors; 0.2 ms for each to find those that run, at
the start. Consoles are looked at every `TRIM_EVERY` seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

import attrs

from novakit_driver_qemu import console, examination, guest_cpu, host_facts, launch, memory, processes
from novakit_driver_qemu.guests import Watch
from novakit_driver_qemu.instances import GuestDirectories
from novakit_driver_qemu.machine import Machine
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.errors import Busy, DeviceTaken, NotFound, Refused
from novakit_hookspecs.findings import ExaminesHost, Finding, Verdict
from novakit_hookspecs.hosts import Holding, HostContext, HostFacts
from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, Power
from novakit_hookspecs.virt import ListsHoldings, LogsConsole, Pauses, Suspends, UsesImages
from novakit_host import disks
from novakit_host.acceleration import QEMU, Acceleration
from novakit_host.commands import run
from novakit_host.guest_work import WorkByGuest, end, whole
from novakit_host.pci.survey import survey

TRIM_EVERY = 5.0
"""Seconds between two looks at the length of the consoles' logs."""


FACETS = frozenset({LogsConsole, ListsHoldings, ExaminesHost, Pauses, Suspends, UsesImages})
"""What the driver can do beside what every one does; the host has a trait for each."""


@attrs.define(eq=False)
class QemuDriver:
    """Guests on QEMU, each a process of its own that outlives this one."""

    options: QemuOptions
    context: HostContext
    root: Path = Path("/")
    """Where `sys`, `proc` and `dev` are, for PCI devices."""
    _instances: GuestDirectories = attrs.field(init=False)
    _work: WorkByGuest = attrs.field(init=False, factory=WorkByGuest)
    _watches: dict[str, Watch] = attrs.field(init=False, factory=dict)
    _listeners: "WeakSet[asyncio.Queue[GuestEvent]]" = attrs.field(init=False, factory=WeakSet)
    _verdict: Acceleration | None = attrs.field(init=False, default=None)
    _version: int = attrs.field(init=False, default=0)
    _cpu_features: Collection[str] = attrs.field(init=False, default=())
    _trimming: "asyncio.Task[None] | None" = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        root = Path(self.context.state_dir).resolve() / "instances"
        self._instances = GuestDirectories(root, self.options.first_user)

    async def open(self) -> None:
        """Decide on the acceleration and find the guests that run; raise `Refused` when programs are missing."""
        if lacking := examination.missing():
            raise Refused(f"guests need programs that are not installed: apt-get install {' '.join(lacking)}")
        self._instances.root.mkdir(mode=0o700, exist_ok=True)
        if (fault := examination.users(self.options.first_user)).verdict is Verdict.MISSING:
            raise Refused(f"{fault.found}; {fault.remedy}")
        self._verdict = await examination.decided(self.options.acceleration, Path(self.context.state_dir))
        self._version = host_facts.version_of((await run([QEMU, "--version"])).said)
        self._cpu_features = await guest_cpu.features(self._verdict.acceleration)
        with suppress(OSError):  # such as on a full disk: the plans tell, and the next start writes it down
            await asyncio.to_thread(self._instances.note_devices)
        for guest in await asyncio.to_thread(processes.running, self._instances.root):
            await self._adopt(guest)
        self._trimming = asyncio.get_running_loop().create_task(self._trim(), name="trim consoles")

    async def close(self) -> None:
        """Let go of the guests; they run on."""
        if self._trimming is not None:
            await end([self._trimming])
        for watch in list(self._watches.values()):
            await watch.close()
        self._watches.clear()

    async def examine_host(self) -> Sequence[Finding]:
        """Look at everything the driver needs on its host."""
        return await examination.examine(self.options, Path(self.context.state_dir), self.root)

    async def host(self) -> HostFacts:
        """Return what the host has to offer now."""
        return await asyncio.to_thread(
            host_facts.read,
            self.context,
            self.options,
            self._decided(),
            self._version or 1_000_000,
            self.root,
            self._cpu_features,
        )

    async def guests(self) -> Sequence[Guest]:
        """List every guest that was built, running or not."""
        return [self._guest(guest) for guest in await asyncio.to_thread(self._instances.built)]

    async def create(self, plan: GuestPlan) -> Guest:
        """Build the guest and start it; whatever an earlier try has finished is kept."""
        return await self._work.do(plan.id, self._create(plan))

    async def destroy(self, guest: str) -> None:
        """End whatever is being done to the guest, stop it and remove all of it; the unknown is fine."""
        try:
            self._instances.of(guest)
        except NotFound:
            return
        async with self._work.overtaking(guest):
            # Asked while QEMU runs: where the plan is damaged, its user is all that tells of them.
            devices = (await asyncio.to_thread(self._instances.devices, self.root)).get(guest, ())
            if (watch := self._watches.get(guest)) is not None:
                await watch.stop(gently=False)
            await processes.end_all(guest, self._instances.root)
            await asyncio.to_thread(launch.give_devices, devices, 0, self.root)
            await asyncio.to_thread(self._instances.remove, guest)

    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        """Bring the guest to RUNNING or SHUTDOWN; a shutdown pulls the plug after `within` seconds."""
        if to not in (Power.RUNNING, Power.SHUTDOWN):
            raise Refused(f"a guest cannot be brought to {to.value} by set_power")
        return await self._work.do(guest, self._set_power(guest, to, within))

    async def pause(self, guest: str) -> Guest:
        """Stop the guest's CPUs; its memory stays where it is."""
        return await self._work.do(guest, self._pause(guest))

    async def suspend(self, guest: str) -> Guest:
        """Write the guest's memory beside its disks and end it."""
        return await self._work.do(guest, self._suspend(guest))

    def events(self) -> AsyncIterator[GuestEvent]:
        """Tell of power changes from now on."""
        queue: asyncio.Queue[GuestEvent] = asyncio.Queue()
        self._listeners.add(queue)
        return _drain(queue)

    async def console_log(self, guest: str, max_bytes: int) -> bytes:
        """Return the last bytes the guest printed, over reboots and power cycles."""
        if not self._instances.of(guest).is_dir():
            raise NotFound(f"there is no guest {guest} on this host")
        return await asyncio.to_thread(console.tail, self._instances.console(guest), max_bytes)

    async def images_in_use(self) -> Collection[str]:
        """List the image files that disks of guests take from."""
        return await disks.images_in_use(self._instances.root)

    async def holdings(self) -> Sequence[Holding]:
        """List the built guests, running QEMU processes, and the directories and files of all guests."""
        running = await asyncio.to_thread(processes.running, self._instances.root)
        found = [Holding(kind="domain", name=f"nk-{guest}", owner=guest) for guest in self._instances.built()]
        found += [Holding(kind="process", name=str(pid), owner=guest) for guest in running for pid in running[guest]]
        for guest, addresses in self._instances.devices(self.root).items():
            found += [Holding(kind="device", name=address, owner=guest) for address in addresses]
        for guest in self._instances.held():
            directory = self._instances.of(guest)
            try:
                paths = sorted(directory.iterdir())
            except FileNotFoundError:  # it was removed meanwhile
                continue
            for path in (directory, *paths):
                kind = "disk" if path.suffix in (".qcow2", ".raw", ".iso") else "file"
                found.append(Holding(kind=kind, name=str(path), owner=guest))
        return found

    async def _create(self, plan: GuestPlan) -> Guest:
        if not self._instances.is_built(plan.id):
            machine = Machine.of(plan)
            await asyncio.to_thread(self._require_devices, machine)
            await self._instances.build(plan, machine)
        return await self._started(plan.id)

    def _require_devices(self, machine: Machine) -> None:
        """Refuse a device that no guest can be given, and break on one that another guest has."""
        if not machine.devices:
            return
        found = survey(self.options.pci, self.root, bound_only=True)
        theirs = self._instances.devices(self.root)
        held = {address: guest for guest, addresses in theirs.items() for address in addresses}
        for address in machine.devices:
            if why := found.why_not(address):
                raise Refused(why)
            if held.get(address, machine.id) != machine.id:
                raise DeviceTaken(f"the PCI device {address} is in guest {held[address]} already")

    async def _set_power(self, guest: str, to: Power, within: float) -> Guest:
        self._instances.machine(guest)
        if to is Power.RUNNING:
            return await self._started(guest)
        if (watch := self._watches.get(guest)) is not None:
            if within > 0:
                await watch.shut_down(within)
            await watch.stop(gently=True)
        memory.forget(self._instances.memory(guest))
        # One that crashed is off as well, and whoever asked for SHUTDOWN has it now.
        self._instances.forget_end(guest)
        return Guest(id=guest, power=Power.SHUTDOWN, why=watch.why if watch else "")

    async def _pause(self, guest: str) -> Guest:
        watch = self._on(guest, "paused")
        if self._instances.memory(guest).exists():
            raise Refused(f"guest {guest} is suspended; only one that runs can be paused")
        await watch.bring(Power.PAUSED, "stop", "paused")
        return self._guest(guest)

    async def _suspend(self, guest: str) -> Guest:
        if self._instances.memory(guest).exists() and guest not in self._watches:
            return self._guest(guest)
        if devices := self._instances.machine(guest).devices:
            held = ", ".join(devices)
            raise Refused(f"guest {guest} has {held}, whose state cannot be kept; stop it instead")
        await self._on(guest, "suspended").suspend()
        return self._guest(guest)

    def _on(self, guest: str, what: str) -> Watch:
        """Return the watch over a guest that is on. Raises NotFound, or Refused for one that is off."""
        self._instances.machine(guest)
        watch = self._watches.get(guest)
        if watch is None or not watch.process.alive:
            raise Refused(f"guest {guest} is off; only one that is on can be {what}")
        return watch

    async def _started(self, guest: str) -> Guest:
        """Start the guest's QEMU unless it runs."""
        suspended = self._instances.memory(guest).exists()
        if suspended and (watch := self._watches.get(guest)) is not None:
            await watch.stop(gently=True)  # it has not run since the memory was written: it is begun anew
        if (watch := self._watches.get(guest)) is not None:
            if watch.process.alive:
                await watch.resume()
                return self._guest(guest)
            await watch.stop(gently=True)  # it ended a moment ago: let that be told first
        if suspended or not await self._adopt(guest):
            start = launch.Launch(
                machine=self._instances.machine(guest),
                directory=self._instances.of(guest),
                acceleration=self._decided().acceleration,
                user=self._instances.user(guest),
                suspended=suspended,
                root=self.root,
            )
            # Cut short, it might leave a QEMU in the background that nobody has heard of.
            process = await whole(start.start())
            watch = self._watch(guest, process)
            if suspended:
                await watch.restore()
            self._tell(guest, Power.RUNNING, "resumed" if suspended else "started")
        return self._guest(guest)

    async def _adopt(self, guest: str) -> bool:
        """Watch the guest's QEMU if one runs, one that an agent before this was starting too."""
        process = await processes.settled(guest, self._instances.root)
        if process is not None:
            self._watch(guest, process)
        return process is not None

    def _watch(self, guest: str, process: processes.QemuProcess) -> Watch:
        watch = Watch(guest, process, self._instances, self._tell)
        self._watches[guest] = watch
        watch.start(lambda: self._watches.pop(guest, None))
        return watch

    def _guest(self, guest: str) -> Guest:
        if self._instances.memory(guest).exists():
            return Guest(id=guest, power=Power.SUSPENDED, why="saved to disk")
        if (watch := self._watches.get(guest)) is not None:
            return Guest(id=guest, power=watch.power, why=watch.why)
        if self._instances.ended_badly(guest):
            return Guest(id=guest, power=Power.CRASHED, why="QEMU ended unexpectedly")
        return Guest(id=guest, power=Power.SHUTDOWN)

    def _decided(self) -> Acceleration:
        if self._verdict is None:
            raise Busy("the QEMU driver is not open yet")
        return self._verdict

    def _tell(self, guest: str, power: Power, why: str) -> None:
        event = GuestEvent(guest=guest, power=power, why=why)
        for queue in list(self._listeners):
            queue.put_nowait(event)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_EVERY)
            for guest in list(self._watches):
                await console.trim(self._instances.console(guest))


async def _drain(queue: "asyncio.Queue[GuestEvent]") -> AsyncIterator[GuestEvent]:
    while True:
        yield await queue.get()
