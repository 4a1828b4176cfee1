from typing import Any

import pytest

from novakit_filters.devices import GpuAffinity, PciPassthrough
from novakit_fit.numa import NumaHost
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.numa import NumaCell
from novakit_hookspecs.testing.filters import ask, host_table


def pools(*free: tuple[int | None, int], kind: str = "a100") -> tuple[PciPool, ...]:
    return tuple(PciPool(kind=kind, numa_cell=cell, free=count) for cell, count in free)


CELLS = NumaHost(
    cells=[NumaCell(id=0, cpus=(0,), memory_mb=1024), NumaCell(id=1, cpus=(1,), dedicated=(2, 3), memory_mb=1024)]
)


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({"gpu:type": "a100", "gpu:count": "8"}, [True, True, False]),
        ({"gpu:type": "a100", "gpu:count": "8", "gpu:numa_affinity": "True"}, [False, True, False]),
        ({"gpu:type": "a100", "gpu:count": "4", "gpu:numa_affinity": "true"}, [True, True, False]),
        ({"gpu:type": "h100", "gpu:count": "1"}, [False, False, False]),
        ({"gpu:type": "a100", "gpu:count": "many"}, [False, False, False]),
        ({"gpu:type": "a100", "gpu:count": "0"}, [True, True, True]),
        ({"gpu:count": "4"}, [True, True, True]),
    ],
)
def test_gpus_are_counted_and_kept_together_when_asked(specs: dict[str, str], expected: list[bool]) -> None:
    table = host_table(pci=[pools((0, 4), (1, 4)), pools((0, 8)), None])
    assert GpuAffinity().mask(table, ask(extra_specs=specs)).tolist() == expected


def test_gpus_that_stand_apart_are_told_from_gpus_that_lack() -> None:
    table = host_table(pci=[pools((0, 4), (1, 4)), ()])
    request = ask(extra_specs={"gpu:type": "a100", "gpu:count": "8", "gpu:numa_affinity": "true"})
    assert [reason.code for reason in GpuAffinity().why(table, request)] == ["not_enough_gpus", "gpus_apart"]


def test_every_alias_must_be_there_in_its_number() -> None:
    both = pools((None, 2)) + pools((None, 1), kind="qat")
    table = host_table(pci=[both, pools((None, 2)), None], numa=[None, None, None])
    for alias, expected in (
        ("a100:2,qat:1", [True, False, False]),
        ("a100", [True, True, False]),
        ("a100:3", [False, False, False]),
        ("a100:-1", [False, False, False]),
        ("a100:1,a100:1", [True, True, False]),
        ("a100:1,a100:2", [False, False, False]),
    ):
        request = ask(extra_specs={"pci_passthrough:alias": alias})
        assert PciPassthrough().mask(table, request).tolist() == expected, alias


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("required", [True, False, False]),
        ("legacy", [True, False, True]),
        ("preferred", [True, True, True]),
        ("socket", [True, False, False]),
        ("elsewhere", [False, False, False]),
    ],
)
def test_the_policy_says_on_which_cells_devices_must_be(policy: str, expected: list[bool]) -> None:
    table = host_table(pci=[pools((1, 1)), pools((0, 1)), pools((None, 1))], numa=[CELLS, CELLS, CELLS])
    specs: dict[str, Any] = {"hw:cpu_policy": "dedicated", "hw:pci_numa_affinity_policy": policy}
    request = ask(vcpus=2, memory_mb=512, extra_specs={**specs, "pci_passthrough:alias": "a100:1"})
    assert PciPassthrough().mask(table, request).tolist() == expected


@pytest.mark.parametrize(("alias", "expected"), [({}, [True]), ({"pci_passthrough:alias": "a100:1"}, [False])])
def test_cells_that_cannot_be_understood_matter_only_where_devices_are_wanted(
    alias: dict[str, str], expected: list[bool]
) -> None:
    table = host_table(pci=[pools((1, 1))], numa=[CELLS])
    request = ask(extra_specs={"hw:numa_nodes": "-1", **alias})
    assert PciPassthrough().mask(table, request).tolist() == expected
    assert bool(PciPassthrough().why(table, request)) != expected[0]


