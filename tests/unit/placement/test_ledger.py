"""Claims, releases and the whole-cloud reads, inside the caller's transaction."""

import uuid

import attrs
import pytest

from novakit.errors import Conflict
from novakit.placement import AllocationClaim, HostReport, Placement
from novakit.placement.allocations import AllocationRequest, replace_each
from novakit.placement.ledger import take_unread
from novakit.store.placement import allocations
from novakit_hookspecs.hosts import Inventory
from tests.support.stores import sqlite_store

HOST, OTHER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


@pytest.fixture
async def placement(tmp_path):
    store = await sqlite_store(tmp_path / "placement.db")
    placement = Placement(store)
    inventory = {"VCPU": Inventory(total=4), "MEMORY_MB": Inventory(total=1000, reserved=200, step_size=10)}
    reports = [
        HostReport(provider_id=id, name=f"host-{id[0]}", inventory=inventory, traits=frozenset({"HW_CPU_X86_AVX2"}))
        for id in (HOST, OTHER)
    ]
    async with store.write() as session:
        await placement.report_hosts(session, reports)
    yield placement
    await store.close()


def claim(amounts, consumer=None):
    consumer = consumer or str(uuid.uuid4())
    return AllocationClaim(consumer_id=consumer, project_id="p", user_id="u", allocations=amounts)


async def claimed(placement, *claims):
    async with placement.store.write() as session:
        return await placement.claim_many(session, claims)


async def used(placement):
    async with placement.store.read() as session:
        assert await placement.drift(session) == []
        return {id: amounts["VCPU"] for id, amounts in (await placement.usages(session)).items()}


async def test_a_claim_takes_and_the_same_claim_again_takes_no_more(placement):
    one = claim({HOST: {"VCPU": 3, "MEMORY_MB": 100}})
    assert await claimed(placement, one) == [True]
    assert await claimed(placement, one, one) == [True, True]
    assert await used(placement) == {HOST: 3, OTHER: 0}
    async with placement.store.read() as session:
        assert await placement.allocations_of(session, one.consumer_id) == {HOST: {"VCPU": 3, "MEMORY_MB": 100}}
        assert await placement.consumers(session) == {one.consumer_id: one}


async def test_each_change_of_what_a_consumer_holds_is_its_next_generation(placement):
    one = claim({HOST: {"VCPU": 1}})
    for generation, amount in enumerate((1, 3, 2), start=1):
        assert await claimed(placement, attrs.evolve(one, allocations={HOST: {"VCPU": amount}})) == [True]
        async with placement.store.read() as session:
            (row,) = await allocations.of_consumer(session, one.consumer_id)
        assert (row["consumer_generation"], row["used"]) == (generation, amount)


async def test_what_is_held_is_granted_again_though_nobody_would_get_so_much_any_more(placement):
    one = claim({HOST: {"VCPU": 3, "MEMORY_MB": 100}})
    assert await claimed(placement, one) == [True]
    less = {"VCPU": Inventory(total=2, max_unit=1), "MEMORY_MB": Inventory(total=1000, step_size=30)}
    report = HostReport(provider_id=HOST, name="host-1", inventory=less, traits=frozenset())
    async with placement.store.write() as session:
        await placement.report_hosts(session, [report])
    assert await claimed(placement, one, claim({HOST: {"VCPU": 3, "MEMORY_MB": 100}})) == [True, False]
    assert await used(placement) == {HOST: 3, OTHER: 0}


async def test_claims_of_one_batch_see_what_the_earlier_ones_took(placement):
    answers = await claimed(placement, *(claim({HOST: {"VCPU": 1}}) for _ in range(6)), claim({OTHER: {"VCPU": 4}}))
    assert answers == [True] * 4 + [False] * 2 + [True]
    assert await used(placement) == {HOST: 4, OTHER: 4}


@pytest.mark.parametrize(
    "amounts",
    [
        {HOST: {"VCPU": 5}},
        {HOST: {"MEMORY_MB": 810}},
        {HOST: {"MEMORY_MB": 15}},
        {HOST: {"VGPU": 1}},
        {HOST: {"VCPU": 1}, str(uuid.UUID(int=9)): {"VCPU": 1}},
        {HOST: {"VCPU": 1}, OTHER: {"VCPU": 5}},
    ],
)
async def test_what_does_not_fit_takes_nothing_at_all(placement, amounts):
    assert await claimed(placement, claim(amounts)) == [False]
    assert await used(placement) == {HOST: 0, OTHER: 0}


