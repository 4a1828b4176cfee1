"""Claims what was decided for a batch of servers: amounts, NUMA cells and devices, in one transaction.

The idea: the picture says on which host to try, the database says what is given there. So cells and devices are
chosen again here, from what other servers hold by the database at this moment.
The invariant: a server has one claim at most, however many schedulers are asked about it at once. Reading the stock
locks the providers of the hosts, and of the devices in question, until the transaction ends; whoever else wants the
same CPUs or devices waits for it. So no CPU, page or device is given twice, by however many schedulers, though cells
are no rows of the ledger but plans beside it.
One new server that wants amounts of a host and nothing else is claimed unread: the statements that write say under
which conditions, and where one is not met all is rolled back and done by reading.
The cost: a fixed number of statements for a whole batch, 1.8 ms for one claim at 1,000 hosts; one less for a claim that
is made unread, and four less on PostgreSQL; a read and a write more where somebody wants particular cells, and some
0.1 ms of CPU to choose them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from novakit.placement import AllocationClaim
from novakit.placement.ledger import Ledger, take_unread
from novakit.scheduler.picture import cells, devices, trees
from novakit.scheduler.picture.devices import Function
from novakit.scheduler.picture.groups import admit
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.tries import Given, Try, Waiting
from novakit.store import Session
from novakit.store.placement import allocations
from novakit.store.scheduler import numa, picture
from novakit_fit.affinity import Choice
from novakit_fit.device_request import beside_devices
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.trees import ProviderStock


class OtherwiseThanPictured(Exception):
    """What was claimed unread is not as the picture says; nothing of the transaction may stay."""


def may_be_unread(state: CloudState, pending: Sequence[Waiting], tries: Sequence[Try]) -> bool:
    """Return whether a claim is one of amounts of one provider of which the picture says what it has."""
    if len(pending) != 1 or len(tries) != 1:
        return False
    (one,) = tries
    return (
        one.request is None
        and one.waiting.ask.group is None
        and one.row not in state.providers
        and state.number(one.row) is not None
        # One that takes nothing of the ledger leaves no trace there by which a second claim for it would be known.
        and any(one.waiting.ask.resources.values())
        and beside_devices(one.waiting.ask, with_groups=True) == one.waiting.ask.resources
    )


async def claim_unread(session: Session, state: CloudState, one: Try, counted: int) -> list[Try]:
    """Do as `claim` for one try for which that `may_be_unread`. Raises OtherwiseThanPictured.

    No lock is needed to keep two schedulers from claiming for one server: a consumer is new to one of them alone.
    """
    provider, seen = state.table.providers[one.row], state.number(one.row)
    if one.waiting.over:
        return []
    number = None
    if seen is not None:
        wanted = _claim(one, {provider: one.waiting.ask.resources})
        number = await take_unread(session, wanted, provider, seen)
    if seen is None or number is None:
        raise OtherwiseThanPictured
    kept = {provider: (seen, number)}
    session.after_commit(lambda: state.keep(kept, counted))
    return [one]


async def claim(
    session: Session, state: CloudState, pending: Sequence[Waiting], tries: Sequence[Try], counted: int
) -> tuple[list[Try], dict[Waiting, int]]:
    """Claim for servers, one after another, on the hosts that were chosen for them.

    Returns whose claim was made, and by row the hosts of those who have had a claim before and keep it.
    `counted` is `state.stock_reads` when the table was made to count with them.
    """
    # Two schedulers that were asked about one server must not both claim: whoever comes second finds the claim, and
    # leaves it. Before any row is locked, so that nobody waits in a circle.
    await session.serialise_each(one.ask.server_id for one in pending)
    providers = {id for one in tries for id in _in_question(state, one)}
    known, stock = await allocations.lock_stock_for_new(session, [one.ask.server_id for one in pending], providers)
    held = _held(state, pending, known) if known else {}
    # Somebody else may have been asked instead by now, so nothing is claimed for whoever no longer waits.
    wanted = [one for one in tries if one.waiting not in held and not one.waiting.over]
    if not wanted:
        return [], held
    if known:
        ledger = await Ledger.open(session, [_claim(one, {}) for one in wanted], also=providers)
    else:
        ledger = Ledger.of_stock(session, stock)
    # Every scheduler locks hosts before groups, so that here, too, nobody waits in a circle.
    grouped = [
        (one.waiting.ask.group.id, one.waiting.ask.server_id, state.table.providers[one.row])
        for one in wanted
        if one.waiting.ask.group
    ]
    crowded = await admit(session, grouped) if grouped else set()
    claims = _Claims(state, ledger)
    # What a server gives back that was placed elsewhere before, the table does not know of.
    claims.otherwise.update(provider for amounts in ledger.held.values() for provider, _ in amounts)
    hosts = {state.table.providers[one.row] for one in wanted if one.request and one.request.cells}
    if hosts:
        claims.held = await numa.held(session, hosts)
    claimed = [one for one in wanted if one.waiting.ask.server_id not in crowded and claims.give(one)]
    raised = await ledger.write()
    await numa.put(session, claims.rows)
    # The table counts these claims already, since they were chosen. A provider that only they have changed, from its
    # one number to its next, need not be read again; where somebody else claimed in between, the numbers do not fit.
    kept = {id: (ledger.numbers[id], after) for id, after in raised.items() if id not in claims.otherwise}
    session.after_commit(lambda: state.keep(kept, counted))
    return claimed, held


def _held(state: CloudState, pending: Sequence[Waiting], known: Mapping[str, str | None]) -> dict[Waiting, int]:
    """Find the servers that have a claim already, on a host they may stay on."""
    held: dict[Waiting, int] = {}
    for one in pending:
        row = state.table.row_of_provider(known.get(one.ask.server_id) or "")
        if row is not None and state.table.names[row] not in one.ask.excluded_hosts:
            held[one] = row
    return held


def _in_question(state: CloudState, one: Try) -> Iterable[str]:
    """Name the host's own provider, and those below it that have some of what is wanted."""
    yield state.table.providers[one.row]
    if ids := state.providers.get(one.row):
        for id, provider in zip(ids, state.table.column("tree")[one.row].providers, strict=True):
            if any(name in one.waiting.ask.resources for name, _ in provider.stock):
                yield id


