"""What agents report: hosts and guests; believed only for the host that the sender is.

The idea: a report is all that a host has, so nothing is remembered from one to the next but what looked strange.
Facts of hosts that report at the same moment are written in one transaction; guests are compared with the servers
that are to be there, and what differs is repaired in the row of the server, hardly ever on the host.
The invariant: a report may be older than what an operation has just done, so only what is strange in two reports in a
row is acted on, and nothing of what an operation works on. A guest is removed where the database knows that its
server has left the host, and never because no server is known for it (`guests.strangers`). A report from another
deployment, or from a directory that is not the one that reported before, changes nothing.
The cost: 5 SELECTs for a host whose guests are as they should be, in 2 transactions, and 1 write with all others of
that moment.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import attrgetter

import attrs
import structlog

from novakit import world
from novakit.bus import BusError, topics
from novakit.calls.conductor import AgentReport, Received, RunningPlugins
from novakit.compute import states
from novakit.concurrency.gather import Gather
from novakit.conductor.guests.networks import NetworkNotes
from novakit.conductor.guests.note import Heard
from novakit.conductor.guests.renewal import Renewal
from novakit.conductor.guests.strangers import Found, Strangers
from novakit.conductor.parts import Parts
from novakit.disk import Room
from novakit.errors import in_words
from novakit.placement import HostReport
from novakit.store import operations
from novakit.store.compute import host_plugins, hosts, left_guests, refused_hosts, servers, strangers
from novakit.store.compute.servers import ServerRow
from novakit.store.engine import Session
from novakit.store.scheduler import host_metrics
from novakit_hookspecs.columns import metric_name
from novakit_hookspecs.hosts import HostFacts
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.servers import Guest, GuestEvent, Power

log = structlog.get_logger(__name__)

MAX_METRICS = 64
"""Measurements of one host."""
STOPPED = states.Move("stopped", states.when(states.but("stopped"), None), "stopped", None)
STARTED = states.Move("started", states.when(states.but("active"), None), "active", None)
LOST = states.Move("lost", states.when(states.AT_REST, None), "error", None)
FOUND = {to: states.Move(f"found {to}", states.when(("error",), None), to, None) for to in states.AT_REST}
MOVES = (STOPPED, STARTED, LOST, *FOUND.values())
"""What a host's report changes of a server that nothing is being done to."""
DISAPPEARED = "The guest is not on its host. The server goes on by itself once the host has it again."
"""The fault of such a server, by which it is known again."""
LEFT_OVER = "left over"
BACK = "back, "
"""Before the power state of the guest of a server that had disappeared."""
_OFF = (Power.SHUTDOWN.value, Power.CRASHED.value)


@attrs.frozen
class _Facts:
    """What one host says of itself, as it came and as a record that was checked."""

    host: str
    directory: str
    plain: Mapping[str, object]
    """Without its measurements, which change each time."""
    record: HostFacts
    metrics: Mapping[str, float]
    room: Room | None = None
    strange: Sequence[tuple[Guest, Heard | None]] = ()
    """Guests that no server of the database is, which are recorded with the facts."""


