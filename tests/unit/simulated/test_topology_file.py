"""The cells, devices and measurements of a simulated host, from a file."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import requested_cells
from novakit_hookspecs.devices import Attachment, MdevAttachment, PciAttachment
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.servers import Guest, GuestPlan
from novakit_simulated.faults import SimulatedFault
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import SimulatedVirt

GUEST = "11111111-2222-3333-4444-555555555555"
OTHER = "22222222-2222-3333-4444-555555555555"
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
    wanted = requested_cells(16, 8192, {"hw:cpu_policy": "dedicated", "hw:numa_nodes": "8"}, {})
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


GPUS = {
    "cells": [{"id": cell, "cpus": [cell * 2, cell * 2 + 1], "memory_mb": 4096} for cell in range(2)],
    "pci": [
        {
            "address": f"0000:{0x10 + gpu:02x}:00.0",
            "kind": "a100",
            "vendor_id": "10de",
            "product_id": "20b0",
            "numa_cell": gpu // 4,
        }
        for gpu in range(8)
    ],
    "hosts": {
        "bare": {"pci": []},
        "odd": {"cells": [{"id": 7, "memory_mb": 1}], "pci": [{"address": "0000:01:00.0", "kind": "fpga"}]},
    },
}


async def test_eight_gpus_over_two_cells_are_reported_and_hosts_may_differ(tmp_path: Path) -> None:
    made = driver(tmp_path, GPUS)
    await made.open()
    facts = await made.host()
    assert [(one.kind, one.numa_cell) for one in facts.pci] == [("a100", 0)] * 4 + [("a100", 1)] * 4
    assert len({one.address for one in facts.pci}) == 8
    bare = driver(tmp_path, GPUS, host="bare")
    await bare.open()
    facts = await bare.host()
    assert (facts.pci, [cell.id for cell in facts.numa]) == ((), [0, 1])
    odd = driver(tmp_path, GPUS, host="odd")
    await odd.open()
    facts = await odd.host()
    assert (facts.pci[0].numa_cell, [cell.id for cell in facts.numa]) == (None, [7])


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"kind": "a"}, "address"),
        ({"address": "3b:00.0", "kind": "a"}, "is not a PCI address"),
        ({"address": "0000:10:00.0", "kind": "a"}, "listed twice"),
        ({"address": "0000:01:00.0", "kind": "a:1"}, "not a name"),
        ({"address": "0000:01:00.0", "kind": "a", "vendor_id": "NVID"}, "vendor_id"),
        ({"address": "0000:01:00.0", "kind": "a", "numa_cell": 2}, "cell 2, which is not there"),
        ({"address": "0000:01:00.0", "kind": "a", "numa_cell": "0"}, "numa_cell|expected int"),
        ({"address": "0000:01:00.0", "kind": "a", "colour": "red"}, "colour"),
        ("a100", "expected an object"),
    ],
)
async def test_a_device_that_makes_no_sense_is_refused(device: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"the topology file .*({said})"):
        await driver(tmp_path, {**GPUS, "pci": [*GPUS["pci"], device]}).open()  # type: ignore[misc]


@pytest.mark.parametrize("document", [{"gpus": []}, {"pci": "a100"}, {"hosts": {"large": {"gpus": []}}}, {"hosts": 1}])
async def test_a_file_with_other_keys_is_refused(document: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the topology file"):
        await driver(tmp_path, document).open()


def holder(guest: str, *attachments: Attachment) -> GuestPlan:
    return GuestPlan(id=guest, name="g", hostname="g", vcpus=1, memory_mb=64, root_gb=1, attachments=attachments)


async def test_a_device_in_two_guests_is_a_fault_until_the_first_is_gone(tmp_path: Path) -> None:
    made = driver(tmp_path, GPUS)
    await made.open()
    gpu, mdev = PciAttachment(address="0000:10:00.0"), MdevAttachment(uuid=OTHER, parent="0000:11:00.0")
    await made.create(holder(GUEST, gpu, mdev))
    await made.create(holder(GUEST, gpu, mdev))
    for wanted in (gpu, mdev):
        with pytest.raises(SimulatedFault, match=f"in guest {GUEST} already"):
            await made.create(holder(OTHER, wanted))
    assert [guest.id for guest in await made.guests()] == [GUEST]
    again = driver(tmp_path, GPUS)
    await again.open()
    assert {(one.kind, one.name, one.owner) for one in await again.holdings() if one.kind == "device"} == {
        ("device", "0000:10:00.0", GUEST),
        ("device", OTHER, GUEST),
    }
    await again.destroy(GUEST)
    await again.create(holder(OTHER, gpu))


async def test_a_guest_that_is_being_built_has_its_devices_already(tmp_path: Path) -> None:
    made = driver(tmp_path, GPUS)
    made.options = VirtOptions(topology=made.options.topology, create_seconds=0.05)
    await made.open()
    gpu = PciAttachment(address="0000:10:00.0")
    both = await asyncio.gather(
        made.create(holder(GUEST, gpu)), made.create(holder(OTHER, gpu)), return_exceptions=True
    )
    assert [type(each) for each in both] == [Guest, SimulatedFault]


async def test_a_device_that_was_never_reported_is_refused(tmp_path: Path) -> None:
    made = driver(tmp_path, GPUS)
    await made.open()
    with pytest.raises(Refused, match="hands out no PCI device"):
        await made.create(holder(GUEST, PciAttachment(address="0000:ff:00.0")))
    assert not await made.holdings()


async def test_measurements_are_read_with_every_report_and_a_hosts_own_replace_those_of_all(tmp_path: Path) -> None:
    document = {"metrics": {"power_usage_watts": 400, "cpu.percent": 10}, "hosts": {"own": {"metrics": {"x": 1.5}}}}
    made = driver(tmp_path, document)
    await made.open()
    assert (await made.host()).metrics == {"power_usage_watts": 400.0, "cpu.percent": 10.0}
    own = driver(tmp_path, document, host="own")
    await own.open()
    assert (await own.host()).metrics == {"x": 1.5}
    (tmp_path / "t.json").write_text("{}")
    assert (await made.host()).metrics == (await own.host()).metrics == {}
    (tmp_path / "t.json").write_text("half a fi")
    with pytest.raises(Refused, match="the topology file"):
        await made.host()


@pytest.mark.parametrize(
    "metrics",
    [
        ["cpu.percent"],
        {"cpu.percent": "many"},
        {"cpu.percent": None},
        {"Power Usage": 1},
        {"9": 1},
        {"a": float("nan")},
    ],
)
async def test_measurements_that_make_no_sense_are_refused(metrics: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the topology file"):
        await driver(tmp_path, {"metrics": metrics}).open()