async def test_another_claim_of_a_consumer_moves_it_or_leaves_it(placement):
    first = claim({HOST: {"VCPU": 3}})
    assert await claimed(placement, first) == [True]
    assert await claimed(placement, claim({HOST: {"VCPU": 4}}, first.consumer_id)) == [True]
    assert await used(placement) == {HOST: 4, OTHER: 0}
    assert await claimed(placement, claim({OTHER: {"VCPU": 2}}, first.consumer_id)) == [True]
    assert await claimed(placement, claim({OTHER: {"VCPU": 9}}, first.consumer_id)) == [False]
    assert await used(placement) == {HOST: 0, OTHER: 2}


async def test_a_release_gives_everything_back_once(placement):
    one = claim({HOST: {"VCPU": 3}, OTHER: {"VCPU": 1}})
    await claimed(placement, one)
    async with placement.store.write() as session:
        assert await placement.release(session, one.consumer_id)
        assert not await placement.release(session, one.consumer_id)
    assert await used(placement) == {HOST: 0, OTHER: 0}
    async with placement.store.read() as session:
        assert await placement.consumers(session) == {}


async def test_a_replacement_of_several_consumers_is_all_or_nothing(placement):
    server, migration = claim({HOST: {"VCPU": 4}}), str(uuid.uuid4())
    await claimed(placement, server)
    moved = [claim({OTHER: {"VCPU": 4}}, server.consumer_id), claim({HOST: {"VCPU": 4}}, migration)]
    async with placement.store.write() as session:
        await placement.replace(session, moved)
    assert await used(placement) == {HOST: 4, OTHER: 4}
    with pytest.raises(Conflict, match="Unable to create allocation"):
        async with placement.store.write() as session:
            await placement.replace(session, [claim({}, migration), claim({HOST: {"VCPU": 5}}, server.consumer_id)])
    assert await used(placement) == {HOST: 4, OTHER: 4}


async def test_a_transaction_that_fails_takes_nothing(placement):
    with pytest.raises(RuntimeError):
        async with placement.store.write() as session:
            assert await placement.claim(
                session, str(uuid.uuid4()), project_id="p", user_id="u", allocations={HOST: {"VCPU": 4}}
            )
            raise RuntimeError("the conductor died here")
    assert await used(placement) == {HOST: 0, OTHER: 0}


async def test_an_excess_may_shrink_but_not_grow(placement):
    one = claim({HOST: {"VCPU": 4}})
    await claimed(placement, one)
    smaller = HostReport(
        provider_id=HOST, name="host-1", inventory={"VCPU": Inventory(total=2, max_unit=4)}, traits=frozenset()
    )
    async with placement.store.write() as session:
        await placement.report_hosts(session, [smaller])
    assert await claimed(placement, claim({HOST: {"VCPU": 3}}, one.consumer_id)) == [True]
    assert await claimed(placement, claim({HOST: {"VCPU": 4}}, one.consumer_id)) == [False]
    assert await claimed(placement, claim({HOST: {"VCPU": 1}})) == [False]


async def test_changes_are_told_once_and_deletions_too(placement):
    async with placement.store.read() as session:
        changed, seen = await placement.changed_since(session, 0)
        assert set(changed) == {HOST, OTHER}
        assert await placement.changed_since(session, seen) == ({}, seen)
    await claimed(placement, claim({OTHER: {"VCPU": 1}}))
    async with placement.store.read() as session:
        changed, later = await placement.changed_since(session, seen)
    assert set(changed) == {OTHER} and later > seen
    from novakit.store.placement import resource_providers

    async with placement.store.write() as session:
        await resource_providers.delete(session, HOST)
    async with placement.store.read() as session:
        changed, last = await placement.changed_since(session, later)
    assert set(changed) == {HOST} and last > later
    forest = await placement.forest()
    assert set(forest.providers) == {OTHER}


async def test_who_says_nothing_of_the_consumers_type_leaves_it(placement):
    one = claim({HOST: {"VCPU": 1}})
    assert await claimed(placement, one) == [True]
    for kind, expected in ((None, "INSTANCE"), ("MIGRATION", "MIGRATION"), (None, "MIGRATION")):
        amount = {"VCPU": 2 if expected == "INSTANCE" else 3 if kind else 4}
        again = attrs.evolve(one, consumer_type=kind, allocations={HOST: amount})
        assert await claimed(placement, again) == [True]
        async with placement.store.read() as session:
            assert (await placement.consumers(session))[one.consumer_id].consumer_type == expected


