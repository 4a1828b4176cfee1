"""The audit: compares what servers own in the store with what hosts really hold, and names what belongs to nobody.

The idea: the store is read in one transaction after the hosts have answered, and `compare`, which asks nobody, goes
over each kind of thing: servers, operations, allocations, guests, ports, what drivers hold.
The invariant: it changes nothing. What an operation is working on is left alone, and only what is still odd at the last
of three looks is told: between the answer of a host and the reading of the store anything may have begun or ended.
A host that does not answer is named as unchecked, and nothing is said of what it holds.
The cost: 12 statements and two calls for each host, `AT_ONCE` at a time, and 18 ms of CPU for 1,000 servers on 100
hosts; twice more, after `PAUSES`, where something is odd.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from novakit.bus import BusError, Targets
from novakit.calls.conductor import AuditFinding, AuditReport
from novakit.calls.host import HostCalls
from novakit.compute.states import AT_REST
from novakit.image import Images
from novakit.scheduler.pipeline.ask import complete
from novakit.store import Store
from novakit.store.audit import Picture, picture
from novakit.store.compute import hosts
from novakit.store.compute.servers import LivingServer
from novakit.store.compute.strangers import EVERYWHERE, LOST, StrangerRow
from novakit.store.placement.hosts import device_id
from novakit.store.placement.usages import ConsumerUsage
from novakit_hookspecs.networks import Abandoned
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.scheduling import Ask, ImageAsk

PAUSES = (1.0, 3.0)
"""Seconds before the second and the third look; what is still odd at the last one is told."""
AT_ONCE = 64
"""Hosts that are asked at a time."""
SHOWN = 1000
"""Findings in one report; more of the same help nobody."""

_WITH_GUEST = frozenset({*AT_REST, "rescued", "resized", "shelved"})
_SWEPT = "The conductor frees it within two minutes; if it stays, look for its id in the conductor's log."
_REPORTED = "It is removed after its host has reported it twice, in about two minutes; if it stays, see the host's log."
_LEFT = (
    "It is left alone. Look at `novakit guest list`; then `novakit guest adopt {id}` or `novakit guest remove {id}`."
)
_UNDECIDED = (
    "It is removed after its host has reported it twice, if this database knows it to be left over. One that is newer"
    " stays: `novakit guest list` names it."
)
_BESIDE = "It stays or goes with its guest, which is named here too."
_REMAINS = "It is left alone. Look at `novakit host strangers`; then `novakit host remove {id}`."
OF_GUESTS = frozenset({"domain", "disk", "file", "device", "process"})
"""Kinds of things that a virt driver keeps for its guests, and removes with them; the others are the network's."""
_FILE = (
    "It is left alone. Look at `novakit image strangers`; then `novakit image adopt {name} --project PROJECT` or"
    " `novakit image remove {name}`."
)
_PUSHED = "Its host removes it with the next topology; restart the host's agent if it stays."
_RESTART = "Its host removes it when the agent of {host} is started anew; if it stays, the agent's log says why."
_DELETE = "Delete the server, or have its owner do so."


@attrs.frozen
class HostContents:
    """What one host says that it has."""

    guests: frozenset[str]
    holdings: Sequence[Mapping[str, str]]
    abandoned: Sequence[Abandoned] | None = ()
    """What lost deployments have left there; None where its network driver does not tell."""


@attrs.frozen
class Audit:
    """Compares the store with the hosts."""

    store: Store
    images: Images
    hosts: Targets[HostCalls]
    pauses: Sequence[float] = PAUSES

    async def run(self) -> AuditReport:
        """Look, and look again at what was odd; a host that did not say what it has is not asked again."""
        report = await self._look()
        for pause in self.pauses:
            if not report.orphaned:
                break
            await asyncio.sleep(pause)
            before, report = set(report.orphaned), await self._look(report.unchecked)
            report = attrs.evolve(report, orphaned=tuple(each for each in report.orphaned if each in before))
        return attrs.evolve(report, orphaned=report.orphaned[:SHOWN], foreign=report.foreign[:SHOWN])

    async def _look(self, silent: Collection[str] = ()) -> AuditReport:
        async with self.store.read() as session:
            names = [row["name"] for row in await hosts.every(session) if row["name"] not in silent]
        found = await self._ask_hosts(names)
        async with self.store.read() as session:
            store = await picture(session, {guest for each in found.values() for guest in each.guests})
        report = compare(store, found)
        files = [_image_file(name) for name in await self.images.strangers()]
        files += [_damaged(id, name, what) for id, (name, what) in (await self.images.damaged()).items()]
        return attrs.evolve(report, orphaned=(*report.orphaned, *files))

    async def _ask_hosts(self, names: Iterable[str]) -> dict[str, HostContents]:
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(host: str) -> tuple[str, HostContents | None]:
            async with turn:
                try:
                    answer = await self.hosts.at(host).holdings()
                    left = await self.hosts.at(host).abandoned()
                except BusError:
                    return host, None
                guests = frozenset(each.id for each in answer.guests)
                return host, HostContents(guests=guests, holdings=to_plain(answer.holdings), abandoned=left)

        answers = await asyncio.gather(*(ask(name) for name in names))
        return {host: found for host, found in answers if found is not None}


