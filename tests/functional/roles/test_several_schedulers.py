"""Several schedulers, each a process: nothing is given twice, all of what fits is given, and tries stay few."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.roles.several import BIG_EACH, DEVICES, HOSTS, SCHEDULERS, Several, hosts_of, refused_properly

ASKED = 50
ROOM = HOSTS * BIG_EACH

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Several]:
    state = tmp_path_factory.mktemp(request.param) / "state"
    database = f"sqlite+aiosqlite:///{state}/novakit.db"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres_cluster").database()
    with Several(state, database) as made:
        made.start_all()
        yield made


def told(what: str, counted: dict[str, Counter[str]]) -> Counter[str]:
    """Print what each scheduler counted, and give the sums."""
    total: Counter[str] = Counter()
    for each in counted.values():
        total.update(each)
    print(f"{what}: {dict(total)}, of which { ({name: dict(each) for name, each in counted.items()}) }")
    return total


async def test_fifty_creates_at_once_get_all_there_is_and_no_more_with_few_tries(cloud: Several) -> None:
    async with cloud.desk() as desk:
        await asyncio.gather(*(desk.create(f"big-{number}", "big") for number in range(ASKED)))
        servers = await desk.settled()
        assert (len(servers["ACTIVE"]), len(servers["ERROR"])) == (ROOM, ASKED - ROOM)
        assert set(hosts_of(servers["ACTIVE"]).values()) == {BIG_EACH}
        refused_properly(servers["ERROR"])
        await desk.nothing_is_given_twice()
        counted = await desk.counted()
        assert set(counted) == set(SCHEDULERS), "each scheduler answers under its own name"
        total = told("few hosts with little room", counted)
        assert (total["placed"], total["refused"]) == (ROOM, ASKED - ROOM)
        assert all(each["placed"] + each["refused"] for each in counted.values()), "all of them were asked"
        assert total["conflicts"] <= 2 * ASKED, "a server's claim is tried a few times, not again and again"
        decisions = (await desk.admin.ok("GET", "/novakit/v1/decisions?limit=1000"))["decisions"]
        assert {one["scheduler"] for one in decisions} == set(SCHEDULERS)


async def test_groups_hold_their_policy_and_their_most_per_host_with_fifty_creates_each(cloud: Several) -> None:
    wanted = (("anti-affinity", None), ("anti-affinity", 2), ("affinity", 5))
    wanted += (("soft-affinity", 3), ("soft-anti-affinity", 2))
    async with cloud.desk() as desk:
        groups = [await desk.group(policy, most) for policy, most in wanted]
        asked = [(place, number) for number in range(ASKED) for place in range(len(groups))]
        await asyncio.gather(*(desk.create(f"group-{place}-{n}", "small", groups[place]) for place, n in asked))
        servers = await desk.settled()
        refused_properly(servers["ERROR"])
        for place, (policy, most) in enumerate(wanted):
            here = [each for each in servers["ACTIVE"] if each["name"].startswith(f"group-{place}-")]
            counts = list(hosts_of(here).values())
            if policy == "affinity":
                assert counts == [most], (policy, most, counts)
            else:
                assert counts == [most or 1] * HOSTS, (policy, most, counts)
        await desk.nothing_is_given_twice()
        total = told("five groups", await desk.counted())
        assert total["conflicts"] <= 3 * len(asked)


async def test_each_pci_device_is_given_to_one_server(cloud: Several) -> None:
    async with cloud.desk() as desk:
        await asyncio.gather(*(desk.create(f"device-{number}", "device") for number in range(ASKED)))
        servers = await desk.settled()
        assert len(servers["ACTIVE"]) == HOSTS * DEVICES
        assert set(hosts_of(servers["ACTIVE"]).values()) == {DEVICES}
        refused_properly(servers["ERROR"])
        held: Counter[str] = Counter()
        for each in servers["ACTIVE"]:
            claim = await desk.admin.ok("GET", f"/placement/allocations/{each['id']}")
            held.update(
                provider
                for provider, one in claim["allocations"].items()
                if one["resources"].get("CUSTOM_PCI_A100") == 1
            )
        assert len(held) == HOSTS * DEVICES and set(held.values()) == {1}
        await desk.nothing_is_given_twice()
        total = told("devices", await desk.counted())
        assert total["conflicts"] <= 2 * ASKED


async def test_servers_asked_for_together_fill_what_is_left_over_all_schedulers(cloud: Several) -> None:
    async with cloud.desk() as desk:
        batches = (desk.create(f"batch-{n}", "big", min_count=2, max_count=10) for n in range(5))
        await asyncio.gather(*batches)
        servers = await desk.settled()
        assert (len(servers["ACTIVE"]), len(servers["ERROR"])) == (ROOM, ASKED - ROOM)
        assert set(hosts_of(servers["ACTIVE"]).values()) == {BIG_EACH}
        refused_properly(servers["ERROR"])
        await desk.nothing_is_given_twice()
        told("batches", await desk.counted())


async def test_schedulers_killed_one_after_another_or_asked_to_stop_lose_no_request(cloud: Several) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    async with cloud.desk() as desk:

        async def create(name: str, flavor: str) -> None:
            await asyncio.sleep(dice.uniform(0, 3))
            await desk.create(name, flavor)

        async def kill() -> None:
            for victim in (*SCHEDULERS[:2], SCHEDULERS[0]):
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                cloud.kill(victim)
                cloud.spawn_scheduler(victim)
            asked = cloud.processes.pop(SCHEDULERS[2])
            asked.terminate()
            assert await asyncio.to_thread(asked.wait, 60) == 0
            cloud.spawn_scheduler(SCHEDULERS[2])

        big = (create(f"big-{number}", "big") for number in range(ROOM + 6))
        small = (create(f"small-{number}", "small") for number in range(ASKED - ROOM - 6))
        await asyncio.gather(kill(), *big, *small)
        servers = await desk.settled()
        statuses = Counter((each["name"][:3], status) for status, some in servers.items() for each in some)
        wanted = {("big", "ACTIVE"): ROOM, ("big", "ERROR"): 6, ("sma", "ACTIVE"): ASKED - ROOM - 6}
        assert statuses == wanted, [each["fault"] for each in servers["ERROR"]]
        refused_properly(servers["ERROR"])
        await desk.nothing_is_given_twice()
        await asyncio.to_thread(cloud.ready, *SCHEDULERS)
        await answering(desk, set(SCHEDULERS))


async def test_a_scheduler_that_hangs_costs_its_calls_a_while_and_the_others_nothing(cloud: Several) -> None:
    async with cloud.desk() as desk:
        began = time.monotonic()
        try:
            await stop_west(cloud, desk)
            await asyncio.gather(*(desk.create(f"small-{number}", "small") for number in range(3, ASKED)))
            await desk.admin.settled()
            print(f"{ASKED} creates beside a scheduler that hangs took {time.monotonic() - began:.1f} s")
            await desk.create("after", "small")
            servers = await desk.settled()
            assert (len(servers["ACTIVE"]), len(servers["ERROR"])) == (ASKED + 1, 0)
        finally:
            cloud.send("west", signal.SIGCONT)
        await answering(desk, set(SCHEDULERS))
        assert len((await desk.settled())["ACTIVE"]) == ASKED + 1
        await desk.nothing_is_given_twice()


async def stop_west(cloud: Several, desk: Any) -> None:
    """Stop a scheduler, on PostgreSQL in the middle of a claim, with the rows of a host locked."""
    creates = [desk.create(f"small-{number}", "small") for number in range(3)]
    if cloud.database.startswith("sqlite"):
        cloud.send("west", signal.SIGSTOP)
        await asyncio.gather(*creates)
        return
    async with cloud.claims_held_up() as waiting:
        await asyncio.gather(*creates)
        async with asyncio.timeout(60):
            while await waiting() < len(SCHEDULERS):
                await asyncio.sleep(0.05)
        cloud.send("west", signal.SIGSTOP)


async def answering(desk: Any, names: set[str]) -> None:
    """Wait until all of these answer."""
    async with asyncio.timeout(60):
        while set(await desk.counts()) != names:
            await asyncio.sleep(0.1)
