"""What is chosen and not given after all is counted no more: amounts, kinds, NUMA cells, devices, groups."""

import asyncio
from typing import Any

import numpy as np

from novakit.scheduler.select import Scheduler
from novakit.scheduler.tries import Waiting
from novakit_hookspecs.hosts import PciDevice
from novakit_hookspecs.numa import NumaCell
from tests.functional.scheduler.test_request_groups import card

CELLS = [NumaCell(id=cell, dedicated=range(cell * 4, cell * 4 + 4), memory_mb=2048) for cell in range(2)]
DEVICES = [PciDevice(address=f"0000:0{bus}:00.0", kind="a100", numa_cell=bus) for bus in range(2)]


def counted(scheduler: Scheduler, group: str) -> dict[str, object]:
    """Give all that the scheduler counts of what its hosts hold."""
    table, members = scheduler.state.table, scheduler.groups.get(group)
    told: dict[str, object] = {
        name: [None if value == {} else value for value in table.column(name)[: table.size].tolist()]
        for name in table._arrays
    }
    for name, stock in table._stocks.items():
        told |= {f"{name}/{key}": np.asarray(values)[: table.size].tolist() for key, values in stock.items()}
    assert members is not None
    return told | {"group": {host: set(some) for host, some in members.hosts.items()}}


async def test_what_was_chosen_and_is_taken_back_leaves_the_picture_as_it_was(cloud: Any, make: Any) -> None:
    await cloud.add_hosts(2, numa=CELLS, pci=DEVICES)
    for host in ("host0", "host1"):
        await card(cloud, host, FPGA=4)
    specs = {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "a100:1", "resources1:FPGA": "1"}
    image = {"id": "i", "properties": {"os_distro": "debian"}}
    asks = [make(vcpus=2, extra_specs=specs, image=image) for _ in range(3)]
    group = await cloud.group("soft-anti-affinity", [each.server_id for each in asks])
    asks = [make(server_id=each.server_id, vcpus=2, extra_specs=specs, image=image, group=group) for each in asks]
    scheduler = cloud.scheduler(filters={"type_affinity": {"enabled": True}})
    await scheduler.open()
    waiting = [Waiting(ask, asyncio.get_running_loop().create_future(), ask) for ask in asks]
    await scheduler._resolve(waiting)
    before = counted(scheduler, group["id"])
    tries, refused = await scheduler.chooser.choose(waiting)
    assert (len(tries), refused) == (3, [])
    during = counted(scheduler, group["id"])
    assert {"MEMORY_MB/used", "flavors", "numa", "group"} <= {name for name in before if before[name] != during[name]}
    scheduler.chooser.take_back(tries)
    after = counted(scheduler, group["id"])
    assert {name: after[name] for name in before if after[name] != before[name]} == {}
