"""Many writers at once, on SQLite and on PostgreSQL: nothing is given twice and nobody meets a 500."""

import asyncio
import collections
import random
import uuid


async def make_provider(http, name, **inventory):
    id = str(uuid.uuid4())
    assert (await http("POST", "/resource_providers", {"name": name, "uuid": id})).status == 200
    body = {
        "resource_provider_generation": 0,
        "inventories": {resource: {"total": total} for resource, total in inventory.items()},
    }
    assert (await http("PUT", f"/resource_providers/{id}/inventories", body)).status == 200
    return id


def allocation(amounts, *, generation=None):
    return {
        "allocations": {id: {"resources": resources} for id, resources in amounts.items()},
        "project_id": "p",
        "user_id": "u",
        "consumer_generation": generation,
        "consumer_type": "INSTANCE",
    }


async def nothing_is_wrong(http):
    async with http.placement.store.read() as session:
        assert await http.placement.drift(session) == []
        for provider, classes in (await http.placement.inventories(session)).items():
            for name, row in classes.items():
                assert 0 <= row["used"] <= row["capacity"], (provider, name)


async def test_fifty_writers_for_the_last_places_get_exactly_those_places(http):
    host = await make_provider(http, "host", VCPU=20, MEMORY_MB=100000)

    async def take():
        body = allocation({host: {"VCPU": 1, "MEMORY_MB": 100}})
        return (await http("PUT", f"/allocations/{uuid.uuid4()}", body)).status

    statuses = collections.Counter(await asyncio.gather(*(take() for _ in range(50))))
    assert statuses == {204: 20, 409: 30}
    usages = (await http("GET", f"/resource_providers/{host}/usages")).body["usages"]
    assert usages == {"VCPU": 20, "MEMORY_MB": 2000}
    await nothing_is_wrong(http)


async def test_fifty_writers_on_one_consumer_agree_on_one_owner(http):
    host = await make_provider(http, "host", VCPU=1000)
    consumer = str(uuid.uuid4())

    async def take(amount):
        return amount, await http("PUT", f"/allocations/{consumer}", allocation({host: {"VCPU": amount}}))

    answers = await asyncio.gather(*(take(n + 1) for n in range(50)))
    (accepted,) = [amount for amount, answer in answers if answer.status == 204]
    losers = [answer for _, answer in answers if answer.status != 204]
    assert {(answer.status, answer.code) for answer in losers} == {(409, "placement.concurrent_update")}
    held = (await http("GET", f"/allocations/{consumer}")).body
    assert held["allocations"][host]["resources"] == {"VCPU": accepted} and held["consumer_generation"] == 1
    await nothing_is_wrong(http)


async def test_each_of_many_that_ask_together_gets_its_own_answer(http):
    host = await make_provider(http, "host", VCPU=10)
    known = str(uuid.uuid4())
    assert (await http("PUT", f"/allocations/{known}", allocation({host: {"VCPU": 2}}))).status == 204
    absent = str(uuid.uuid4())
    asks = [
        (str(uuid.uuid4()), allocation({host: {"VCPU": 3}}), 204, None),
        (str(uuid.uuid4()), allocation({absent: {"VCPU": 1}}), 400, absent),
        (str(uuid.uuid4()), allocation({host: {"CUSTOM_NEVER": 1}}), 400, "No such resource class CUSTOM_NEVER"),
        (str(uuid.uuid4()), allocation({host: {"MEMORY_MB": 1}}), 409, "Inventory for 'MEMORY_MB'"),
        (str(uuid.uuid4()), allocation({host: {"VCPU": 9}}), 409, "exceed the capacity"),
        (known, allocation({host: {"VCPU": 1}}, generation=7), 409, "expected 1 but got 7"),
        (known, allocation({host: {"VCPU": 1}}, generation=1), 204, None),
        (known, allocation({host: {"VCPU": 4}}, generation=2), 204, None),
        (str(uuid.uuid4()), allocation({host: {"VCPU": 3}}), 204, None),
        (str(uuid.uuid4()), allocation({host: {"VCPU": 1}}), 409, "exceed the capacity"),
    ]
    answers = await asyncio.gather(*(http("PUT", f"/allocations/{who}", body) for who, body, *_ in asks))
    for (_, body, status, said), answer in zip(asks, answers, strict=True):
        assert answer.status == status, (body, answer.body)
        assert said is None or said in answer.detail
    used = (await http("GET", f"/resource_providers/{host}/usages")).body["usages"]
    assert used == {"VCPU": 10}
    assert (await http("GET", f"/allocations/{known}")).body["consumer_generation"] == 3
    await nothing_is_wrong(http)


