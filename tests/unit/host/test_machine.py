"""What a host offers of its machine: all of it, less what is kept, as shared and dedicated CPUs."""

import os
from pathlib import Path

import attrs

from novakit_host.machine import HostMachine


@attrs.frozen
class Options:
    cpu_allocation_ratio: float = 4.0
    ram_allocation_ratio: float = 1.5
    disk_allocation_ratio: float = 1.0
    reserved_memory_mb: int = 512
    reserved_disk_gb: int = 200


MACHINE = HostMachine(cpus=8, memory_mb=16000, disk_gb=100, flags=frozenset())


def test_all_cpus_are_shared_by_default_and_no_more_is_kept_than_there_is() -> None:
    found = MACHINE.inventory(Options())
    assert {name: (one.total, one.reserved, one.allocation_ratio) for name, one in found.items()} == {
        "VCPU": (8, 0, 4.0),
        "MEMORY_MB": (16000, 512, 1.5),
        "DISK_GB": (100, 100, 1.0),
    }


def test_dedicated_cpus_are_a_class_of_their_own_and_a_class_without_any_is_left_out() -> None:
    assert {name: one.total for name, one in MACHINE.inventory(Options(), shared=0, dedicated=6).items()} == {
        "PCPU": 6,
        "MEMORY_MB": 16000,
        "DISK_GB": 100,
    }


def test_this_machine_is_read(tmp_path: Path) -> None:
    found = HostMachine.read(tmp_path)
    assert found.cpus == os.cpu_count()
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert abs(found.memory_mb - pages) < 64 and found.disk_gb >= 0 and found.flags
