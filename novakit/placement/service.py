"""Placement as the rest of the service sees it: reports of hosts, claims, and whole-cloud reads."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from novakit import errors, world
from novakit.placement.candidates import Candidate, CandidateRequest, Forest, ForestCache, search
from novakit.placement.consumers import Consumers
from novakit.placement.ledger import AllocationClaim, Ledger
from novakit.placement.names import Changes, ResourceClasses, TraitNames
from novakit.placement.resource_providers import Providers
from novakit.store.engine import Session, Store
from novakit.store.placement import allocations, changes, hosts, usages
from novakit.store.placement.hosts import HostReport
from novakit.store.placement.tables import CountedInventory
from novakit_hookspecs.hosts import Inventory, PciDevice

PARTS = 16
"""Parts up to which a candidate counts as one; larger ones count as more, since they take more memory."""


@attrs.define
class Placement:
    """The placement ledger of one cloud.

    Calls that take a `Session` run inside the caller's transaction; they count with it and fall with it.
    """

    store: Store
    randomize: bool = False
    """Whether candidates come in random order, so that several who ask do not all get the same first."""
    max_candidates: int = 100_000
    """How many candidates one answer has at most, whatever the limit asked for."""
    max_steps: int = 4_000
    """How many pulses of the search, each of some milliseconds, one request may take before it is refused."""
    on_change: Callable[[], object] = attrs.field(default=lambda: None)
    """Called when somebody from outside changed something, which is durable by then."""
    resource_classes: ResourceClasses = attrs.field(init=False)
    trait_names: TraitNames = attrs.field(init=False)
    providers: Providers = attrs.field(init=False)
    holders: Consumers = attrs.field(init=False)
    _forest: ForestCache = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._forest = ForestCache(self.store)
        changes = Changes(self.store, lambda: self.on_change())
        self.resource_classes, self.trait_names = ResourceClasses(changes), TraitNames(changes)
        self.providers, self.holders = Providers(changes), Consumers(changes, self.release)

    async def report_host(
        self,
        session: Session,
        *,
        provider_id: str,
        name: str,
        inventory: Mapping[str, Inventory],
        traits: Iterable[str] = (),
        pci: Sequence[PciDevice] = (),
    ) -> bool:
        """Make the providers of a host and of its devices equal to its report. Returns whether anything changed."""
        one = HostReport(provider_id=provider_id, name=name, inventory=inventory, traits=frozenset(traits), pci=pci)
        return bool(await hosts.report(session, [one]))

    async def report_hosts(self, session: Session, reports: Sequence[HostReport]) -> set[str]:
        """Do so for many hosts in a few statements. Returns the ids of the providers that changed."""
        return await hosts.report(session, reports)

    async def stale(self, session: Session, reports: Mapping[str, HostReport]) -> set[str]:
        """Return the providers of those hosts that are to be reported again though they say what they said before."""
        return await hosts.stale(session, reports)

    async def claim(
        self,
        session: Session,
        consumer_id: str,
        *,
        project_id: str,
        user_id: str,
        consumer_type: str = "INSTANCE",
        allocations: Mapping[str, Mapping[str, int]],
    ) -> bool:
        """Let a consumer hold exactly these amounts, or tell that the inventories do not allow it.

        What the consumer held before is given back in the same step, and kept when the answer is False.
        """
        claim = AllocationClaim(
            consumer_id=consumer_id,
            project_id=project_id,
            user_id=user_id,
            consumer_type=consumer_type,
            allocations=allocations,
        )
        return (await self.claim_many(session, [claim]))[0]

    async def claim_many(self, session: Session, claims: Sequence[AllocationClaim]) -> list[bool]:
        """Try claims one after another, each on what the earlier ones left; the answers are in the same order."""
        ledger = await Ledger.open(session, claims)
        answers = [ledger.take(claim) for claim in claims]
        await ledger.write()
        return answers

    async def replace(self, session: Session, claims: Sequence[AllocationClaim]) -> None:
        """Let several consumers hold what `claims` say, all of them or none.

        This is how a move hands what a server holds to its migration; raises `Conflict` when it does not fit.
        """
        ledger = await Ledger.open(session, claims)
        ledger.replace(claims)
        await ledger.write()

    async def release(self, session: Session, consumer_id: str) -> bool:
        """Give back all that a consumer holds. Returns whether it held anything."""
        return bool(await self.release_many(session, [consumer_id]))

    async def release_many(self, session: Session, consumer_ids: Iterable[str]) -> set[str]:
        """Give back all that consumers hold. Returns which of them held anything."""
        claims = [
            AllocationClaim(consumer_id=id, project_id="", user_id="", allocations={}) for id in set(consumer_ids)
        ]
        ledger = await Ledger.open(session, claims)
        known = [claim for claim in claims if claim.consumer_id in ledger.consumers]
        if known:
            ledger.replace(known)
            await ledger.write(generations=False)
        return {claim.consumer_id for claim in known}

    async def allocations_of(self, session: Session, consumer_id: str) -> dict[str, dict[str, int]]:
        """Return what a consumer holds, by provider id and resource class."""
        held: dict[str, dict[str, int]] = {}
        for row in await allocations.of_consumer(session, consumer_id):
            held.setdefault(row["provider_id"], {})[row["resource_class"]] = row["used"]
        return held

    async def consumers(self, session: Session) -> dict[str, AllocationClaim]:
        """Return what every consumer holds, by consumer id; for the audit."""
        held: dict[str, dict[str, dict[str, int]]] = {}
        owners: dict[str, usages.ConsumerUsage] = {}
        for row in await usages.of_consumers(session):
            owners[row["consumer_id"]] = row
            provider = held.setdefault(row["consumer_id"], {}).setdefault(row["provider_id"], {})
            provider[row["resource_class"]] = row["used"]
        return {
            id: AllocationClaim(
                consumer_id=id,
                project_id=owners[id]["project_id"],
                user_id=owners[id]["user_id"],
                consumer_type=owners[id]["type"],
                allocations=amounts,
            )
            for id, amounts in held.items()
        }

    async def drift(self, session: Session) -> list[usages.DriftedInventory]:
        """List inventories whose used amount is not the sum of their allocations; an empty list is health."""
        return await usages.drift(session)

    async def usages(self, session: Session, ids: Iterable[str] | None = None) -> dict[str, dict[str, int]]:
        """Return how much of each class is used, by provider id; of all providers, or of `ids` alone."""
        return await usages.of_providers(session, ids)

    async def inventories(
        self, session: Session, ids: Iterable[str] | None = None
    ) -> dict[str, dict[str, CountedInventory]]:
        """Return inventories by provider id and class.

        Rows hold total, reserved, min_unit, max_unit, step_size, allocation_ratio, capacity and used.
        """
        return await usages.inventories_of(session, ids)

    async def traits(self, session: Session, ids: Iterable[str] | None = None) -> dict[str, frozenset[str]]:
        """Return trait names by provider id; providers without traits are left out."""
        return await usages.traits_of(session, ids)

    async def aggregates(self, session: Session, ids: Iterable[str] | None = None) -> dict[str, frozenset[str]]:
        """Return aggregate ids by provider id; providers without aggregates are left out."""
        return await usages.aggregates_of(session, ids)

    async def forest(self) -> Forest:
        """Return all provider trees as they are now; an unchanging snapshot."""
        return await self._forest.now()

    async def candidates(
        self, ask: CandidateRequest, *, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[Forest, list[Candidate], bool]:
        """Find where a request fits, the forest it was found in, and whether `max_candidates` kept some back.

        Others get their turn while it searches, and it ends early when `wanted` says that nobody waits any more.
        Raises BadRequest when it takes too long.
        """
        forest = await self.forest()
        most = self.max_candidates * PARTS // max(PARTS, len(ask.parts))
        limit = most + 1 if ask.limit is None else min(ask.limit, most + 1)
        found: list[Candidate] = []
        seen: set[Candidate] = set()
        steps = 0
        for some in search(forest, ask, world.chance() if self.randomize else None):
            if some is None:
                steps += 1
                if not wanted():
                    break
                if steps > self.max_steps:
                    raise errors.BadRequest(
                        "The search for allocation candidates was stopped: the request leaves too many combinations. "
                        "Narrow it with in_tree, member_of or required, or set a limit."
                    )
                await asyncio.sleep(0)
                continue
            found += _new(some, seen) if forest.lenders else some
            if len(found) >= limit:
                break
        return forest, found[: min(limit, most)], min(limit, len(found)) > most

    async def changed_since(self, session: Session, seen: int) -> tuple[dict[str, int], int]:
        """Return the change numbers, by id, of the providers that changed or went away after `seen`; 0 asks for all.

        Beside them is the number to ask with next.
        """
        return await changes.since(session, seen)


def _new(some: Iterable[Candidate], seen: set[Candidate]) -> list[Candidate]:
    """Leave out what another tree has led to already, through those that share with both."""
    new = [one for one in some if one not in seen]
    seen.update(new)
    return new