@pytest.mark.parametrize(
    ("sockets", "policy", "expected"),
    [
        ((0, 0), "socket", True),
        ((0, 0), "required", False),
        ((0, 1), "socket", False),
        ((None, None), "socket", False),
    ],
)
def test_a_device_may_be_on_another_cell_of_the_same_socket(
    sockets: tuple[int | None, int | None], policy: str, expected: bool
) -> None:
    cells = [NumaCell(id=n, cpus=(n,), memory_mb=(1024, 64)[n], socket=sockets[n]) for n in range(2)]
    table = host_table(pci=[(PciPool(kind="nic", numa_cell=1, free=1),)], numa=[NumaHost(cells=cells)])
    specs = {"hw:numa_nodes": "1", "pci_passthrough:alias": "nic", "hw:pci_numa_affinity_policy": policy}
    assert PciPassthrough().mask(table, ask(vcpus=1, memory_mb=512, extra_specs=specs)).tolist() == [expected]


@pytest.mark.parametrize("text", ["a:0", "a:x", "a:40,a:40"])
def test_a_count_of_devices_that_cannot_be_fits_no_host(text: str) -> None:
    assert not PciPassthrough().mask(host_table(pci=[()]), ask(extra_specs={"pci_passthrough:alias": text})).any()


def test_gpus_that_lack_are_counted_over_all_cells_and_those_apart_on_the_best_one() -> None:
    table = host_table(pci=[pools((0, 3), (1, 2)), pools((0, 1)), pools((0, 4), (1, 5))])
    specs = {"gpu:type": "a100", "gpu:count": "8", "gpu:numa_affinity": "true"}
    lacking, apart = GpuAffinity().why(table, ask(extra_specs=specs))
    assert (lacking.count, lacking.wanted, lacking.available, lacking.remedy) == (
        2,
        8,
        5,
        "3 more free GPUs of type a100",
    )
    assert (apart.count, apart.wanted, apart.available, apart.shortfall) == (1, 8, 5, 0.3)


def test_devices_that_lack_are_told_by_kind() -> None:
    table = host_table(pci=[pools((0, 1)), pools((0, -2))])
    (lacking,) = PciPassthrough().why(table, ask(extra_specs={"pci_passthrough:alias": "a100:2"}))
    assert (lacking.code, lacking.count, lacking.wanted, lacking.available) == (
        "not_enough_devices",
        2,
        {"a100": 2},
        {"a100": 1},
    )
    (none,) = PciPassthrough().why(table.some([1]), ask(extra_specs={"pci_passthrough:alias": "a100:2"}))
    assert none.available == {"a100": 0}, "a pool that was overdrawn has none"


@pytest.mark.parametrize(
    ("kind", "specs"),
    [
        (PciPassthrough, {"pci_passthrough:alias": "a100:3,nic:3"}),
        (GpuAffinity, {"pci_passthrough:alias": "nic:3", "gpu:type": "a100", "gpu:count": "3"}),
    ],
)
def test_a_search_that_takes_too_long_is_told_from_devices_that_are_apart(
    monkeypatch: pytest.MonkeyPatch, kind: type[PciPassthrough | GpuAffinity], specs: dict[str, str]
) -> None:
    free = tuple(pool for name in ("a100", "nic") for pool in pools(*((cell, 2) for cell in range(4)), kind=name))
    host = NumaHost(cells=[NumaCell(id=number, cpus=(number,), memory_mb=1024) for number in range(4)])
    table = host_table(pci=[free], numa=[host])
    request = ask(vcpus=2, memory_mb=512, extra_specs={**specs, "hw:numa_nodes": "2"})
    assert kind().mask(table, request).tolist() == [True]
    monkeypatch.setattr("novakit_fit.search.first.LOOKS", 2)
    assert kind().mask(table, request).tolist() == [False]
    (told,) = kind().why(table, request)
    assert (told.code, told.count) == ("search_given_up", 1)