async def test_writers_that_move_swap_and_give_back_across_hosts_never_break_the_ledger(http):
    hosts = [await make_provider(http, f"h{n}", VCPU=12, DISK_GB=100) for n in range(6)]
    seen = collections.Counter()
    accepted = {}

    async def writer(number):
        dice = random.Random(number)
        mine = [str(uuid.uuid4()) for _ in range(2)]
        for _ in range(6):
            status, wanted = await one_change(dice, mine)
            seen[status] += 1
            if status == 204:
                accepted.update(wanted)

    async def one_change(dice, mine):
        what, consumer = dice.randrange(4), dice.choice(mine)
        if what == 0:
            return (await http("DELETE", f"/allocations/{consumer}")).status, {consumer: {}}
        wanted = {id: places(dice) for id in (mine if what == 1 else [consumer])}
        bodies = {id: allocation(some, generation=await generation_of(id)) for id, some in wanted.items()}
        if what == 1:
            return (await http("POST", "/allocations", bodies)).status, wanted
        return (await http("PUT", f"/allocations/{consumer}", bodies[consumer])).status, wanted

    async def generation_of(consumer):
        return (await http("GET", f"/allocations/{consumer}")).body.get("consumer_generation")

    def places(dice):
        return {id: {"VCPU": dice.randint(1, 4), "DISK_GB": 5} for id in dice.sample(hosts, dice.randint(1, 3))}

    async def inventory_changer():
        for n in range(30):
            host = hosts[n % len(hosts)]
            path = f"/resource_providers/{host}/inventories/VCPU"
            generation = (await http("GET", path)).body["resource_provider_generation"]
            answer = await http("PUT", path, {"resource_provider_generation": generation, "total": 12})
            seen[answer.status] += 1

    await asyncio.gather(*(writer(n) for n in range(50)), inventory_changer())
    assert set(seen) <= {200, 204, 404, 409}, seen
    assert seen[204] > 20
    for consumer, wanted in accepted.items():
        held = (await http("GET", f"/allocations/{consumer}")).body["allocations"]
        assert {id: one["resources"] for id, one in held.items()} == wanted, "all of the last accepted, or nothing"
    await nothing_is_wrong(http)


async def test_posting_for_several_consumers_is_all_or_nothing(http):
    host = await make_provider(http, "host", VCPU=10)
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    body = {first: allocation({host: {"VCPU": 6}}), second: allocation({host: {"VCPU": 6}})}
    answer = await http("POST", "/allocations", body)
    assert answer.status == 409 and "would exceed the capacity" in answer.detail
    assert (await http("GET", f"/allocations/{first}")).body == {"allocations": {}}
    assert (await http("GET", f"/resource_providers/{host}/usages")).body["usages"] == {"VCPU": 0}


async def test_one_post_moves_a_place_from_a_server_to_its_migration_on_a_full_host(http):
    host = await make_provider(http, "host", VCPU=4)
    server, migration = str(uuid.uuid4()), str(uuid.uuid4())
    assert (await http("PUT", f"/allocations/{server}", allocation({host: {"VCPU": 4}}))).status == 204
    body = {server: allocation({}, generation=1), migration: allocation({host: {"VCPU": 4}})}
    assert (await http("POST", "/allocations", body)).status == 204
    held = (await http("GET", f"/resource_providers/{host}/allocations")).body["allocations"]
    assert list(held) == [migration]
    await nothing_is_wrong(http)


async def test_a_reader_of_changes_hears_of_every_commit_of_concurrent_writers(http):
    hosts = [await make_provider(http, f"h{n}", VCPU=1000) for n in range(5)]
    placement = http.placement
    heard, done = collections.defaultdict(int), asyncio.Event()

    async def listen():
        seen = 0
        while True:
            last = done.is_set()
            async with placement.store.read() as session:
                changed, seen = await placement.changed_since(session, seen)
                used = await placement.usages(session, changed)
            heard.update({id: used[id]["VCPU"] for id in changed})
            if last:
                return
            await asyncio.sleep(0)

    async def write(number):
        for _ in range(5):
            body = allocation({hosts[number % 5]: {"VCPU": 1}})
            assert (await http("PUT", f"/allocations/{uuid.uuid4()}", body)).status == 204

    listener = asyncio.create_task(listen())
    await asyncio.gather(*(write(n) for n in range(30)))
    done.set()
    await listener
    assert heard == dict.fromkeys(hosts, 30)


async def test_one_name_goes_to_one_of_many(http):
    async def create():
        return (await http("POST", "/resource_providers", {"name": "wanted"})).status

    assert collections.Counter(await asyncio.gather(*(create() for _ in range(20)))) == {200: 1, 409: 19}
    others = [await make_provider(http, f"h{n}", VCPU=1) for n in range(10)]

    async def rename(id):
        return (await http("PUT", f"/resource_providers/{id}", {"name": "new"})).status

    assert collections.Counter(await asyncio.gather(*map(rename, others))) == {200: 1, 409: 9}


async def test_trees_stay_trees_while_they_are_moved_and_grown(http):
    ids = [await make_provider(http, f"h{n}", VCPU=1) for n in range(7)]
    seen = collections.Counter()

    async def mover(number):
        dice = random.Random(number)
        for n in range(5):
            if dice.randrange(3) == 0:
                body = {"name": f"child-{number}-{n}", "parent_provider_uuid": dice.choice(ids)}
                seen[(await http("POST", "/resource_providers", body)).status] += 1
                continue
            id, parent = dice.choice(ids), dice.choice([*ids, None])
            body = {"name": f"h{ids.index(id)}", "parent_provider_uuid": parent}
            seen[(await http("PUT", f"/resource_providers/{id}", body)).status] += 1

    await asyncio.gather(*(mover(n) for n in range(20)))
    assert set(seen) <= {200, 400, 409}, seen
    rows = (await http("GET", "/resource_providers")).body["resource_providers"]
    parents = {row["uuid"]: row["parent_provider_uuid"] for row in rows}
    for row in rows:
        top, steps = row["uuid"], 0
        while parents[top] is not None:
            top, steps = parents[top], steps + 1
            assert steps < len(rows), "a loop"
        assert top == row["root_provider_uuid"]