@attrs.define
class Reports:
    """Turns reports into rows, and repairs what differs between what is and what should be."""

    parts: Parts
    _odd: dict[str, dict[str, str]] = attrs.field(factory=dict)
    """What was strange in the last report of a host, by guest; only what is strange twice in a row is acted on."""
    _absent: dict[str, frozenset[str]] = attrs.field(factory=dict)
    """Guests that a host was left with and that were not in its last report."""
    _runs: dict[str, RunningPlugins] = attrs.field(factory=dict)
    """What each host runs, as it was last written."""
    _seen: set[str] = attrs.field(factory=set)
    _accounted: dict[str, frozenset[str]] = attrs.field(factory=dict)
    """Guests that were compared with the database already, by host."""
    network_notes: NetworkNotes = attrs.field(init=False)
    renewal: Renewal = attrs.field(init=False)
    _strangers: Strangers = attrs.field(init=False)
    _write: Gather["_Facts", Exception | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._write = Gather(self._write_facts)
        self._strangers = Strangers(self.parts)
        self.network_notes, self.renewal = NetworkNotes(self.parts), Renewal(self.parts)
        self.parts.wiring.on_pushed = lambda host: self.network_notes.changed([host])

    async def host(self, host: str, report: AgentReport) -> Received:
        """Take a full report: facts, guests, builds under way, and whether the agent has just started."""
        mine = self.parts.notary.deployment.id
        if (refused := await self._refused(host, report, mine)) is not None:
            return refused
        facts = attrs.evolve(await self._under_its_own_name(host, report.facts), metrics={})
        plain = to_plain(facts)
        del plain["metrics"]
        new = [
            each for each in report.guests if each.id not in self._accounted.get(host, frozenset()) | {*report.building}
        ]
        strange = await self._strangers.noted(host, new) if new else ()
        told = _Facts(host, report.directory, plain, facts, measurements(report.metrics), report.room, strange)
        if (error := await self._write(told)) is not None:
            raise error
        await self._note_plugins(host, report.runs)
        # Before the host is told anything: a topology would take down what unknown guests are wired with.
        await self._compare(host, report)
        self._accounted[host] = frozenset(each.id for each in report.guests)
        self.network_notes.told(host, report.networks)
        self.renewal.told(host)
        if report.started:
            await self.parts.networks.host_up(host, report.binding)
            self.parts.wiring.poke([host])
        return Received(deployment=mine)

    async def _under_its_own_name(self, host: str, facts: HostFacts) -> HostFacts:
        """Return the facts without a hypervisor's name that is another host's.

        Servers are forced to hypervisors by their names: a host that was taken over would get what is another's.
        """
        called = facts.hypervisor_hostname
        if called in ("", host):
            return facts
        async with self.parts.store.read() as session:
            others = await hosts.others_called(session, host, called)
        if not others:
            return facts
        log.warning("a hypervisor has another host's name, and is called as its host is", host=host, others=others[:8])
        return attrs.evolve(facts, hypervisor_hostname=host)

    async def _note_plugins(self, host: str, runs: RunningPlugins | None) -> None:
        if runs is None or self._runs.get(host) == runs:
            return
        async with self.parts.store.write() as session:
            await host_plugins.put(session, host, to_plain(runs))
        self._runs[host] = runs

    async def _refused(self, host: str, report: AgentReport, mine: str) -> Received | None:
        """Return the refusal of a report, and remember it for those who look; None for a report that is taken.

        Refused are hosts of other deployments, and a directory that is not the one which the host's guests are in: an
        empty one, put in the place of one that is not mounted, would say that all of them are gone.
        """
        is_away = report.deployment not in ("", mine)
        async with self.parts.store.read() as session:
            known = await refused_hosts.refused_host(session, host)
            row = await hosts.host(session, host)
            is_other = bool(row and row["directory"] and report.directory not in ("", row["directory"]))
            wanted = await servers.on_host(session, host) if is_other and not is_away else ()
        there = {each.id for each in report.guests}
        lost = [each for each in wanted if each["id"] not in there and _difference(each, None)]
        if not is_away and not lost:
            if known is not None:
                async with self.parts.store.write() as session:
                    await refused_hosts.drop(session, host)
            return None
        refused = Received(deployment=mine, refused=True)
        if lost and row is not None:
            why = (
                f"Servers of the host {host} have no guest in the directory that reports for it now, {len(lost)} in"
                f" all, such as {lost[0]['id']}; it is not the directory that reported before."
            )
            refused = Received(deployment=mine, refused=True, why=why, directory=row["directory"])
        theirs = report.deployment if is_away else mine
        if known is None or (known["deployment"], known["why"]) != (theirs, refused.why):
            log.error("host is refused", host=host, deployment=report.deployment, ours=mine, why=refused.why)
            async with self.parts.store.write() as session:
                await refused_hosts.put(session, host, theirs, refused.why)
        return refused

    async def _write_facts(self, batch: Sequence["_Facts"]) -> list[Exception | None]:
        """Write the facts of hosts that reported at the same time; one that cannot be written costs only itself."""
        try:
            await self._write_together(batch)
        except Exception as error:  # a border: what a host claims of itself must not keep others from reporting
            if len(batch) == 1:
                return [error]
            return [(await self._write_facts([each]))[0] for each in batch]
        return [None] * len(batch)

    async def _write_together(self, batch: Sequence["_Facts"]) -> None:
        placement = self.parts.placement
        batch = sorted(batch, key=attrgetter("host"))  # the order in which heartbeats are written, too
        async with self.parts.store.write() as session:
            known: dict[str, HostReport] = {}
            changed: dict[str, HostReport] = {}
            for each in batch:
                row, is_new = await hosts.report(
                    session, each.host, each.plain, each.directory, to_plain(each.room) if each.room else None
                )
                (changed if is_new else known)[row["provider_id"]] = _report(row["provider_id"], each)
            changed.update({host: known[host] for host in await placement.stale(session, known)})
            if changed:
                await placement.report_hosts(session, list(changed.values()))
            for each in batch:
                await self._strangers.reserve(session, each.host, each.strange)
            await host_metrics.put(session, {each.host: each.metrics for each in batch if each.metrics})
        if changed:
            await topics.HOSTS_CHANGED.publish(self.parts.bus, topics.Changed())

    async def forget(self, host: str) -> None:
        """Give back what a host held that is not to come back: what its unknown guests took, and who waits for it."""
        async with self.parts.store.read() as session:
            known = [*await strangers.of_host(session, host), *await left_guests.of_host(session, host)]
            away = await refused_hosts.refused_host(session, host)
        if away is not None:
            async with self.parts.store.write() as session:
                await refused_hosts.drop(session, host)
        if not known:
            return
        log.warning("gave back what unknown guests held of a revoked host", host=host, guests=len(known))
        self._accounted.pop(host, None)
        async with self.parts.store.write() as session:
            rows = await strangers.of_host(session, host)
            await self.parts.placement.release_many(session, [row["claim_id"] for row in rows.values()])
            await strangers.drop(session, host, list(rows))
            await left_guests.drop_host(session, host)

    def heartbeat(self, host: str) -> None:
        """Note that a host lives; written together with the others soon."""
        self._seen.add(host)

    async def write_heartbeats(self) -> None:
        """Write the heartbeats that came since the last time."""
        if self._seen:
            names, self._seen = self._seen, set()
            try:
                async with self.parts.store.write() as session:
                    await hosts.seen(session, names, world.now())
            except BaseException:
                self._seen |= names
                raise

    async def guest_event(self, host: str, event: GuestEvent) -> None:
        """Take a power change that the hypervisor told of."""
        if event.power.value in _OFF:
            async with self.parts.store.write() as session:
                session.after_commit(partial(self.renewal.changed, [event.guest]))
                await _stopped(session, host, event.guest, event.power.value)

    async def _compare(self, host: str, report: AgentReport) -> None:
        """Compare the host's guests with the servers it is to run."""
        guests, building = report.guests, set(report.building)
        async with self.parts.store.read() as session:
            wanted = {row["id"]: row for row in await servers.on_host(session, host)}
            strange = [each.id for each in guests if each.id not in wanted]
            known = {row["id"]: row for row in await servers.some(session, strange)} if strange else {}
            busy = {row["server_id"] for row in await operations.unfinished(session, {*wanted, *strange})}
            left = await left_guests.of_host(session, host)
        await self._confirm(host, frozenset(left), {each.id for each in guests} | building, wanted)
        # What an operation works on is its business, unless the guest has been a server at rest: see `guests.age`.
        settled = {id for id, version in report.notes.items() if version}
        pending = {*strange} & (busy | building)
        doubtful = ({*strange} - pending) | ({*strange} & settled) - building
        over = await self._strangers.judge(
            host, [Found(each, known.get(each.id), each.id in busy) for each in guests if each.id in doubtful], pending
        )
        found = {each.id: each.power.value for each in guests}
        odd = {id: what for id, row in wanted.items() if (what := _difference(row, found.get(id)))}
        odd |= dict.fromkeys(over, LEFT_OVER)
        odd = {id: what for id, what in odd.items() if id not in busy and id not in building}
        before = self._odd.pop(host, {})
        noted = self._odd[host] = dict(odd)
        for id, what in odd.items():
            if before.get(id) != what:
                continue
            del noted[id]
            if what == LEFT_OVER:
                await self._remove(host, id)
            else:
                await self._act_on(host, id, what)
        self._renew_notes([row for id, row in wanted.items() if id in found and id not in busy], report)

    async def _confirm(self, host: str, left: frozenset[str], there: Collection[str], wanted: Collection[str]) -> None:
        """Take note of guests that a host was left with and does not have any more; said twice, as a report may be old.

        One whose server is to run there again is the server's.
        """
        absent, before = left - {*there}, self._absent.pop(host, frozenset())
        gone = (absent & before) | (left & {*wanted})
        if absent - gone:
            self._absent[host] = absent - gone
        for id in sorted(gone - {*wanted}):
            # Its note and copies of its disk may be there all the same: they are of a guest that was never finished.
            try:
                await self.parts.hosts.at(host).remove_remains(id)
            except BusError as error:
                log.warning(
                    "what is left of a guest could not be removed; the next report tries again",
                    host=host,
                    guest=id,
                    why=in_words(error),
                )
                self._absent[host] = self._absent.get(host, frozenset()) | {id}
                gone -= {id}
        if gone:
            async with self.parts.store.write() as session:
                await left_guests.drop(session, host, gone)

    async def _act_on(self, host: str, server_id: str, odd: str) -> None:
        log.warning("a server's state differs from what its host reports", server=server_id, host=host, what=odd)
        async with self.parts.store.write() as session:
            session.after_commit(partial(self.renewal.changed, [server_id]))
            if odd == "missing":
                await _lost(session, host, server_id)
            elif odd.startswith(BACK):
                await _found(session, host, server_id, Power(odd.removeprefix(BACK)))
            elif odd in _OFF:
                await _stopped(session, host, server_id, odd)
            else:
                await _started(session, host, server_id)

    async def _remove(self, host: str, server_id: str) -> None:
        """Remove a guest of which it is known that its server has left the host."""
        log.warning("removing a guest whose server is deleted or elsewhere", host=host, guest=server_id)
        try:
            await self.parts.hosts.at(host).destroy(server_id)
        except BusError as error:
            log.warning(
                "a guest could not be removed; the next report tries again", host=host, guest=server_id, why=str(error)
            )

    def _renew_notes(self, rows: Sequence[ServerRow], report: AgentReport) -> None:
        """Have the host keep notes of its guests as they are now; what fails is done after the next report."""
        version = self.parts.notary.version
        self.renewal.stale(
            [row["id"] for row in rows if row["task_state"] is None and report.notes.get(row["id"]) != version(row)]
        )


def _report(provider_id: str, facts: _Facts) -> HostReport:
    record = facts.record
    return HostReport(
        provider_id=provider_id, name=facts.host, inventory=record.inventory, traits=record.traits, pci=record.pci
    )


def measurements(told: object) -> dict[str, float]:
    """Return what a host measured under the names of columns: finite numbers, 64 at most; anything else is left out."""
    found: dict[str, float] = {}
    for name, value in told.items() if isinstance(told, Mapping) else ():
        column = metric_name(name) if isinstance(name, str) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if column and is_number and abs(value) < 1e300 and len(found) < MAX_METRICS:
            found[column] = float(value)
    return found


def _difference(row: ServerRow, power: str | None) -> str | None:
    if row["vm_state"] == "error" and row["fault"] is not None and row["fault"]["message"] == DISAPPEARED:
        return f"{BACK}{power}" if power is not None and row["task_state"] is None else None
    expected = states.AT_REST.get(row["vm_state"])
    if row["task_state"] is not None or expected is None:
        return None
    if power is None:
        return "missing"
    if power in _OFF and expected is not Power.SHUTDOWN:
        return power
    if power == Power.RUNNING.value and expected is not Power.RUNNING:
        return power
    return None


async def _stopped(session: Session, host: str, server_id: str, power: str) -> None:
    here = servers.servers.c.host == host
    await states.move_if(session, server_id, STOPPED, here, power_state=states.POWER_NUMBERS[Power(power)])


async def _started(session: Session, host: str, server_id: str) -> None:
    here = servers.servers.c.host == host
    await states.move_if(session, server_id, STARTED, here, power_state=states.POWER_NUMBERS[Power.RUNNING])


async def _lost(session: Session, host: str, server_id: str) -> None:
    fault = {
        "code": 500,
        "message": DISAPPEARED,
        "details": f"{host} does not list the guest",
        "created": world.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    here = servers.servers.c.host == host
    await states.move_if(session, server_id, LOST, here, power_state=0, fault=fault)


async def _found(session: Session, host: str, server_id: str, power: Power) -> None:
    """Let a server whose guest had disappeared be what its guest is."""
    here = servers.servers.c.host == host
    move = FOUND[states.at_rest_with(power)]
    await states.move_if(session, server_id, move, here, power_state=states.POWER_NUMBERS[power], fault=None)
