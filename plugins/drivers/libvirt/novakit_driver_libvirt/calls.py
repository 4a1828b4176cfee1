"""The one module that talks to libvirt: a bounded thread pool, a connection that comes back, plain values out.

The idea: libvirt's calls block, so each runs in a thread of a pool, with the one connection that all share; a thread
that finds it dead opens another. Events come in a thread of libvirt's own and are handed to the loop.
The invariant: what is told is a plain value, and what is raised is Busy, Refused or NotFound; an object of libvirt is
seen by what `act` runs, in its thread, and by nobody else. Whoever is cancelled is told after the call has ended, as a
thread cannot be stopped. Each call may be repeated: what it finds done already it leaves alone.
The cost: 50 µs for a thread beside what libvirt takes, and at most `workers` (8) calls at once; a connection that
hangs is given up after 20 s (`_KEEP_ALIVE_S`, `_KEEP_ALIVE_COUNT`).
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import attrs
import libvirt

from novakit_driver_libvirt import guest_users, host_devices
from novakit_driver_libvirt.naming import METADATA_NAMESPACE, directory_of, guest_of, name_of
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.servers import Power
from novakit_hookspecs.urls import without_secrets

T = TypeVar("T")

_KEEP_ALIVE_S, _KEEP_ALIVE_COUNT = 5, 3
"""libvirt's client asks every 5 s whether the daemon is there, and ends the connection after 3 questions without an
answer: a daemon that hangs is noticed within 20 s."""

_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: Power.SHUTDOWN,
    libvirt.VIR_DOMAIN_RUNNING: Power.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: Power.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: Power.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: Power.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: Power.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: Power.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Power.SUSPENDED,
}
_OFF_REASONS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: (Power.SHUTDOWN, "shut down by the guest"),
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: (Power.SHUTDOWN, "the plug was pulled"),
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: (Power.CRASHED, "QEMU ended unexpectedly"),
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: (Power.SHUTDOWN, "QEMU failed to start"),
}
_EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: (Power.RUNNING, "started"),
    libvirt.VIR_DOMAIN_EVENT_RESUMED: (Power.RUNNING, "resumed"),
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: (Power.PAUSED, "paused"),
    libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED: (Power.SUSPENDED, "suspended by the guest"),
    libvirt.VIR_DOMAIN_EVENT_CRASHED: (Power.CRASHED, "the guest crashed"),
}
_STOPPED_DETAILS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: (Power.SHUTDOWN, "shut down by the guest"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: (Power.SHUTDOWN, "the plug was pulled"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: (Power.CRASHED, "the guest crashed"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED: (Power.SUSPENDED, "saved to disk"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: (Power.CRASHED, "QEMU ended unexpectedly"),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT: (Power.SHUTDOWN, "a snapshot was restored"),
}
_LOST = frozenset(
    {
        libvirt.VIR_ERR_NO_CONNECT,
        libvirt.VIR_ERR_INVALID_CONN,
        libvirt.VIR_ERR_RPC,
        libvirt.VIR_ERR_OPERATION_TIMEOUT,
        libvirt.VIR_ERR_OPERATION_ABORTED,
    }
)
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
)


@attrs.frozen
class Domain:
    """A libvirt domain whose name this driver gave."""

    guest: str
    power: Power
    why: str
    directory: str
    """The instances directory that its metadata names; empty when there is none."""


class _EventThread:
    """libvirt's own event loop, one for the process, so that it serves whichever asyncio loop is running."""

    _lock = threading.Lock()
    _started = False

    @classmethod
    def start(cls) -> None:
        # libvirt has one event loop implementation for a process, registered before the first connection, for good.
        with cls._lock:
            if cls._started:
                return
            libvirt.registerErrorHandler(lambda _context, _error: None, None)  # errors are raised, never printed
            libvirt.virEventRegisterDefaultImpl()
            threading.Thread(target=cls._run, name="libvirt-events", daemon=True).start()
            cls._started = True

    @staticmethod
    def _run() -> None:
        while True:
            libvirt.virEventRunDefaultImpl()


