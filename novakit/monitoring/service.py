"""`/metrics` and `/healthcheck`: cheap to ask, and for programs on this machine alone unless `metrics_open` is set."""

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence

import attrs
import structlog
from aiohttp import web

from novakit.bus import Bus, BusError, ask_each, client
from novakit.calls.conductor import ConductorCalls
from novakit.calls.counts import ConductorCounts, SchedulerCounts
from novakit.calls.scheduler import SchedulerCalls
from novakit.compute.hosts import Census, Hosts
from novakit.config import Config
from novakit.disk import Disk, Room
from novakit.monitoring.families import Numbers, exposition
from novakit.monitoring.tallies import RequestTally, tallies_of
from novakit.plughost import PluginHost
from novakit.store import Store
from novakit.store.faults import NO_SCHEMA, lacks_schema, shown

log = structlog.get_logger(__name__)

WITHIN = 2.0
"""Seconds for which a part may be silent before it counts as not answering."""
NAMED = 100
"""Hosts without room that one answer names."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


@attrs.define(kw_only=True)
class Monitoring:
    """What this process can tell of the service."""

    config: Config
    store: Store
    """The database, of which is told how it is and what was asked of it; what is in it, the domain is asked."""
    hosts: Hosts
    bus: Bus
    plugins: PluginHost | None = None
    scheduler: Callable[[], SchedulerCounts] | None = None
    """Reads the numbers of a scheduler that runs in this process; None where it is asked over the bus."""
    conductor: Callable[[], ConductorCounts] | None = None
    """The same of a conductor."""
    requests: RequestTally = attrs.field(factory=RequestTally)
    """What the APIs of this process answered."""
    disks: Mapping[str, Disk] = attrs.field(factory=dict)
    """File systems that this process fills, by what is on them."""
    is_open: bool = False
    """Whether everybody may read, and not only programs on this machine."""

    def mount(self, app: web.Application) -> None:
        """Answer `GET /metrics` and `GET /healthcheck`."""
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthcheck", self._healthcheck)

    async def numbers(self) -> Numbers:
        """Read everything there is to count; what does not answer is named, and nothing raises."""
        (schedulers, silent), conductor, rooms = await asyncio.gather(
            self._schedulers(), self._conductor(), self._rooms()
        )
        disks = {name: disk.room() for name, disk in self.disks.items()}
        return Numbers(
            schedulers=schedulers,
            conductor=conductor,
            plugins=tallies_of(self.plugins.plugins) if self.plugins else (),
            requests=self.requests,
            store=self.store.tally,
            disks={**disks, **{f"host {name}": room for name, room in rooms.items() if room.fault}},
            silent=[*silent, *(["conductor"] if conductor is None else [])],
        )

    async def health(self) -> dict[str, object]:
        """Return what answers: status, what is degraded and why, how many hosts are up, and which lack room."""
        degraded: dict[str, str] = {}
        census, (schedulers, silent), conductor, rooms = await asyncio.gather(
            self._census(), self._schedulers(), self._conductor(), self._rooms()
        )
        short = {name: room.fault for name, room in rooms.items() if room.fault}
        if short and len(short) == len(rooms):
            # As with hosts that are down: where some have room, new servers go there, and the service is well.
            degraded["disks of hosts"] = f"No host has room on its disk, for example {min(short)}: {short[min(short)]}"
        if isinstance(census, str):
            degraded["store"] = census
        elif census.total and not census.up:
            silence = self.hosts.liveness.down_after
            degraded["hosts"] = f"None of {census.total} hosts has reported for {silence:g} s."
        if self.store.fault:
            degraded["store"] = f"The disk of the database did not take what was written: {self.store.fault}."
        for name, disk in self.disks.items():
            if fault := disk.room().fault:
                degraded[f"disk of {name}"] = fault
        for name in [*silent, *(["conductor"] if conductor is None else [])]:
            degraded[name] = f"The {name} does not answer."
        for told in schedulers:
            degraded.update({**told.left_out, **told.failing})
        return {
            "status": "degraded" if degraded else "ok",
            "degraded": degraded,
            "hosts": None if isinstance(census, str) else attrs.asdict(census),
            "disks_of_hosts": dict(sorted(short.items())[:NAMED]),
        }

    async def _schedulers(self) -> tuple[Sequence[SchedulerCounts], list[str]]:
        """Return the numbers of every scheduler, and who of them is silent."""
        try:
            replies = await ask_each(SchedulerCalls.counts, self.bus, self.config)
        except BusError as error:
            log.info("the numbers of a role could not be read", role="scheduler", why=str(error))
            replies = []
        told = [reply.value for reply in replies if reply.value is not None]
        if not told:
            return ([self.scheduler()], []) if self.scheduler is not None else ([], ["scheduler"])
        return told, [reply.identity.replace(":", " ") for reply in replies if reply.error is not None]

    async def _conductor(self) -> ConductorCounts | None:
        if self.conductor is not None:
            return self.conductor()
        try:
            return await client(ConductorCalls, self.bus, self.config).counts()
        except BusError as error:
            log.info("the numbers of a role could not be read", role="conductor", why=str(error))
            return None

    async def _census(self) -> Census | str:
        """Count the hosts. Returns why they cannot be counted, in a sentence, where the store does not answer."""
        try:
            async with asyncio.timeout(WITHIN):
                return await self.hosts.census()
        except TimeoutError:
            return f"The database did not answer within {WITHIN:g} s."
        except Exception as error:
            log.warning("the database does not answer", exc_info=error)
            if lacks_schema(error):
                return NO_SCHEMA
            return f"The database does not answer: {shown(error).removeprefix('the database failed: ')}."

    async def _rooms(self) -> dict[str, Room]:
        """Read what hosts last reported of the file systems of their directories; nothing where the store is silent."""
        try:
            async with asyncio.timeout(WITHIN):
                return await self.hosts.rooms()
        except Exception as error:
            log.info("what hosts said of their disks could not be read", why=shown(error))
            return {}

    async def _metrics(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request)
        return web.Response(body=exposition(await self.numbers()), headers={"Content-Type": CONTENT_TYPE})

    async def _healthcheck(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request)
        health = await self.health()
        return web.json_response(health, status=503 if health["degraded"] else 200)

    def _refuse_strangers(self, request: web.Request) -> None:
        # A proxy on this machine calls from loopback, too; whom it speaks for shows in its headers.
        near = _is_loopback(request.remote) and not any(name in request.headers for name in FORWARDED)
        if not (self.is_open or near):
            raise web.HTTPForbidden(
                text="Only programs on this machine may read this; [api] metrics_open = true opens it to all.\n"
            )


def _is_loopback(remote: str | None) -> bool:
    try:
        address = ipaddress.ip_address((remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
