"""Claims what was decided for a batch of servers: amounts, NUMA cells and devices, in one transaction.

The idea: the picture says on which host to try, the database says what is given there. So cells and devices are
chosen again here, from what other servers hold by the database at this moment.
The invariant: opening the ledger locks the providers of the hosts, and of the devices in question, until the
transaction ends; whoever else wants the same CPUs or devices waits for it. So no CPU, page or device is given twice,
by however many schedulers, though cells are no rows of the ledger but plans beside it.
The cost: a fixed number of statements for a whole batch, 1.8 ms for one claim at 1,000 hosts; a read and a write more
where somebody wants particular cells, and some 0.1 ms of CPU to choose them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from novakit.placement import AllocationClaim
from novakit.placement.ledger import Ledger
from novakit.scheduler.picture import cells, devices, trees
from novakit.scheduler.picture.devices import Function
from novakit.scheduler.picture.state import CloudState
from novakit.scheduler.tries import Given
from novakit.store import Session
from novakit.store.scheduler import numa, picture
from novakit_fit.affinity import Choice, beside_devices
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain, to_record
from novakit_hookspecs.scheduling import Ask
from novakit_hookspecs.trees import ProviderStock


async def claim(
    session: Session,
    state: CloudState,
    wanted: Sequence[tuple[Ask, int]],
    counted: int,
    *,
    new: Collection[str] = (),
) -> list[Given | None]:
    """Claim for servers, one after another, on the hosts in these rows; None where a host does not have it any more.

    `counted` is `state.stock_reads` when the table was made to count with them; `new` are the servers that this
    transaction has found the ledger not to know.
    Cells and devices are chosen anew from what the database says: opening the ledger has locked the providers of the
    hosts and of the devices in question, so nobody else gives of the same ones meanwhile.
    """
    asked = [_Asked(state, ask, row, cells.wanted(ask)) for ask, row in wanted]
    claims = [one.claim({}) for one in asked]
    also = {id for one in asked for id in one.in_question()}
    batch = _Claims(state, await Ledger.open(session, claims, also=also, new=new))
    hosts = {one.provider for one in asked if one.request and one.request.cells}
    if hosts:
        batch.held = await numa.held(session, hosts)
    answers = [batch.given(one) for one in asked]
    raised = await batch.ledger.write()
    await numa.put(session, batch.rows)
    own = [one for one, given in zip(asked, answers, strict=True) if given is not None]
    otherwise = {one.provider for one in own if not one.is_counted_whole()}
    # The table counts these claims already, since they were chosen. A provider that only they have changed, from its
    # one number to its next, need not be read again; where somebody else claimed in between, the numbers do not fit.
    known = {id: (batch.ledger.numbers[id], after) for id, after in raised.items() if id not in otherwise}
    session.after_commit(lambda: state.keep(known, counted))
    return answers


@attrs.frozen
class _Asked:
    """What one server wants of one host."""

    state: CloudState
    ask: Ask
    row: int
    request: cells.CellsRequest | None

    @property
    def provider(self) -> str:
        """Return the host's own provider."""
        return self.state.table.providers[self.row]

    def claim(self, allocations: Mapping[str, Mapping[str, int]]) -> AllocationClaim:
        """Make a claim of some amounts by provider; the host's own is named even where nothing of it is claimed."""
        return AllocationClaim(
            consumer_id=self.ask.server_id,
            project_id=self.ask.project_id,
            user_id=self.ask.user_id,
            allocations={self.provider: {}, **allocations},
        )

    def is_counted_whole(self) -> bool:
        """Return whether the table, which counts amounts of the whole host, says all that was claimed."""
        return self.request is None and beside_devices(self.ask, with_groups=True) == self.ask.resources

    def in_question(self) -> Iterable[str]:
        """Name the providers below the host's own that have some of what is wanted."""
        ids = self.state.providers.get(self.row, ())
        tree = self.state.table.column("tree")[self.row]
        for id, one in zip(ids, tree.providers if tree else (), strict=True):
            if any(name in self.ask.resources for name, _ in one.stock):
                yield id

    def shares(self, ledger: Ledger) -> Mapping[str, Mapping[str, int]] | None:
        """Return what to take of which provider, without devices; None where the ledger has too little."""
        ids = self.state.providers.get(self.row)
        if ids is None:
            return {self.provider: beside_devices(self.ask, with_groups=True)}
        known = self.state.table.column("tree")[self.row]
        now = [
            ProviderStock(
                stock=tuple((name, units) for name in self.ask.resources if (units := ledger.units(id, name))),
                traits=one.traits,
            )
            for id, one in zip(ids, known.providers, strict=True)
        ]
        given = trees.shares(now, self.ask)
        return None if given is None else trees.by_provider(ids, given)


@attrs.define
class _Claims:
    """What the claims of one transaction have taken so far."""

    state: CloudState
    ledger: Ledger
    held: dict[str, dict[str, list[object]]] = attrs.field(factory=dict)
    """By host's provider and server: the cells."""
    rows: list[Mapping[str, Any]] = attrs.field(factory=list)
    """The rows of cells to be written."""

    def given(self, asked: _Asked) -> Given | None:
        """Claim for one server, counting with those before; None where the host does not have it any more."""
        shares = asked.shares(self.ledger)
        if shares is None:
            return None
        functions = self.state.functions.get(asked.row, ())
        choice, some = Choice(), tuple(one for one in functions if one.provider in shares)
        if asked.request is not None:
            found = self._chosen(asked, asked.request, shares, functions)
            if found is None:
                return None
            choice, more = found
            shares = {**shares, **{one.provider: {one.resource_class: 1} for one in more}}
            some = tuple(one for one in functions if one.provider in shares)
        if not self.ledger.take(asked.claim(shares)):
            return None
        return self._note(asked.ask.server_id, asked.provider, choice, some)

    def _chosen(
        self,
        asked: _Asked,
        request: cells.CellsRequest,
        shares: Mapping[str, Mapping[str, int]],
        functions: Sequence[Function],
    ) -> tuple[Choice, tuple[Function, ...]] | None:
        """Choose cells, and devices beside those that the groups came to."""
        held = self.held.get(asked.provider, {})
        # A server that is placed once more on its host gives up what it has there: it must not be in its own way.
        here = {other: plan for other, plan in held.items() if other != asked.ask.server_id}

        def is_free(one: Function) -> bool:
            return one.provider not in shares and self.ledger.free(one.provider, one.resource_class) > 0

        host = self.state.table.column("numa")[asked.row]
        choice = request.choose(cells.with_taken(host, here) if host else None, devices.pools_of(functions, is_free))
        return None if choice is None else (choice, devices.some_of(functions, is_free, choice.devices))

    def _note(self, server: str, provider: str, choice: Choice, some: Sequence[Function]) -> Given:
        plan: list[Any] = to_plain(choice.cells)
        if plan:
            self.held.setdefault(provider, {})[server] = plan
            self.rows.append({"server_id": server, "provider_id": provider, "taken": plan})
        return Given(tuple(choice.cells), tuple(one.given() for one in some))


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