def _image_file(name: str) -> AuditFinding:
    return AuditFinding(
        kind="image file",
        name=name,
        owner=name.partition(".")[0],
        problem="No image has this file: the database is an older backup, or another one.",
        remedy=_FILE.format(name=name),
    )


def _damaged(image: str, name: str, what: str) -> AuditFinding:
    return AuditFinding(
        kind="image file",
        name=name,
        owner=image,
        problem=f"The data of image {image} {what}: it is not given out.",
        remedy=f"Restore the file from a backup, or delete the image: `openstack image delete {image}`.",
    )


def compare(store: Picture, found: Mapping[str, HostContents]) -> AuditReport:
    """Name everything that differs, leaving out what operations are working on."""
    busy = {row["server_id"] for row in store.operations}
    orphaned = [
        *_refused(store),
        *_servers(store, found, busy),
        *_operations(store),
        *_allocations(store, busy),
        *_guests(store, found, busy),
        *_ports(store, busy),
        *_holdings(store, found, busy),
        *_abandoned(found),
    ]
    return AuditReport(
        orphaned=tuple(orphaned),
        foreign=tuple(_foreign(store)),
        unchecked=tuple(sorted(set(store.hosts) - set(found))),
        untold=tuple(sorted(host for host, has in found.items() if has.abandoned is None)),
        counted={
            "servers": len(store.servers),
            "allocations": len(store.held),
            "ports": len(store.ports),
            "guests": sum(len(each.guests) for each in found.values()),
            "holdings": sum(len(each.holdings) for each in found.values()),
        },
    )


def _refused(store: Picture) -> Iterator[AuditFinding]:
    for host, row in store.refused.items():
        yield AuditFinding(
            kind="host",
            name=host,
            host=host,
            owner=row["deployment"],
            problem=row["why"] or f"It belongs to deployment {row['deployment']} and refuses this one.",
            remedy="Its agent's log says what to do.",
        )


def _servers(store: Picture, found: Mapping[str, HostContents], busy: set[str]) -> Iterator[AuditFinding]:
    for server_id, row in store.servers.items():
        if server_id in busy:
            continue
        host = row["host"]
        finding = partial(AuditFinding, kind="server", name=server_id, host=host, owner=row["project_id"])
        if row["task_state"] is not None or row["vm_state"] == "building":
            state = row["task_state"] or row["vm_state"]
            yield finding(problem=f"It stands in {state} and no operation works on it.", remedy=_DELETE)
        elif row["vm_state"] in _WITH_GUEST and host is None:
            yield finding(problem=f"It is {row['vm_state']} and has no host.", remedy=_DELETE)
        elif (
            row["vm_state"] in _WITH_GUEST
            and host is not None
            and host in found
            and server_id not in found[host].guests
        ):
            remedy = "It goes to ERROR after its host has reported twice, in about two minutes; then delete it."
            yield finding(problem=f"It is {row['vm_state']} and its host has no guest of it.", remedy=remedy)


def _operations(store: Picture) -> Iterator[AuditFinding]:
    for row in store.operations:
        if row["server_id"] not in store.servers:
            problem = f"The operation {row['kind']} has not ended and its server is gone."
            remedy = _REMAINS.format(id=row["id"])
            yield AuditFinding(
                kind="operation",
                name=row["id"],
                owner=row["server_id"],
                problem=problem,
                remedy=remedy,
                is_removable=True,
            )


