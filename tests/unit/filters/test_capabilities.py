"""What a flavor demands of the capabilities of a host."""

from typing import Any

import pytest

from novakit_filters import capabilities
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({"capabilities:hypervisor_type": "<or> QEMU <or> KVM"}, ["host0"]),
        ({"capabilities:cpu_info:features": "<in> avx"}, ["host0"]),
        ({"capabilities:cpu_info:topology:cores": ">= 8"}, ["host0"]),
        ({"capabilities:hypervisor_version": ">= 9000000"}, ["host1"]),
        ({"capabilities:free_ram_mb": ">= 1000"}, ["host1"]),
        ({"hypervisor_type": "simulated"}, ["host1"]),
        ({"capabilities:unheard_of": "1"}, []),
        ({"other:hypervisor_type": "QEMU", "hw:cpu_policy": "dedicated"}, ["host0", "host1"]),
    ],
)
def test_capabilities_are_compared_by_the_operators(specs: dict[str, str], expected: list[str]) -> None:
    table = host_table(
        hypervisor_type=["QEMU", "simulated"],
        cpu_info=[{"features": ["avx"], "topology": {"cores": 8}}, {}],
        hypervisor_version=[8002000, 9000000],
        free_memory_mb=[512.0, 4096.0],
    )
    assert kept(capabilities.ComputeCapabilities(), table, ask(extra_specs=specs)) == expected


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        ({"capabilities:free_disk_mb": ">= 20480"}, ["host1"]),
        ({"capabilities:disk_mb_used": "== 0"}, ["host0"]),
        ({"capabilities:total_usable_ram_mb": ">= 8192"}, ["host1"]),
        ({"capabilities:ram_allocation_ratio": "== 1.5"}, ["host1"]),
        ({"capabilities:hypervisor_hostname": "<or> a <or> c"}, ["host0"]),
        ({"capabilities:host_ip": "<in> 10.0."}, ["host1"]),
    ],
)
def test_capabilities_have_the_names_that_flavors_use(specs: dict[str, str], expected: list[str]) -> None:
    table = host_table(
        free_disk_gb=[10.0, 20.0],
        used_disk_gb=[0.0, 1.0],
        total_memory_mb=[4096.0, 8704.0],
        reserved_memory_mb=[0.0, 512.0],
        capacity_memory_mb=[4096.0, 12288.0],
        node=["a", "b"],
        host_ip=[None, "10.0.0.1"],
    )
    assert kept(capabilities.ComputeCapabilities(), table, ask(extra_specs=specs)) == expected


def test_a_capability_that_is_not_satisfied_is_told_with_what_there_is() -> None:
    table = host_table(hypervisor_version=[8002000, 9000000, 8002000], cpu_info=[{"features": ["avx"]}, {}, {}])
    specs = {"capabilities:hypervisor_version": ">= 9999999", "capabilities:nonsense": "1"}
    for name, value in specs.items():
        (told,) = capabilities.ComputeCapabilities().why(table, ask(extra_specs={name: value}))
        if name.endswith("version"):
            assert (told.code, told.wanted, told.available) == ("capability", value, [8002000, 9000000])
        else:
            assert told.code == "capability_unknown" and "know nothing" in told.message
    (told,) = capabilities.ComputeCapabilities().why(
        table, ask(extra_specs={"capabilities:cpu_info:features": "<in> sse9"})
    )
    assert told.available == [["avx"]]


def test_no_more_than_five_values_are_told() -> None:
    table = host_table(hypervisor_version=[1, 2, 3, 4, 5, 6, 7])
    (told,) = capabilities.ComputeCapabilities().why(
        table, ask(extra_specs={"capabilities:hypervisor_version": ">= 9"})
    )
    assert told.available == [1, 2, 3, 4, 5]
