"""Filters, claims, capacity, explanations and Placement answer alike whether a host can give what is asked of it."""

from random import Random
from typing import Any

import attrs
import pytest

from novakit import world
from novakit.calls.scheduler import Selection
from novakit.placement.candidates import CandidateRequest, Group
from novakit.store.compute import hosts
from novakit.store.placement.inventories import StatedInventory
from novakit_fit.device_request import beside_devices
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell
from novakit_hookspecs.scheduling import Ask
from tests.functional.scheduler.test_request_groups import card

HOSTS = [f"host{number}" for number in range(6)]
CLASSES = ("FPGA", "VGPU")
TRAITS = ("CUSTOM_AI", "CUSTOM_OLD")


async def claimed(cloud: Any, scheduler: Any, ask: Ask) -> set[str]:
    """Give the hosts on which the claim is made when nobody asks the filters before."""
    made = set()
    for host in HOSTS:
        (told,) = await scheduler.select([attrs.evolve(ask, server_id=world.new_id(), host=host, force=True)])
        if isinstance(told, Selection):
            made.add(host)
            async with cloud.store.write() as session:
                await cloud.placement.release(session, told.server_id)
    return made


async def agreed(cloud: Any, ask: Ask) -> set[str]:
    """Insist that filters, claims, capacity and explanations agree; give the hosts that can take the server."""
    scheduler = cloud.scheduler()
    scheduler.state.refresh_every = 0
    counted = await scheduler.capacity(ask)
    fitting = {one.host for one in counted.hosts if one.fits}
    assert await claimed(cloud, scheduler, ask) == fitting
    told = await scheduler.dry_run(ask)
    assert (told.host is not None) == bool(fitting) and (told.host in fitting or not fitting)
    assert told.filters[-1].after == len(fitting)
    for stage in told.filters:
        assert sum(reason.count for reason in stage.reasons) == stage.before - stage.after, stage.name
    if not fitting:
        assert told.nearest is not None and told.nearest.misses
    return fitting


def stock(chance: Random) -> StatedInventory:
    most = chance.randrange(1, 5)
    return StatedInventory(total=chance.randrange(1, 5), max_unit=most, step_size=chance.choice([1, 1, 1, 2]))


def flavor(chance: Random) -> dict[str, str]:
    specs = {f"resources:{name}": f"{chance.randrange(1, 3)}" for name in CLASSES if chance.random() < 0.3}
    for number in range(chance.randrange(1, 4)):
        specs[f"resources{number}:{chance.choice(CLASSES)}"] = f"{chance.choice([1, 1, 2, 3])}"
        if chance.random() < 0.3:
            specs[f"trait{number}:{chance.choice(TRAITS)}"] = chance.choice(["required", "forbidden"])
    return {**specs, "group_policy": chance.choice(["none", "isolate", "isolate"])}


async def answered(cloud: Any, ask: Ask) -> set[str]:
    """Give the hosts of which Placement has a candidate for the same request."""
    spread = beside_devices(ask)
    groups = [
        Group(
            suffix=f"_{one.suffix}",
            resources=one.resources,
            required=[{trait} for trait in one.required],
            forbidden=one.forbidden,
        )
        for one in ask.groups
    ]
    wanted = CandidateRequest(groups=[Group(resources=spread), *groups], isolate=ask.isolate_groups)
    forest, found, _ = await cloud.placement.candidates(wanted)
    roots = {forest.providers[provider].root_id for candidate in found for provider in candidate}
    async with cloud.store.read() as session:
        return {row["name"] for row in await hosts.every(session) if row["provider_id"] in roots}


@pytest.mark.parametrize("seed", range(2))
async def test_who_gives_resources_of_several_providers(cloud: Any, make: Any, seed: int) -> None:
    chance = Random(seed)
    await cloud.add_hosts(len(HOSTS))
    for host in HOSTS:
        for _ in range(chance.randrange(5)):
            some = {name: stock(chance) for name in CLASSES if chance.random() < 0.7}
            await card(cloud, host, " ".join(one for one in TRAITS if chance.random() < 0.4), **some)
    seen = set()
    for _ in range(10):
        ask = make(extra_specs=flavor(chance))
        fitting = await agreed(cloud, ask)
        assert await answered(cloud, ask) == fitting
        seen.add(frozenset(fitting))
    assert len(seen) > 2, "the examples tell hosts apart"


@pytest.mark.parametrize("seed", range(2))
async def test_who_gives_cells_with_devices_near_them(cloud: Any, make: Any, seed: int) -> None:
    chance = Random(seed)
    for number in range(len(HOSTS)):
        cells = [
            NumaCell(
                id=one,
                cpus=(one * 100,),
                dedicated=tuple(range(one * 100 + 1, one * 100 + 1 + chance.choice([2, 4, 6]))),
                memory_mb=chance.choice([1024, 4096]),
                socket=one // 2,
            )
            for one in range(chance.choice([2, 4]))
        ]
        places = [(kind, chance.choice([None, *range(len(cells))])) for kind in "abab" for _ in range(2)]
        devices = [
            PciDevice(address=f"0000:1{at}:00.0", kind=kind, numa_cell=cell)
            for at, (kind, cell) in enumerate(places)
            if chance.random() < 0.8
        ]
        await cloud.add_hosts(1, start=number, memory_mb=16384, vcpus=64, numa=cells, pci=devices)
    seen = set()
    for _ in range(6):
        specs = {
            "hw:cpu_policy": "dedicated",
            "hw:numa_nodes": f"{chance.choice([1, 2, 2, 4])}",
            "pci_passthrough:alias": ",".join(f"{kind}:{chance.randrange(1, 4)}" for kind in "ab"),
            "hw:pci_numa_affinity_policy": chance.choice(["required", "legacy", "preferred", "socket"]),
        }
        seen.add(frozenset(await agreed(cloud, make(vcpus=4, memory_mb=1536, extra_specs=specs))))
    assert len(seen) > 2, "the examples tell hosts apart"
