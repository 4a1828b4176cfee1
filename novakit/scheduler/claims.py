"""Claims what was decided for a batch of servers: amounts, NUMA cells and devices, in one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from novakit.placement import Claim
from novakit.placement.ledger import Ledger
from novakit.scheduler import cells, devices
from novakit.scheduler.devices import Function
from novakit.scheduler.state import CloudState
from novakit.store import Session, numa, scheduling
from novakit_hookspecs.affinity import Choice
from novakit_hookspecs.plain import to_plain
from novakit_hookspecs.scheduling import Ask


@attrs.frozen
class Given:
    """What a server holds beside amounts, as plain data."""

    numa: tuple[Mapping[str, Any], ...] = ()
    """One `Taken` record for each guest cell."""
    devices: tuple[Mapping[str, str], ...] = ()
    """Address and kind of each device, by address."""

    def described(self) -> dict[str, Any]:
        """Give what a decision tells of it, without what there is none of."""
        told = {"numa": list(self.numa), "devices": list(self.devices)}
        return {name: some for name, some in told.items() if some}


async def claim(session: Session, state: CloudState, wanted: Sequence[tuple[Ask, int]]) -> list[Given | None]:
    """Claim for servers, one after another, on the hosts in these rows; None where a host does not have it any more.

    Cells and devices are chosen anew from what the database says: opening the ledger has locked the providers of the
    hosts and of the devices in question, so nobody else gives of the same ones meanwhile.
    """
    wishes = [cells.wanted(ask) for ask, _ in wanted]
    claims = [_claim(state, ask, row, wish) for (ask, row), wish in zip(wanted, wishes, strict=True)]
    batch = _Batch(state, await Ledger.open(session, claims, also=_in_question(state, wanted, wishes)))
    hosts = {state.table.providers[row] for (_, row), wish in zip(wanted, wishes, strict=True) if wish and wish.cells}
    if hosts:
        batch.held = await numa.held(session, hosts)
    answers = [
        batch.plain(one) if wish is None else batch.chosen(one, row, wish)
        for one, (_, row), wish in zip(claims, wanted, wishes, strict=True)
    ]
    await batch.ledger.write()
    await numa.put(session, batch.rows)
    return answers


def _claim(state: CloudState, ask: Ask, row: int, wish: cells.Wish | None) -> Claim:
    """Make the claim of the amounts; devices come from particular providers, and are added when they are chosen."""
    later = wish.devices.resources() if wish is not None and wish.devices is not None else {}
    amounts = {name: amount for name, amount in ask.resources.items() if name not in later} if later else ask.resources
    return Claim(
        consumer_id=ask.server_id,
        project_id=ask.project_id,
        user_id=ask.user_id,
        allocations=state.allocations(row, amounts),
    )


def _in_question(
    state: CloudState, wanted: Sequence[tuple[Ask, int]], wishes: Sequence[cells.Wish | None]
) -> Iterable[str]:
    """Name the providers of all devices of the classes that somebody wants of a host."""
    for (_, row), wish in zip(wanted, wishes, strict=True):
        if wish is not None and wish.devices is not None:
            classes = wish.devices.resources()
            yield from (one.provider for one in state.functions.get(row, ()) if one.resource_class in classes)


@attrs.define
class _Batch:
    """What the claims of one transaction have taken so far."""

    state: CloudState
    ledger: Ledger
    held: dict[str, dict[str, list[Any]]] = attrs.field(factory=dict)
    """By host's provider and server: the cells."""
    rows: list[Mapping[str, Any]] = attrs.field(factory=list)
    """The rows of cells to be written."""

    def plain(self, claim: Claim) -> Given | None:
        return Given() if self.ledger.take(claim) else None

    def chosen(self, claim: Claim, row: int, wish: cells.Wish) -> Given | None:
        server, provider = claim.consumer_id, self.state.table.providers[row]
        here = {other: plan for other, plan in self.held.get(provider, {}).items() if other != server}
        functions = self.state.functions.get(row, ())

        def is_free(one: Function) -> bool:
            return one.provider not in claim.allocations and self.ledger.free(one.provider, one.resource_class) > 0

        host = self.state.table.column("numa")[row]
        choice = wish.choose(cells.with_taken(host, here) if host else None, devices.pools_of(functions, is_free))
        if choice is None:
            return None
        some = devices.some_of(functions, is_free, choice.devices)
        each = {one.provider: {one.resource_class: 1} for one in some}
        if not self.ledger.take(attrs.evolve(claim, allocations={**claim.allocations, **each})):
            return None
        return self._note(server, provider, choice, some)

    def _note(self, server: str, provider: str, choice: Choice, some: Sequence[Function]) -> Given:
        plan: list[Any] = to_plain(choice.cells)
        if plan:
            self.held.setdefault(provider, {})[server] = plan
            self.rows.append({"server_id": server, "provider_id": provider, "taken": plan})
        return Given(tuple(plan), tuple(one.described() for one in some))


async def given(session: Session, state: CloudState, held: Mapping[str, int]) -> dict[str, Given]:
    """Tell what servers hold that were placed before; `held` is the row of the host by server."""
    plans = await numa.of_servers(session, held)
    nested = await scheduling.nested_held(session, held)
    found = {}
    for server, row in held.items():
        providers = nested.get(server, ())
        some = [one for one in state.functions.get(row, ()) if one.provider in providers]
        found[server] = Given(tuple(plans.get(server, ())), tuple(one.described() for one in some))
    return found