def _allocations(store: Picture, busy: set[str]) -> Iterator[AuditFinding]:
    names = {provider: name for name, provider in store.hosts.items()}
    for consumer, rows in store.held.items():
        if consumer in store.once and consumer not in busy:
            host = names.get(store.roots.get(rows[0]["provider_id"], ""))
            problem = f"{_amounts(_total(rows))} are claimed for a server that is deleted."
            yield AuditFinding(
                kind="allocation", name=consumer, host=host, owner=consumer, problem=problem, remedy=_SWEPT
            )
    for server_id, row in store.servers.items():
        if server_id not in busy and (differs := _claim_differs(store, row)):
            remedy = "Correct it with `openstack resource provider allocation set`, or delete the server."
            yield AuditFinding(
                kind="allocation", name=server_id, host=row["host"], owner=server_id, problem=differs, remedy=remedy
            )
    for stock in store.drift:
        yield AuditFinding(
            kind="inventory",
            name=stock["resource_class"],
            host=names.get(store.roots.get(stock["provider_id"], "")),
            owner=stock["provider_id"],
            problem=f"{stock['used']} are counted as used, {stock['held']} are allocated.",
            remedy="Set the inventory of the provider anew with `openstack resource provider inventory set`.",
        )


def _claim_differs(store: Picture, row: LivingServer) -> str | None:
    """Return how what a server holds differs from what it needs."""
    held = store.held.get(row["id"], ())
    if row["host"] is None:
        return f"{_amounts(_total(held))} are claimed for a server that has no host." if held else None
    root = store.hosts.get(row["host"])
    elsewhere = {one["provider_id"] for one in held if store.roots.get(one["provider_id"]) != root}
    if elsewhere and root:
        return f"It runs on {row['host']} and holds a claim on {', '.join(sorted(elsewhere))} too."
    wanted, total = needed(row["flavor"], row["image_properties"]), _total(held)
    return None if wanted == total else f"It needs {_amounts(wanted)} and {_amounts(total)} are claimed."


def needed(flavor: Mapping[str, Any], properties: Mapping[str, object]) -> dict[str, int]:
    """Return what a server of a flavor and of an image with these properties takes from its host, by resource class."""
    ask = Ask(
        server_id="",
        project_id="",
        user_id="",
        vcpus=flavor["vcpus"],
        memory_mb=flavor["ram"],
        root_gb=flavor["disk"],
        ephemeral_gb=flavor.get("ephemeral", 0),
        swap_mb=flavor.get("swap") or 0,
        extra_specs=flavor.get("extra_specs") or {},
        image=ImageAsk(properties={name: str(value) for name, value in properties.items()}),
    )
    return dict(complete(ask).resources)