async def test_requests_that_come_together_see_what_earlier_ones_of_the_same_consumer_did(placement):
    one, two, three = (str(uuid.uuid4()) for _ in range(3))

    def request(consumer, amount, generation):
        return AllocationRequest(claim({HOST: {"VCPU": amount}}, consumer), generation)

    together = [
        [request(one, 1, None), request(two, 1, None)],
        [request(three, 1, None)],
        [request(two, 2, 1)],  # the generation that the first one made
        [request(one, 1, 1), request(three, 1, 1)],
        [request(one, 2, 2)],  # more than there is
        [request(one, 1, 1)],  # what it was before the one before last
    ]
    async with placement.store.write() as session:
        told = await replace_each(session, together)
        held = {each: await placement.allocations_of(session, each) for each in (one, two, three)}
        assert await placement.drift(session) == []
    assert [type(each) for each in told] == [type(None)] * 4 + [Conflict] * 2
    assert "exceed the capacity" in told[4].message and "generation conflict" in told[5].message
    assert [held[each][HOST]["VCPU"] for each in (one, two, three)] == [1, 2, 1]


@attrs.frozen(eq=False)
class Rolled(Exception):
    answer: object


async def unread(placement, one, provider, seen=None):
    """Claim without reading, and roll back where that is refused."""
    try:
        async with placement.store.write() as session:
            if seen is None:
                numbers, _ = await placement.changed_since(session, 0)
                seen = numbers[provider]
            if (number := await take_unread(session, one, provider, seen)) is None:
                raise Rolled(None)
    except Rolled:
        return None
    return number


async def test_what_is_taken_unread_is_written_as_a_claim_is_that_was_read(placement):
    told = []
    for provider in (HOST, OTHER):
        one = claim({provider: {"VCPU": 3, "MEMORY_MB": 100}})
        if provider == HOST:
            assert await claimed(placement, one) == [True]
        else:
            number = await unread(placement, one, provider)
        async with placement.store.read() as session:
            (held, *_) = rows = await allocations.of_consumer(session, one.consumer_id)
            said = ("provider_generation", "consumer_generation", "project_id", "user_id", "type")
            told.append(({row["resource_class"]: row["used"] for row in rows}, [held[name] for name in said]))
    assert told[0] == told[1]
    async with placement.store.read() as session:
        assert (await placement.changed_since(session, 0))[0][OTHER] == number
    assert await used(placement) == {HOST: 3, OTHER: 3}


@pytest.mark.parametrize(
    "amounts",
    [
        {"VCPU": 1, "MEMORY_MB": 810},  # more than there is
        {"MEMORY_MB": 15},  # not a multiple of the step
        {"VCPU": 1, "DISK_GB": 1},  # there is none of it
        {"VCPU": 3},  # above the most for one
        {"SRIOV_NET_VF": 1},  # below the least for one
    ],
)
async def test_what_the_inventories_do_not_allow_is_not_taken_unread(placement, amounts):
    inventory = {
        "VCPU": Inventory(total=4, max_unit=2),
        "MEMORY_MB": Inventory(total=1000, reserved=200, step_size=10),
        "SRIOV_NET_VF": Inventory(total=8, min_unit=2),
    }
    report = HostReport(provider_id=HOST, name="host-1", inventory=inventory, traits=frozenset())
    async with placement.store.write() as session:
        await placement.report_hosts(session, [report])
    assert await unread(placement, claim({HOST: amounts}), HOST) is None
    assert await claimed(placement, claim({HOST: amounts})) == [False], "the ledger says the same"
    assert await used(placement) == {HOST: 0, OTHER: 0}


async def test_nothing_is_taken_unread_of_a_provider_that_has_changed_nor_for_a_consumer_that_is_known(placement):
    async with placement.store.read() as session:
        seen = (await placement.changed_since(session, 0))[0][HOST]
    one = claim({HOST: {"VCPU": 1}})
    assert await claimed(placement, one) == [True]
    assert await unread(placement, claim({HOST: {"VCPU": 1}}), HOST, seen) is None
    assert await unread(placement, attrs.evolve(one, allocations={OTHER: {"VCPU": 1}}), OTHER) is None
    assert await used(placement) == {HOST: 1, OTHER: 0}


async def test_requests_that_name_different_consumers_share_one_ledger(placement):
    asked = [[AllocationRequest(claim({HOST: {"VCPU": 1}}), None)] for _ in range(3)]
    async with placement.store.write() as session:
        before = placement.store.tally.statements
        assert await replace_each(session, asked) == [None] * 3
        together = placement.store.tally.statements - before
        before = placement.store.tally.statements
        assert await replace_each(session, [[AllocationRequest(claim({OTHER: {"VCPU": 1}}), None)]]) == [None]
        assert together == placement.store.tally.statements - before
