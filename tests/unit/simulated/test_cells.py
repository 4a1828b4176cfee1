"""The cells of a simulated host, from a file."""

import json
from pathlib import Path
from typing import Any

import pytest

from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.numa import NumaHost, Taken, fit, wish
from novakit_hookspecs.servers import GuestPlan
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt

GUEST = "11111111-2222-3333-4444-555555555555"
SIXTEEN = {
    "cells": [
        {"id": cell, "cpus": [cell * 4], "dedicated": [cell * 4 + 1, cell * 4 + 2, cell * 4 + 3], "memory_mb": 4096}
        for cell in range(16)
    ],
    "hosts": {"small": [{"id": 0, "cpus": [0, 1], "memory_mb": 1024, "pages": [[2048, 128]], "socket": 1}]},
}


def driver(path: Path, document: Any, host: str = "large", name: str = "t.json") -> SimulatedVirt:
    file = path / name
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return SimulatedVirt(VirtOptions(topology=str(file)), HostContext(host=host, state_dir=str(path)))


async def test_sixteen_cells_are_reported_with_their_inventory(tmp_path: Path) -> None:
    made = driver(tmp_path, SIXTEEN)
    await made.open()
    facts = await made.host()
    assert len(facts.numa) == 16
    assert {name: one.total for name, one in facts.inventory.items()} == {
        "VCPU": 16,
        "PCPU": 48,
        "MEMORY_MB": 65536,
        "DISK_GB": 1000,
    }
    wanted = wish(16, 8192, {"hw:cpu_policy": "dedicated", "hw:numa_nodes": "8"}, {})
    assert wanted is not None and len(fit(NumaHost(cells=facts.numa), wanted) or ()) == 8


async def test_a_host_may_have_cells_of_its_own_and_the_file_may_be_toml(tmp_path: Path) -> None:
    made = driver(tmp_path, SIXTEEN, host="small")
    await made.open()
    (cell,) = (await made.host()).numa
    assert (cell.cpus, cell.pages, cell.socket) == ((0, 1), ((2048, 128),), 1)
    made = driver(tmp_path, "[[cells]]\nid = 0\ncpus = [0, 1]\nmemory_mb = 512\n", name="t.toml")
    await made.open()
    assert (await made.host()).inventory["MEMORY_MB"].total == 512


@pytest.mark.parametrize(
    "document",
    [
        "no json",
        [],
        {"cells": [{"id": 0}]},
        {"cells": [{"id": 0, "memory_mb": 1, "colour": "red"}]},
        {"cells": [{"id": 0, "cpus": [0], "memory_mb": 1}, {"id": 1, "cpus": [0], "memory_mb": 1}]},
        {"cells": [{"id": 0, "memory_mb": 1}, {"id": 0, "memory_mb": 1}]},
    ],
)
async def test_a_file_that_makes_no_sense_is_refused(document: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the topology file"):
        await driver(tmp_path, document).open()


async def test_what_a_guest_was_given_is_written_down(tmp_path: Path) -> None:
    made = driver(tmp_path, SIXTEEN)
    await made.open()
    taken = Taken(cell=3, cpus=(13,), pins={0: 13}, vcpus=(0,), memory_mb=64)
    await made.create(GuestPlan(id=GUEST, name="g", hostname="g", vcpus=1, memory_mb=64, root_gb=1, numa=(taken,)))
    assert json.loads((tmp_path / "guests.journal").read_text().splitlines()[-1])
    assert made._journal.records[GUEST]["numa"][0]["pins"] == [[0, 13]]