def _total(rows: Iterable[ConsumerUsage]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        total[row["resource_class"]] = total.get(row["resource_class"], 0) + row["used"]
    return total


def _amounts(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{amounts[name]} {name}" for name in sorted(amounts)) or "nothing"


def _guests(store: Picture, found: Mapping[str, HostContents], busy: set[str]) -> Iterator[AuditFinding]:
    for host, has in found.items():
        for guest in sorted(has.guests):
            server, row = store.servers.get(guest), store.strangers.get((host, guest))
            # What an operation works on is its business, unless the guest is one that it leaves alone.
            if (server is not None and server["host"] == host) or (guest in busy and row is None):
                continue
            finding = partial(AuditFinding, kind="guest", name=guest, host=host, owner=guest)
            if server is not None:
                problem = f"Its server is on {server['host'] or 'no host'}."
                if row is not None:
                    problem += f" {row['why']}"
                remedy = _LEFT.format(id=guest) if row is not None else _UNDECIDED
                yield finding(problem=problem, remedy=remedy)
            elif guest in store.once:
                yield finding(problem="Its server is deleted.", remedy=_REPORTED)
            else:
                yield finding(problem=_stranger(row), remedy=_LEFT.format(id=guest))


def _stranger(row: StrangerRow | None) -> str:
    if row is None:
        return "It belongs to no server of this database."
    since = f"{row['first_seen']:%Y-%m-%d %H:%M}"
    called = f"It is {row['name']} of project {row['project_id']}, and belongs" if row["project_id"] else "It belongs"
    return f"{called} to no server of this database since {since}."


def _ports(store: Picture, busy: set[str]) -> Iterator[AuditFinding]:
    for port_id, row in store.ports.items():
        server_id = row["server_id"]
        if server_id is None or server_id in busy:
            continue
        server = store.servers.get(server_id)
        finding = partial(AuditFinding, kind="port", name=port_id, host=row["host"], owner=server_id)
        if server is None:
            remedy = _SWEPT if server_id in store.once else f"Delete it: `openstack port delete {port_id}`."
            yield finding(problem="Its server does not exist.", remedy=remedy)
        elif row["host"] != server["host"] and server["host"] is not None and row["host"] is not None:
            problem = f"It is wired on {row['host']} and its server runs on {server['host']}."
            yield finding(problem=problem, remedy="Hard-reboot the server.")


def _holdings(store: Picture, found: Mapping[str, HostContents], busy: set[str]) -> Iterator[AuditFinding]:
    others = store.networks | store.routers | (set(store.held) - store.once)
    for host, has in found.items():
        own = _of_strangers(store, host, has)
        strange = own | _kept_for_strangers(store, host)
        for each in has.holdings:
            kind, name, owner = each["kind"], each["name"], each["owner"]
            port, server = store.ports.get(owner), store.servers.get(owner)
            if owner in busy or (owner in others and server is None) or (port and port["server_id"] in busy):
                continue
            if owner in own or (port and port["server_id"] in own):
                continue
            if server is None and port is None and owner in strange:
                continue
            finding = partial(AuditFinding, kind=kind, name=name, host=host, owner=owner or None)
            # What is left of a guest that is not there: no report tells of it, so it goes by an operator's word alone.
            remains = kind in OF_GUESTS and bool(owner) and owner not in has.guests
            if server is not None:
                if server["host"] != host:
                    problem = f"Its server is on {server['host'] or 'no host'}."
                    remedy = _REMAINS.format(id=owner) if remains else _BESIDE
                    yield finding(problem=problem, remedy=remedy, is_removable=remains)
                elif kind == "device" and not _is_claimed(store, host, name, owner):
                    problem = "Its server has it, and holds no claim on it."
                    remedy = "Claim it with `openstack resource provider allocation set`, or delete the server."
                    yield finding(problem=problem, remedy=remedy)
            elif port is not None:
                if port["server_id"] and port["host"] != host:
                    problem = f"Its port is bound to {port['host'] or 'no host'}."
                    remedy = _BESIDE if port["server_id"] in has.guests else _PUSHED
                    yield finding(problem=problem, remedy=remedy)
            elif kind != "domain" or owner not in has.guests:
                problem = f"Nothing has the id {owner}." if owner else "Its owner is unknown."
                remedy = _REMAINS.format(id=owner) if remains else _RESTART.format(host=host)
                yield finding(problem=problem, remedy=remedy, is_removable=remains)


def _abandoned(found: Mapping[str, HostContents]) -> Iterator[AuditFinding]:
    for host, has in found.items():
        for left in has.abandoned or ():
            of = left.owner.startswith("/")
            problem = f"Its owner's state was in {left.owner}, which is gone." if of else "Nothing says whose it is."
            if left.in_use:
                problem += f" It is in use: {left.in_use}."
            for thing in left.things:
                yield AuditFinding(
                    kind=thing.kind,
                    name=thing.name,
                    host=host,
                    owner=left.owner,
                    problem=problem,
                    remedy=_REMAINS.format(id=left.owner),
                    is_removable=True,
                    is_abandoned=True,
                )


def _of_strangers(store: Picture, host: str, has: HostContents) -> set[str]:
    """Name the strangers that a host has, and their ports: told of as guests, and not piece by piece.

    The rows of such a guest's server and ports may be there: of an older backup they say where it was to run then.
    """
    strange = {guest for (at, guest) in store.strangers if at == host and guest in has.guests}
    wired = {id for (at, guest), row in store.strangers.items() if at == host for id in row["keeps"].get("ports", ())}
    return strange | wired


def _kept_for_strangers(store: Picture, host: str) -> set[str]:
    """Name networks, and what is around them, that stay on a host because of strangers, as far as their notes reach."""
    return {
        id
        for (at, _), row in store.strangers.items()
        if at == host or row["keeps"].get("reach") in (EVERYWHERE, LOST)
        for id in (*row["keeps"].get("networks", ()), *row["keeps"].get("around", ()))
    }


def _is_claimed(store: Picture, host: str, address: str, server_id: str) -> bool:
    """Return whether a server holds the device that its host gave it; a device that the ledger lacks counts as held."""
    provider = device_id(store.hosts[host], address) if host in store.hosts else ""
    return provider not in store.roots or any(row["provider_id"] == provider for row in store.held.get(server_id, ()))


def _foreign(store: Picture) -> Iterator[AuditFinding]:
    names = {provider: name for name, provider in store.hosts.items()}
    reserved = {row["claim_id"] for row in store.strangers.values()}
    for consumer, rows in store.held.items():
        if consumer not in store.servers and consumer not in store.once and consumer not in reserved:
            yield AuditFinding(
                kind="allocation",
                name=consumer,
                host=names.get(store.roots.get(rows[0]["provider_id"], "")),
                owner=rows[0]["project_id"],
                problem=f"{rows[0]['type'] or 'A consumer without a type'} holds {_amounts(_total(rows))}.",
                remedy="It was claimed through the Placement API, and its client must delete the allocation there.",
            )