@attrs.define(eq=False)
class Calls:
    """libvirt's calls as coroutines; errors are those of the contract."""

    uri: str
    workers: int
    on_event: Callable[[str, Power, str], None]
    """Called in the loop with guest, power and why."""
    on_lost: Callable[[], None]
    """Called in the loop when the connection broke."""
    _pool: ThreadPoolExecutor | None = attrs.field(init=False, default=None)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(init=False, default=None)
    _connection: "libvirt.virConnect | None" = attrs.field(init=False, default=None)
    _subscription: int = attrs.field(init=False, default=-1)
    _connecting: threading.Lock = attrs.field(init=False, factory=threading.Lock)

    async def open(self) -> None:
        """Connect; raise `Busy` when nobody answers at the URI."""
        _EventThread.start()
        self._loop = asyncio.get_running_loop()
        self._pool = self._pool or ThreadPoolExecutor(self.workers, thread_name_prefix="libvirt")
        await self._run(lambda connection: None)

    async def close(self) -> None:
        """Disconnect; guests run on."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        await asyncio.get_running_loop().run_in_executor(pool, self._disconnect)
        pool.shutdown(wait=False)
        self._loop = None

    async def domains(self) -> Sequence[Domain]:
        """List the domains whose name and UUID are of our making."""

        def work(connection: libvirt.virConnect) -> list[Domain]:
            found = []
            for domain in connection.listAllDomains(0):
                guest = guest_of(domain.name())
                if guest and guest == domain.UUIDString() and (each := _describe(domain, guest)):
                    found.append(each)
            return found

        return await self._run(work)

    async def domain(self, guest: str) -> Domain | None:
        """Look one guest's domain up."""

        def work(connection: libvirt.virConnect) -> Domain | None:
            found = _find(connection, guest)
            return None if found is None else _describe(found, guest)

        return await self._run(work)

    async def host_devices(self) -> Mapping[str, Sequence[str]]:
        """List the PCI addresses of the host's devices that domains have, by the name of any domain."""

        def work(connection: libvirt.virConnect) -> dict[str, Sequence[str]]:
            return {name: host_devices.read(xml) for name, xml in _texts(connection).items()}

        return await self._run(work)

    async def users(self) -> Collection[int]:
        """List the users that domains have of their own."""

        def work(connection: libvirt.virConnect) -> set[int]:
            labels = [guest_users.of_domain(xml) for xml in _texts(connection).values()]
            return {label.user for label in labels if label is not None}

        return await self._run(work)

    async def define(self, xml: str) -> None:
        """Define a domain; the same XML again changes nothing."""
        await self._run(lambda connection: connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE) and None)

    async def start(self, guest: str) -> None:
        """Start a defined domain, with its saved memory if there is some; one that is paused goes on."""

        def work(connection: libvirt.virConnect) -> None:
            domain = _get(connection, guest)
            # A start that is repeated after its answer was lost finds the domain active and changes nothing.
            if not domain.isActive():
                domain.create()
            elif domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()

        await self._run(work)

    async def act(self, guest: str, act: Callable[[libvirt.virDomain], object]) -> None:
        """Do something to the domain, in a thread of the pool; one that is off is left alone."""
        await self._run(lambda connection: _if_active(connection, guest, act))

    async def save(self, guest: str) -> None:
        """Write the domain's memory where libvirt keeps it and end the domain; one that is off is left alone."""

        def work(connection: libvirt.virConnect) -> None:
            domain = _get(connection, guest)
            if domain.isActive():
                domain.managedSave(0)

        await self._run(work)

    async def forget_memory(self, guest: str) -> None:
        """Throw the saved memory of a domain away; none is fine."""

        def work(connection: libvirt.virConnect) -> None:
            domain = _get(connection, guest)
            if domain.hasManagedSaveImage(0):
                domain.managedSaveRemove(0)

        await self._run(work)

    async def press_power_button(self, guest: str) -> None:
        """Press the ACPI power button."""
        flag = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        await self.act(guest, lambda domain: domain.shutdownFlags(flag))

    async def undefine(self, guest: str) -> None:
        """Stop the domain and forget it with all that libvirt keeps of it; the unknown is fine."""

        def work(connection: libvirt.virConnect) -> None:
            if (domain := _find(connection, guest)) is None:
                return
            _if_active(connection, guest, lambda domain: domain.destroy())
            try:
                domain.undefineFlags(_UNDEFINE)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise

        await self._run(work)

    async def version(self) -> int:
        """Return QEMU's version as libvirt counts: major * 1,000,000 + minor * 1,000 + release."""
        return await self._run(lambda connection: int(connection.getVersion()))

    async def capabilities(self) -> str:
        """Return the host's capabilities as XML."""
        return await self._run(lambda connection: str(connection.getCapabilities()))

    async def domain_capabilities(self, kind: str, machine: str) -> str:
        """Return what a domain of that kind (`kvm` or `qemu`) and machine may have, as XML."""
        return await self._run(
            lambda connection: str(connection.getDomainCapabilities(None, "x86_64", machine, kind, 0))
        )

    async def every_feature(self, kind: str, machine: str, cpu: str) -> str:
        """Return a CPU with each feature named that its model stands for, as XML; `cpu` is a model with differences."""
        flag = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
        return await self._run(
            lambda connection: str(connection.baselineHypervisorCPU(None, "x86_64", machine, kind, [cpu], flag))
        )

    async def _run(self, work: Callable[[libvirt.virConnect], T]) -> T:
        if self._pool is None:
            raise Busy("the libvirt driver is closed")
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._call, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            # The thread cannot be stopped: whoever cancels must not act while libvirt still does.
            await asyncio.wait({future})
            if not future.cancelled():
                future.exception()
            raise

    def _call(self, work: Callable[[libvirt.virConnect], T]) -> T:
        try:
            return work(self._connected())
        except libvirt.libvirtError as error:
            raise _translate(error) from error

    def _connected(self) -> libvirt.virConnect:
        with self._connecting:
            # isAlive says 0 for a connection that was lost and -1 for one that cannot tell.
            if self._connection is not None and self._connection.isAlive() == 1:
                return self._connection
            self._disconnect()
            connection = self._opened()
            connection.setKeepAlive(_KEEP_ALIVE_S, _KEEP_ALIVE_COUNT)
            connection.registerCloseCallback(self._closed, None)
            lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            self._subscription = connection.domainEventRegisterAny(None, lifecycle, self._lifecycle, None)
            self._connection = connection
            return connection

    def _opened(self) -> libvirt.virConnect:
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            # libvirt quotes the whole URI, and a traceback would do so again.
            told = _translate(error)
        raise type(told)(str(told).replace(self.uri, without_secrets(self.uri)))

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.unregisterCloseCallback()
                connection.domainEventDeregisterAny(self._subscription)
                connection.close()
            except libvirt.libvirtError:
                return  # it is dead, which is what was wanted

    def _closed(self, _connection: libvirt.virConnect, _reason: int, _opaque: object) -> None:
        self._in_loop(self.on_lost)

    def _lifecycle(
        self, _connection: libvirt.virConnect, domain: libvirt.virDomain, event: int, detail: int, _opaque: object
    ) -> None:
        guest = guest_of(domain.name())
        stopped = event == libvirt.VIR_DOMAIN_EVENT_STOPPED
        told = _STOPPED_DETAILS.get(detail) if stopped else _EVENTS.get(event)
        if guest and told:
            self._in_loop(self.on_event, guest, *told)

    def _in_loop(self, what: Callable[..., None], *facts: object) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            try:
                loop.call_soon_threadsafe(what, *facts)
            except RuntimeError:
                return  # the loop closed in this very moment: nobody listens any more


