"""The host's cells as libvirt tells of them, divided by the operator's sets of CPUs."""

from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_driver_libvirt import LibvirtOptions
from novakit_driver_libvirt.host_facts import facts
from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import requested_cells
from novakit_hookspecs.hosts import HostFacts
from novakit_host.acceleration import Acceleration
from novakit_host.machine import HostMachine

CAPABILITIES = (Path(__file__).parent / "two_cells.xml").read_text()
MACHINE = HostMachine(cpus=8, memory_mb=16000, disk_gb=100, flags=frozenset())


def made(acceleration: str = "kvm", *, pages: bool = True, **options: Any) -> HostFacts:
    return facts(
        host="alpha",
        machine=MACHINE,
        options=attrs.evolve(LibvirtOptions(), **options),
        verdict=Acceleration(acceleration, "because"),
        capabilities=CAPABILITIES,
        version=7002022,
        pages=pages,
    )


def totals(host: HostFacts) -> dict[str, int]:
    return {name: host.inventory[name].total for name in ("VCPU", "PCPU") if name in host.inventory}


def test_without_sets_every_cpu_is_shared() -> None:
    first, second = (host := made()).numa
    assert totals(host) == {"VCPU": 8}
    assert (first.cpus, first.dedicated, second.cpus) == ((0, 1, 4, 5), (), (2, 3, 6, 7))
    assert (first.memory_mb, first.pages, first.distances) == (8000, ((2048, 1024),), ((0, 10), (1, 21)))
    assert (first.socket, second.socket) == (0, 1)


def test_the_sets_divide_cpus_and_inventory() -> None:
    host = made(cpu_dedicated_set="1-3,5-7", cpu_shared_set="0,4")
    assert totals(host) == {"VCPU": 2, "PCPU": 6}
    first, second = host.numa
    assert (first.cpus, first.dedicated, first.siblings) == ((0, 4), (1, 5), ((1, 5),))
    assert (second.cpus, second.siblings) == ((), ((2, 6), (3, 7)))


def test_pages_that_guests_cannot_be_given_are_not_reported() -> None:
    assert any(cell.pages for cell in made().numa)
    assert not any(cell.pages for cell in made(pages=False).numa)


def test_dedicated_cpus_alone_leave_none_to_share() -> None:
    assert totals(made(cpu_dedicated_set="0-7,^4")) == {"PCPU": 7}
    assert totals(made(cpu_shared_set="0-3")) == {"VCPU": 4}


def test_a_host_that_emulates_dedicates_cpus_too() -> None:
    host = made("tcg", cpu_dedicated_set="1-3", cpu_shared_set="0,4")
    assert totals(host) == {"VCPU": 2, "PCPU": 3}


@pytest.mark.parametrize(("dedicated", "shared"), [("0-3", "3-4"), ("a", "0"), ("0-99999", None), ("3-1", None)])
def test_sets_that_cannot_be_are_refused(dedicated: str, shared: str | None) -> None:
    with pytest.raises(ValueError, match="cpu_dedicated_set"):
        LibvirtOptions(cpu_dedicated_set=dedicated, cpu_shared_set=shared)


def test_a_pinned_guest_fits_into_what_was_reported() -> None:
    host = made(cpu_dedicated_set="1-3,5-7", cpu_shared_set="0,4")
    wanted = requested_cells(4, 512, {"hw:cpu_policy": "dedicated", "hw:cpu_thread_policy": "require"}, {})
    assert wanted is not None
    plan = fit(NumaHost(cells=host.numa), wanted)
    assert plan is not None and plan[0].cell == 1 and set(plan[0].cpus) == {2, 3, 6, 7}
