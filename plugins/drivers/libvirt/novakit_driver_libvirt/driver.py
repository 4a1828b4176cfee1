"""The libvirt driver: composes domain XML, disks, console and libvirt's calls into the contract's methods.

The idea: libvirt remembers the domains, so the driver keeps no list of guests: what there is is asked of libvirt, and
what is a guest's on disk is found by its id.
The invariant: a domain is defined after its disks are whole, and undefined before they go, so a domain that is there
has all its disks and a build that was cut short is repeated from where it stood. What is done to one guest is done in a
row, and its removal overtakes (`WorkByGuest`). A domain of the same name that another service made is never touched.
The cost: some 5 calls of `Calls` for a create beside the copying of disks; while a guest is asked to shut down it is
looked at with each event, and at least every `LOOK_AGAIN` seconds.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path

import attrs
from lxml import etree

from novakit_driver_libvirt import (
    console,
    daemons,
    device_notes,
    examination,
    firmware,
    guest_cpu,
    guest_users,
    host_cells,
    host_devices,
    host_facts,
    kvm_device,
)
from novakit_driver_libvirt.calls import Calls, Domain
from novakit_driver_libvirt.disks import Disks, unsearchable
from novakit_driver_libvirt.domain_xml import Surroundings, render
from novakit_driver_libvirt.firmware import Firmware
from novakit_driver_libvirt.guest_users import Label
from novakit_driver_libvirt.naming import name_of
from novakit_driver_libvirt.options import LibvirtOptions
from novakit_driver_libvirt.power_events import PowerEvents, drain, next_of
from novakit_fit.hardware import hardware
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.findings import ExaminesHost, Finding
from novakit_hookspecs.hosts import Holding, HostContext, HostFacts, PreparesHost
from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, Power
from novakit_hookspecs.urls import without_secrets
from novakit_hookspecs.virt import ListsHoldings, LogsConsole, Pauses, Snapshots, Suspends, UsesImages
from novakit_host import disks as making
from novakit_host.acceleration import DEVICE, Acceleration, decide, fault_of
from novakit_host.guest_users import unused
from novakit_host.guest_work import WorkByGuest
from novakit_host.machine import HostMachine
from novakit_host.pci.survey import Survey, survey

PRESS_AGAIN = 10.0
"""Seconds after which the power button is pressed again: a guest that boots misses the first time."""
LOOK_AGAIN = 2.0
"""Seconds after which the state is asked for, in case the event was lost."""
MACHINE = "q35"
"""The machine type that libvirt is asked about; CPUs do not depend on it, and Secure Boot has no other."""
_OFF = (Power.SHUTDOWN, Power.CRASHED)


FACETS = frozenset({LogsConsole, ListsHoldings, PreparesHost, ExaminesHost, Snapshots, Pauses, Suspends, UsesImages})
"""What the driver can do beside what every one does; the host has a trait for each."""


@attrs.define(eq=False)
class LibvirtDriver:
    """Guests on QEMU, by libvirt."""

    options: LibvirtOptions
    context: HostContext
    run_dir: Path = daemons.RUN
    root: Path = Path("/")
    """Where `sys`, `proc` and `dev` are, for PCI devices."""
    _disks: Disks = attrs.field(init=False)
    _events: PowerEvents = attrs.field(init=False)
    _calls: Calls = attrs.field(init=False)
    _work: WorkByGuest = attrs.field(init=False, factory=WorkByGuest)
    _verdict: Acceleration | None = attrs.field(init=False, default=None)
    _shared_cpus: Mapping[int, Sequence[int]] = attrs.field(init=False, factory=dict)
    libvirt_home: Path = guest_users.HOME
    _base: Label = attrs.field(init=False, default=guest_users.ROOT)
    _own: guest_users.UsersOfGuests = attrs.field(init=False, factory=guest_users.UsersOfGuests)
    _users: dict[str, int] = attrs.field(init=False, factory=dict)
    """Users that guests were given; of one that is being made no domain tells yet."""

    def __attrs_post_init__(self) -> None:
        self._disks = Disks(Path(self.context.state_dir).resolve() / "instances")
        self._events = PowerEvents(self._ours)
        self._calls = Calls(self.options.uri, self.options.workers, self._events.tell, self._events.lost)

    async def open(self) -> None:
        """Connect to libvirt and decide on the acceleration; raise `Refused` with a remedy when that is impossible."""
        if lacking := daemons.missing():
            raise Refused(f"guests need programs that are not installed: apt-get install {' '.join(lacking)}")
        await asyncio.to_thread(self._disks.prepare)
        try:
            await self._calls.open()
        except (Busy, Refused) as error:
            await self._calls.close()
            raise Refused(
                f"libvirt cannot be reached at {without_secrets(self.options.uri)}: {error};"
                " install libvirt-daemon-system and start it (`systemctl start libvirtd`,"
                " or `virtlogd -d` and `libvirtd -d` where no systemd runs)"
            ) from error
        await device_notes.write(self._calls, self._disks)
        self._verdict = await self._decide()
        capabilities = await self._calls.capabilities()
        self._shared_cpus = self._sharing(capabilities)
        self._base = guest_users.of_libvirt(capabilities)
        accelerated, first = self._verdict.acceleration, self.options.first_user
        self._own = guest_users.choose(self._base, accelerated, first, self.libvirt_home)
        self._require_way_to(self._disks.root / "disk")

    async def close(self) -> None:
        """Let go of libvirt; guests run on."""
        await self._events.close()
        await self._calls.close()

    async def prepare_host(self) -> Sequence[str]:
        """Start libvirt's daemons when they are installed and nobody runs them.

        One that runs is left alone; when it makes every guest slow, a sentence says so.
        """
        if not self._has_own_libvirt():
            return []
        broken = DEVICE.exists() and await fault_of(Path(self.context.state_dir))
        started = await daemons.start_missing(self.run_dir, hide_kvm=bool(broken))
        seen_by = await asyncio.to_thread(kvm_device.seen_by_libvirt, daemons.sockets(self.run_dir)) if broken else None
        return started if seen_by is None else [*started, examination.SLOW.format(pid=seen_by)]

    async def examine_host(self) -> Sequence[Finding]:
        """Return what of programs, daemons and acceleration is there."""
        state_dir = Path(self.context.state_dir)
        return await examination.examine(
            self.options, state_dir, self.run_dir, self.root, own_host=self._has_own_libvirt()
        )

    async def host(self) -> HostFacts:
        """Return what the host has to offer now."""
        capabilities, version, domains = await asyncio.gather(
            self._calls.capabilities(), self._calls.version(), self._domain_capabilities()
        )
        machine = await asyncio.to_thread(HostMachine.read, Path(self.context.state_dir))
        return host_facts.facts(
            host=self.context.host,
            machine=machine,
            options=self.options,
            verdict=self._decided(),
            capabilities=capabilities,
            version=version,
            pages=not self._has_own_libvirt() or await asyncio.to_thread(daemons.pages_mounted),
            firmware=await self._firmware(domains),
            cpu_features=await self._cpu_features(domains),
            pci=(await self._surveyed()).devices,
        )

    async def guests(self) -> Sequence[Guest]:
        """List every guest of ours, running or not."""
        return [_guest(domain) for domain in await self._ours()]

    async def create(self, plan: GuestPlan) -> Guest:
        """Build the guest and start it; whatever an earlier try has finished is kept."""
        return await self._work.do(plan.id, self._create(plan))

    async def destroy(self, guest: str) -> None:
        """End whatever is being done to the guest, stop it and remove all of it; the unknown is fine."""
        async with self._work.overtaking(guest):
            if (domain := await self._calls.domain(guest)) is not None and not self._is_ours(domain):
                raise Refused(f"domain {name_of(guest)} belongs to another service, in {domain.directory!r}")
            await self._calls.undefine(guest)
            await asyncio.to_thread(self._disks.remove, guest)
            self._users.pop(guest, None)

    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        """Bring the guest to RUNNING or SHUTDOWN; a shutdown pulls the plug after `within` seconds."""
        if to not in (Power.RUNNING, Power.SHUTDOWN):
            raise Refused(f"a guest cannot be brought to {to.value} by set_power")
        return await self._work.do(guest, self._set_power(guest, to, within))

    async def pause(self, guest: str) -> Guest:
        """Stop the guest's CPUs; its memory stays where it is."""
        return await self._work.do(guest, self._pause(guest))

    async def suspend(self, guest: str) -> Guest:
        """Have libvirt save the guest's memory and end it."""
        return await self._work.do(guest, self._suspend(guest))

    def events(self) -> AsyncIterator[GuestEvent]:
        """Tell of power changes from now on; after a lost connection the present state of every guest is told."""
        return drain(self._events.listen())

    async def console_log(self, guest: str, max_bytes: int) -> bytes:
        """Return the last bytes the guest printed, over reboots and power cycles."""
        if not await asyncio.to_thread(self._disks.of(guest).is_dir):
            raise NotFound(f"there is no guest {guest} on this host")
        return await asyncio.to_thread(console.tail, self._disks.console(guest), max_bytes)

    async def snapshot(self, guest: str, path: str) -> str:
        """Write the root disk of a stopped guest, flattened, as a qcow2 image."""
        return await self._work.do(guest, self._snapshot(guest, Path(path)))

    async def images_in_use(self) -> Collection[str]:
        """List the image files that disks of guests take from."""
        return await making.images_in_use(self._disks.root)

    async def holdings(self) -> Sequence[Holding]:
        """List our domains, and the directories and files of guests, with or without a domain."""
        domains = [each.guest for each in await self._ours()]
        found = [Holding(kind="domain", name=name_of(guest), owner=guest) for guest in domains]
        guests = {*domains, *await asyncio.to_thread(self._disks.guests)}
        found += device_notes.holdings(await device_notes.held(self._calls, self._disks), sorted(guests))
        return found + await asyncio.to_thread(self._files)

    async def _decide(self) -> Acceleration:
        verdict = await decide(self.options.acceleration, Path(self.context.state_dir))
        if verdict.acceleration == "kvm" and self._has_own_libvirt():
            return await asyncio.to_thread(examination.as_libvirt_has_it, verdict, self.run_dir)
        return verdict

    async def _domain_capabilities(self) -> str:
        return await self._calls.domain_capabilities(_domain_type(self._decided()), MACHINE)

    async def _cpu_features(self, domains: str) -> Collection[str]:
        """Name what the CPUs of guests can do, as far as libvirt knows it."""
        if (model := guest_cpu.host_model(domains)) is None:
            return ()
        return guest_cpu.features(await self._calls.every_feature(_domain_type(self._decided()), MACHINE, model))

    async def _firmware(self, domains: str) -> Firmware:
        """Return the firmware for UEFI that libvirt offers; it looks for newly installed files at its start alone."""
        return (await asyncio.to_thread(firmware.installed, self.root)).known_to(firmware.loaders(domains))

    async def _surveyed(self) -> Survey:
        return await asyncio.to_thread(survey, self.options.pci, self.root)

    def _files(self) -> list[Holding]:
        found = []
        for guest in self._disks.guests():
            found.append(Holding(kind="file", name=str(self._disks.of(guest)), owner=guest))
            for path in self._disks.files(guest):
                kind = "disk" if path.suffix in (".qcow2", ".raw", ".iso") else "file"
                found.append(Holding(kind=kind, name=str(path), owner=guest))
        return found

    async def _create(self, plan: GuestPlan) -> Guest:
        domain = await self._calls.domain(plan.id)
        if domain is not None and not self._is_ours(domain):
            raise Refused(f"domain {name_of(plan.id)} belongs to another service, in {domain.directory!r}")
        if domain is None:
            # A domain is defined last, so one that exists has all its disks.
            if plan.attachments:
                found, held = await self._surveyed(), await device_notes.held(self._calls, self._disks)
                host_devices.require(plan, found, held, name_of(plan.id))
            if plan.image is not None:
                self._require_way_to(Path(plan.image.path))
            around = await self._surroundings(plan)
            # Rendered once without disks, to be refused before gigabytes are copied.
            render(plan, (), around)
            await self._require_cpu_limits(plan)
            disks = await self._disks.build(plan)
            around = attrs.evolve(around, label=await self._label(plan.id))
            await self._calls.define(render(plan, disks, around))
        return await self._running(plan.id)

    async def _label(self, guest: str) -> str:
        """Give the guest a user of its own; empty where libvirt's own choice stands."""
        if self._own.group is None:
            return ""
        used = await self._calls.users()
        # Nothing is awaited from here on: two guests that are made at once must not find the same one free.
        try:
            user = unused(guest, {*used, *self._users.values()}, self.options.first_user)
        except ValueError as error:
            raise Refused(f"guest {guest} cannot be given a user: {error}") from error
        self._users[guest] = user
        return str(Label(user, self._own.group))

    async def _set_power(self, guest: str, to: Power, within: float) -> Guest:
        domain = await self._known(guest)
        if to is Power.RUNNING:
            return _guest(domain) if domain.power is Power.RUNNING else await self._running(guest)
        if domain.power is Power.SUSPENDED:
            await self._calls.forget_memory(guest)
        if domain.power is Power.RUNNING and within > 0:
            domain = await self._shut_down(guest, within)
        if domain.power not in _OFF:
            await self._calls.act(guest, lambda domain: domain.destroy())
        # One that crashed is off as well, and whoever asked for SHUTDOWN has it now.
        return Guest(id=guest, power=Power.SHUTDOWN, why=(await self._known(guest)).why)

    async def _pause(self, guest: str) -> Guest:
        if (domain := await self._known(guest)).power not in (Power.RUNNING, Power.PAUSED):
            raise Refused(f"guest {guest} is {domain.power.value}; only one that runs can be paused")
        await self._calls.act(guest, lambda domain: domain.suspend())  # its CPUs: libvirt's word for a pause
        return _guest(await self._known(guest))

    async def _suspend(self, guest: str) -> Guest:
        if (domain := await self._known(guest)).power in _OFF:
            raise Refused(f"guest {guest} is {domain.power.value}; only one that is on can be suspended")
        if held := (await self._calls.host_devices()).get(name_of(guest)):
            raise Refused(f"guest {guest} has {', '.join(held)}, whose state cannot be kept; stop it instead")
        await self._calls.save(guest)
        return _guest(await self._known(guest))

    async def _snapshot(self, guest: str, path: Path) -> str:
        if (await self._known(guest)).power not in _OFF:
            raise Refused(f"guest {guest} runs; stop it before a snapshot of its disk is taken")
        await self._disks.flatten(guest, path, within=self.options.snapshot_within)
        return "qcow2"

    async def _shut_down(self, guest: str, within: float) -> Domain:
        """Ask the guest to shut down, and give its state when it has, or when the time is over."""
        clock = asyncio.get_running_loop().time
        end, press_at = clock() + within, clock()
        told = self._events.listen()
        # Listening begins before the state is read: an event in between would be waited for in vain.
        domain = await self._known(guest)
        while domain.power not in _OFF and clock() < end:
            if clock() >= press_at:
                await self._calls.press_power_button(guest)
                press_at = clock() + PRESS_AGAIN
            await next_of(told, guest, min(LOOK_AGAIN, max(0.0, end - clock())))
            domain = await self._known(guest)
        return domain

    async def _running(self, guest: str) -> Guest:
        await self._calls.start(guest)
        return _guest(await self._known(guest))

    async def _known(self, guest: str) -> Domain:
        domain = await self._calls.domain(guest)
        if domain is None or not self._is_ours(domain):
            raise NotFound(f"there is no guest {guest} on this host")
        return domain

    def _has_own_libvirt(self) -> bool:
        uri = self.options.uri
        return uri.startswith(("qemu:///system", "qemu+unix:///system")) and "socket=" not in uri

    async def _ours(self) -> Sequence[Domain]:
        return [domain for domain in await self._calls.domains() if self._is_ours(domain)]

    def _is_ours(self, domain: Domain) -> bool:
        return domain.directory == str(self._disks.root)

    def _decided(self) -> Acceleration:
        if self._verdict is None:
            raise Busy("the libvirt driver is not open yet")
        return self._verdict

    async def _surroundings(self, plan: GuestPlan) -> Surroundings:
        return Surroundings(
            kind=_domain_type(self._decided()),
            machine=self.options.machine,
            directory=str(self._disks.root),
            console=str(self._disks.console(plan.id)),
            nvram=str(self._disks.nvram(plan.id)),
            firmware=await self._firmware(await self._domain_capabilities()),
            vnc=self.options.vnc,
            shared_cpus=self._shared_cpus,
            divided=bool(self.options.cpu_dedicated_set or self.options.cpu_shared_set),
        )

    def _sharing(self, capabilities: str) -> Mapping[int, Sequence[int]]:
        """Return the CPUs that guests share, by cell of the host."""
        cells = host_cells.cells(etree.fromstring(capabilities), self.options)
        return {cell.id: cell.cpus for cell in cells}

    async def _require_cpu_limits(self, plan: GuestPlan) -> None:
        wanted = hardware(plan.vcpus, plan.extra_specs, plan.image_properties).cpu_limits
        if wanted and self._has_own_libvirt() and not await asyncio.to_thread(daemons.cpus_are_limited):
            raise Refused("limits of CPUs need the host's control group cpu, which is not below /sys/fs/cgroup")

    def _require_way_to(self, path: Path) -> None:
        user = self._base.user if self._own.group is None else self.options.first_user
        if (closed := unsearchable(path, user)) is not None:
            what = f"QEMU runs as user {user} and cannot get to {path.parent} through {closed}"
            raise Refused(f"{what}: run `chmod o+x {closed}`, or keep the state elsewhere")


def _domain_type(verdict: Acceleration) -> str:
    """Return the word libvirt has for an acceleration."""
    return "kvm" if verdict.acceleration == "kvm" else "qemu"


def _guest(domain: Domain) -> Guest:
    return Guest(id=domain.guest, power=domain.power, why=domain.why)
