"""The control plane of one process: the domain objects on one store, the APIs, the scheduler, the conductor."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import IO, TypeVar

import attrs
import structlog

from novakit import clouds, world
from novakit.bus import Bus, Targets
from novakit.bus.enrolments import Enrolments
from novakit.bus.tickets import Tickets
from novakit.calls.host import HostCalls
from novakit.compute.flavors.flavors import Flavors
from novakit.compute.hosts import Hosts
from novakit.concurrency import locks
from novakit.conductor import establishing
from novakit.conductor.engine import Engine
from novakit.conductor.guests.note import Notary
from novakit.conductor.guests.strangers import kept
from novakit.conductor.parts import Parts
from novakit.conductor.service import Conductor
from novakit.conductor.verbs import VERBS
from novakit.conductor.wiring import Wiring
from novakit.config import Config
from novakit.config.database import require_place
from novakit.context import SERVICE
from novakit.disk import Disk
from novakit.identity import Identity
from novakit.image import Images
from novakit.monitoring.service import Monitoring
from novakit.monitoring.tallies import RequestTally
from novakit.network import Networks
from novakit.placement import Placement
from novakit.plughost import PluginHost
from novakit.scheduler.limits import SchedulerLimits
from novakit.scheduler.plugins import chosen, driver, note_use, refused
from novakit.scheduler.select import Scheduler
from novakit.scheduler.service import build as build_scheduler
from novakit.scheduler.service import serve as serve_scheduler
from novakit.store import Store
from novakit.store.compute.liveness import Liveness
from novakit.store.deployment import Deployment
from novakit.store.migrate import migrate, migrated
from novakit.store.tables import SCHEDULER_WRITES

log = structlog.get_logger(__name__)

D = TypeVar("D")

FLAVORS = (
    ("1", "m1.tiny", 1, 512, 1),
    ("2", "m1.small", 1, 2048, 20),
    ("3", "m1.medium", 2, 4096, 40),
    ("4", "m1.large", 4, 8192, 80),
)
"""Id, name, VCPUs, MiB of memory and GiB of disk of the flavors a new cloud has."""


@attrs.define(kw_only=True)
class Control:
    """What api, scheduler and conductor share in one process."""

    config: Config
    store: Store
    identity: Identity
    images: Images
    networks: Networks
    placement: Placement
    passwords: dict[str, str] = attrs.field(factory=dict, repr=False)
    """By cloud of `clouds.yaml`, as far as they are known here."""
    deployment: Deployment | None = None
    """None for a role that may not make it."""
    liveness: Liveness
    """Which hosts live, as api and conductor of this process see it; a scheduler looks for itself."""
    scheduler: Scheduler | None = None
    engine: Engine | None = None
    _following: asyncio.Task[None] | None = None
    _address: IO[str] | None = None
    """Held by the one API to which `clouds.yaml` and the catalog lead."""
    _address_of: str = ""
    """The process that holds it, where that is another one."""

    @classmethod
    async def open(cls, config: Config) -> "Control":
        """Open the store, bring its schema up to date, and make what a new cloud starts with."""
        if config.roles == ("scheduler",):
            await migrated(config.database)
            control = await cls._made(config, SCHEDULER_WRITES)
            await establishing.check(control.store, config.state)
            return control
        # Several roles may start at the same moment on an empty directory: one of them makes what all of them need.
        async with locks.one_at_a_time(config.state / "setup.lock"):
            require_place(config.database)
            await migrate(config.database)
            control = await cls._made(config, None)
            control.deployment = await establishing.establish(control.store, config.state)
            await control._choose_passwords()
            if "api" in config.roles:
                control._take_address()
            control._write_clouds()
            await control._bootstrap()
        await control.store.reserve()
        control._following = world.spawn(control.liveness.follow(control.store), name="liveness")
        return control

    @classmethod
    async def _made(cls, config: Config, writes: frozenset[str] | None) -> "Control":
        store = await Store.open(config.database, writes=writes)
        return cls(
            config=config,
            store=store,
            identity=Identity(store, config.state / "keys", _endpoints(config.url)),
            images=Images(store, config.state / "images", config.disk_of(config.state / "images"), limits=config.image),
            networks=Networks(store),
            placement=Placement(store, max_candidates=config.placement.max_candidates),
            liveness=Liveness(config.conductor.host_down_after),
        )

    async def _choose_passwords(self) -> None:
        """Take the passwords that the file has, and make one for whom the database does not know yet.

        Of a user whom it knows the file may have lost the password: a new one in the file would be a wrong one.
        """
        known, there = clouds.passwords(self.config.state / "clouds.yaml"), await self.identity.user_names()
        for cloud, (user, _) in clouds.CLOUDS.items():
            if cloud in known:
                self.passwords[cloud] = known[cloud]
            elif user not in there:
                self.passwords[cloud] = clouds.new_password()

    def notices(self) -> list[str]:
        """Return what an operator must know of how this start went, a sentence each."""
        said = []
        lost = [user for cloud, (user, _) in clouds.CLOUDS.items() if cloud not in self.passwords]
        if self.deployment is not None and lost:
            said.append(
                f"The password of {' and '.join(lost)} is not in {self.config.state}/clouds.yaml, and the database"
                f" has it hashed: `novakit admin reset-password {lost[0]} --state {self.config.state}` makes a new one."
            )
        if self.deployment is not None and self.deployment.origin == "directory":
            began = self.deployment.begun_at
            said.append(
                f"The database was empty on {began:%Y-%m-%d at %H:%M} and the state directory was not: guests from"
                " before that nobody has adopted are strangers, and are left alone. `novakit guest list` names them."
            )
        if self._address_of:
            said.append(
                f"Clients are led to the API of process {self._address_of} by clouds.yaml and the catalog; this one"
                f" answers at {self.config.url} too."
            )
        return said

    def _take_address(self) -> None:
        """Be the API that clients are led to, unless another one is: a second API takes nobody's clients away."""
        try:
            self._address = locks.hold(self.config.state / "api.lock")
        except locks.Held as held:
            self._address_of = held.holder

    def _write_clouds(self) -> None:
        """Write the passwords down before they are set, so that a kill in between locks nobody out."""
        path = self.config.state / "clouds.yaml"
        if self._address is not None or not path.exists():
            clouds.write(path, f"{self.config.url}/identity/v3", self.passwords)

    async def _bootstrap(self) -> None:
        await self.identity.bootstrap(
            admin_password=self.passwords.get("novakit-admin"),
            demo_password=self.passwords.get("novakit"),
            moves_endpoints=self._address is not None,
        )
        await self.images.open()
        await self.networks.bootstrap(
            admin_project_id=await self.identity.admin_project_id() or "",
            external_cidr=self.config.networks.external_cidr,
            gateway=self.config.networks.external_gateway,
        )
        flavors = Flavors(self.store)
        if not await flavors.page(SERVICE, is_public=None, limit=1):
            for flavor_id, name, vcpus, ram, disk in FLAVORS:
                await flavors.create(flavor_id=flavor_id, name=name, vcpus=vcpus, ram=ram, disk=disk)

    async def close(self) -> None:
        """Close the store."""
        if self._following is not None:
            self._following.cancel()
        if self._address is not None:
            self._address.close()
        await self.store.close()

    async def start_scheduler(self, plugins: PluginHost, bus: Bus, name: str) -> None:
        """Build the pipeline of the plugins that are there and answer to `scheduler`, beside others of other names."""
        options = self.config.scheduler
        self.scheduler, composed = build_scheduler(
            self.store,
            self.placement,
            plugins.filters.values(),
            plugins.weighers.values(),
            options=chosen(options, self.config.options),
            refused=refused(plugins),
            driver=driver(plugins, options),
            limits=SchedulerLimits(
                alternates=max(SchedulerLimits().alternates, options.max_attempts - 1), subset=options.subset
            ),
            refresh_every=options.refresh_every,
            metrics_max_age=options.metrics_max_age,
            down_after=self.config.conductor.host_down_after,
            name=name,
        )
        for sentence in self.config.warnings:
            log.warning(sentence)
        note_use(plugins, composed)
        await self.scheduler.open()
        serve_scheduler(self.scheduler, bus, partial(plugins.rows, "filters", "weighers", "schedulers"))

    async def conductor(self, bus: Bus, plugins: PluginHost, boundary: Callable[[str], None] | None) -> Conductor:
        """Make the conductor; it is not started yet."""
        assert self.deployment is not None, "only a scheduler alone has none"
        parts = Parts(
            config=self.config,
            store=self.store,
            bus=bus,
            identity=self.identity,
            images=self.images,
            tickets=self.tickets(),
            networks=self.networks,
            placement=self.placement,
            wiring=Wiring(self.networks, Targets(HostCalls, bus, self.config), partial(kept, self.store)),
            notary=Notary(self.deployment),
            liveness=self.liveness,
        )
        options = self.config.conductor
        self.engine = engine = Engine(parts, VERBS, limit=options.workers, patience=options.patience)
        if boundary is not None:
            engine.boundary = boundary
        self.networks.on_change = parts.wiring.poke
        return Conductor(parts, engine, plugins.observers)

    def tickets(self) -> Tickets:
        """Make what lets hosts read images; every process on the same database reads the tickets of all of them."""
        assert self.deployment is not None, "only a scheduler has none"
        return Tickets(self.deployment.secret, Enrolments(self.config.state).stamp)

    def _disks(self) -> dict[str, Disk]:
        """Name the file systems that this process fills."""
        places = {"images": self.images.directory}
        if self.store.path is not None:
            places["database"] = self.store.path.parent
        return {name: self.config.disk_of(place) for name, place in places.items()}

    def admits(self) -> Callable[[], None] | None:
        """Return what refuses new things before the database's disk is full; None where the disk is a server's own."""
        path = self.store.path
        return self.config.disk_of(path.parent).require_for_records if path is not None else None

    def hosts(self, bus: Bus) -> Hosts:
        """Make what knows of the compute hosts."""
        return Hosts(self.store, bus, self.liveness)

    def monitoring(self, bus: Bus, plugins: PluginHost | None, requests: RequestTally) -> Monitoring:
        """Make what machines watch at the root of the APIs."""
        return Monitoring(
            config=self.config,
            store=self.store,
            hosts=self.hosts(bus),
            bus=bus,
            plugins=plugins,
            scheduler=self.scheduler.measures if self.scheduler is not None else None,
            conductor=self.engine.measures if self.engine is not None else None,
            requests=requests,
            disks=self._disks(),
            is_open=self.config.api.metrics_open,
        )


def _endpoints(url: str) -> dict[str, str]:
    return {
        "identity": f"{url}/identity/v3",
        "compute": f"{url}/compute/v2.1",
        "image": f"{url}/image",
        "network": f"{url}/network",
        "placement": f"{url}/placement",
        "volumev3": f"{url}/volume/v3/$(project_id)s",
        "block-storage": f"{url}/volume/v3/$(project_id)s",
    }