def _claim(one: Try, amounts: Mapping[str, Mapping[str, int]]) -> AllocationClaim:
    ask = one.waiting.ask
    return AllocationClaim(
        consumer_id=ask.server_id, project_id=ask.project_id, user_id=ask.user_id, allocations=amounts
    )


@attrs.define
class _Claims:
    """What the claims of one transaction have taken so far."""

    state: CloudState
    ledger: Ledger
    held: dict[str, dict[str, list[object]]] = attrs.field(factory=dict)
    """By host's provider and server: the cells."""
    rows: list[Mapping[str, Any]] = attrs.field(factory=list)
    """The rows of cells to be written."""
    otherwise: set[str] = attrs.field(factory=set)
    """Providers of which the table, which counts amounts claimed of the whole host, does not say what was changed."""

    def give(self, one: Try) -> bool:
        """Claim for one server, counting with those before; False where the host does not have it any more."""
        provider, ask = self.state.table.providers[one.row], one.waiting.ask
        shares: Mapping[str, Mapping[str, int]] | None = {provider: beside_devices(ask, with_groups=True)}
        if ids := self.state.providers.get(one.row):
            shares = self._shares(one, ids)
        if shares is None:
            return False
        functions = self.state.functions.get(one.row, ())
        choice = Choice()
        if one.request is not None:
            found = self._chosen(one, one.request, shares, functions)
            if found is None:
                return False
            choice, more = found
            shares = {**shares, **{each.provider: {each.resource_class: 1} for each in more}}
        if not self.ledger.take(_claim(one, shares)):
            return False
        some = tuple(each.given() for each in functions if each.provider in shares)
        plan: list[Any] = to_plain(choice.cells)
        if plan:
            self.held.setdefault(provider, {})[ask.server_id] = plan
            self.rows.append({"server_id": ask.server_id, "provider_id": provider, "taken": plan})
        if some or plan:
            one.given = Given(tuple(choice.cells), some)
            one.decision.add(numa=one.given.numa, devices=one.given.devices)
        if one.request is not None or beside_devices(ask, with_groups=True) != ask.resources:
            self.otherwise.add(provider)
        return True

    def _shares(self, one: Try, ids: Sequence[str]) -> Mapping[str, Mapping[str, int]] | None:
        """Return what to take of which of a host's providers, without devices; None where they have too little."""
        known, wanted = self.state.table.column("tree")[one.row], one.waiting.ask.resources
        now = [
            ProviderStock(
                stock=tuple((name, units) for name in wanted if (units := self.ledger.units(id, name))),
                traits=each.traits,
            )
            for id, each in zip(ids, known.providers, strict=True)
        ]
        given = trees.shares(now, one.waiting.ask)
        return None if given is None else trees.by_provider(ids, given)

    def _chosen(
        self,
        one: Try,
        request: cells.CellsRequest,
        shares: Mapping[str, Mapping[str, int]],
        functions: Sequence[Function],
    ) -> tuple[Choice, tuple[Function, ...]] | None:
        """Choose cells, and devices beside those that the groups came to."""
        held = self.held.get(self.state.table.providers[one.row], {})
        # A server that is placed once more on its host gives up what it has there: it must not be in its own way.
        here = {other: plan for other, plan in held.items() if other != one.waiting.ask.server_id}

        def is_free(each: Function) -> bool:
            return each.provider not in shares and self.ledger.free(each.provider, each.resource_class) > 0

        host = self.state.table.column("numa")[one.row]
        choice = request.choose(cells.with_taken(host, here) if host else None, devices.pools_of(functions, is_free))
        return None if choice is None else (choice, devices.some_of(functions, is_free, choice.devices))


async def given(session: Session, state: CloudState, held: Mapping[str, int]) -> dict[str, Given]:
    """Return what servers hold that were placed before; `held` is the row of the host by server."""
    plans = await numa.of_servers(session, held)
    nested = await picture.nested_held(session, held)
    found = {}
    for server, row in held.items():
        providers = nested.get(server, ())
        some = [one for one in state.functions.get(row, ()) if one.provider in providers]
        held_cells = to_record(plans.get(server, []), tuple[Taken, ...])
        found[server] = Given(held_cells, tuple(one.given() for one in some))
    return found