def _texts(connection: libvirt.virConnect) -> Mapping[str, str]:
    """Return the XML of each domain by its name; one that goes meanwhile is left out."""
    found = {}
    for domain in connection.listAllDomains(0):
        try:
            found[str(domain.name())] = str(domain.XMLDesc(0))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    return found


def _find(connection: libvirt.virConnect, guest: str) -> "libvirt.virDomain | None":
    try:
        return connection.lookupByName(name_of(guest))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _get(connection: libvirt.virConnect, guest: str) -> libvirt.virDomain:
    if (domain := _find(connection, guest)) is None:
        raise NotFound(f"libvirt knows no guest {guest}")
    return domain


def _if_active(connection: libvirt.virConnect, guest: str, act: Callable[[libvirt.virDomain], object]) -> None:
    domain = _find(connection, guest)
    if domain is None or not domain.isActive():
        return
    try:
        act(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise  # it may have stopped by itself in between, which is fine


def _describe(domain: libvirt.virDomain, guest: str) -> Domain | None:
    try:
        state, reason = domain.state()
        power, why = _STATES.get(state, Power.SHUTDOWN), ""
        if state == libvirt.VIR_DOMAIN_SHUTOFF:
            power, why = _OFF_REASONS.get(reason, (power, why))
            # The reason stays when the memory is thrown away, and is forgotten when libvirtd is started again.
            if domain.hasManagedSaveImage(0):
                power, why = Power.SUSPENDED, "saved to disk"
        return Domain(guest, power, why, _directory(domain))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _directory(domain: libvirt.virDomain) -> str:
    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA_NAMESPACE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return ""
        raise
    return directory_of(text)


def _translate(error: libvirt.libvirtError) -> Exception:
    code, said = error.get_error_code(), (error.get_error_message() or str(error))
    if code == libvirt.VIR_ERR_NO_DOMAIN:
        return NotFound(f"libvirt does not know the guest any more: {said}")
    if code in _LOST or (code == libvirt.VIR_ERR_SYSTEM_ERROR and "onnect" in said):
        return Busy(f"libvirt does not answer: {said}", retry_after=2.0)
    if code == libvirt.VIR_ERR_OPERATION_INVALID or "get write" in said or "timed out during operation" in said:
        return Busy(f"libvirt cannot do that just now: {said}", retry_after=2.0)
    return Refused(f"libvirt refused: {said}")
