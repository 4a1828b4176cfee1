"""Pinned and floating CPUs and pages, at the door."""

import pytest

from novakit import errors
from novakit.compute.topology import check


def ask(specs: dict[str, str], **properties: str) -> None:
    hardware = {f"hw_{name}": value for name, value in properties.items()}
    check({"vcpus": 4, "ram": 1024, "extra_specs": {f"hw:{name}": value for name, value in specs.items()}}, hardware)


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        ({}, {}),
        ({"cpu_policy": "dedicated", "cpu_thread_policy": "isolate", "emulator_threads_policy": "isolate"}, {}),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0-1"}, {}),
        ({}, {"cpu_policy": "dedicated", "cpu_thread_policy": "require"}),
        ({"emulator_threads_policy": "share"}, {}),
        ({"mem_page_size": "large"}, {"mem_page_size": "2048"}),
        ({}, {"mem_page_size": "small"}),
        ({"numa_nodes": "2"}, {}),
    ],
)
def test_what_can_be_is_let_in(specs: dict[str, str], properties: dict[str, str]) -> None:
    ask(specs, **properties)


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ({"cpu_policy": "shared", "cpu_thread_policy": "require"}, "Dedicated CPUs required: hw:cpu_thread_policy"),
        ({"emulator_threads_policy": "isolate"}, "Dedicated CPUs required: hw:emulator_threads_policy"),
        ({"cpu_policy": "mixed"}, "needs a cpu_dedicated_mask"),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0-3"}, "not all"),
        ({"cpu_policy": "dedicated", "cpu_dedicated_mask": "0"}, "is for hw:cpu_policy mixed"),
        ({"cpu_dedicated_mask": "0"}, "is for hw:cpu_policy mixed"),
        ({"numa_nodes": "3"}, "do not divide evenly"),
        ({"numa_nodes": "2", "numa_cpus.0": "0", "numa_mem.0": "512"}, "cannot exist"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(specs: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        ask(specs)


@pytest.mark.parametrize(
    ("extra_specs", "says"),
    [
        ({"hw:cpu_policy": "dedicated", "resources:VCPU": "2"}, "resources:VCPU cannot be counted beside"),
        ({"hw:cpu_policy": "dedicated", "resources:PCPU": "2"}, "resources:PCPU cannot be counted beside"),
        ({"resources:VCPU": "2", "resources:PCPU": "2"}, "exclude one another"),
    ],
)
def test_cpus_are_counted_once(extra_specs: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        check({"vcpus": 4, "ram": 1024, "extra_specs": extra_specs}, {})


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        ({"cpu_policy": "shared"}, {"cpu_policy": "dedicated"}),
        ({"cpu_policy": "dedicated"}, {"cpu_policy": "shared"}),
        ({}, {"mem_page_size": "2048"}),
        ({"mem_page_size": "small"}, {"mem_page_size": "large"}),
    ],
)
def test_an_image_does_not_overrule_the_flavor(specs: dict[str, str], properties: dict[str, str]) -> None:
    with pytest.raises(errors.Forbidden, match="Image property"):
        ask(specs, **properties)
