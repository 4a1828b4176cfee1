"""Pinned and floating CPUs and pages, at the door."""

import pytest

from novakit import errors
from novakit.compute.flavors import hardware
from novakit.compute.flavors.hardware import check


def ask(specs: dict[str, str], **properties: str) -> None:
    said = {f"hw_{name}": value for name, value in properties.items()}
    check({"vcpus": 4, "ram": 1024, "extra_specs": {f"hw:{name}": value for name, value in specs.items()}}, said)


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


def test_what_was_allowed_is_remembered_by_all_that_was_asked_and_not_where_it_is_long() -> None:
    hardware._check.cache_clear()
    ask({}, cpu_policy="shared")
    ask({}, cpu_policy="shared")
    assert (hardware._check.cache_info().hits, hardware._check.cache_info().currsize) == (1, 1)
    for _ in range(2):
        with pytest.raises(errors.BadRequest, match="needs a cpu_dedicated_mask"):
            ask({"cpu_policy": "mixed"}, cpu_policy="shared")
    ask({}, description="x" * (hardware.SHORT + 1))
    assert hardware._check.cache_info().currsize == 1
    with pytest.raises(errors.BadRequest, match="do not divide evenly"):
        ask({"numa_nodes": "3"}, description="x" * (hardware.SHORT + 1))


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ({"cpu_policy": "shared", "cpu_thread_policy": "require"}, "hw:cpu_thread_policy require needs dedicated CPUs"),
        ({"emulator_threads_policy": "isolate"}, "hw:emulator_threads_policy isolate needs dedicated CPUs"),
        ({"cpu_policy": "mixed"}, "needs a cpu_dedicated_mask"),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0-3"}, "not all"),
        ({"cpu_policy": "dedicated", "cpu_dedicated_mask": "0"}, "set it to mixed, or remove the mask"),
        ({"cpu_dedicated_mask": "0"}, "set it to mixed, or remove the mask"),
        ({"numa_nodes": "3"}, "do not divide evenly"),
        ({"numa_nodes": "2", "numa_cpus.0": "0", "numa_mem.0": "512"}, "each of the 2 cells"),
    ],
)
def test_a_mix_that_cannot_be_is_refused(specs: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        ask(specs)


@pytest.mark.parametrize(
    ("extra_specs", "says"),
    [
        ({"hw:cpu_policy": "dedicated", "resources:VCPU": "2"}, "both say how CPUs are counted; remove resources:VCPU"),
        ({"hw:cpu_policy": "dedicated", "resources:PCPU": "2"}, "both say how CPUs are counted; remove resources:PCPU"),
        ({"resources:VCPU": "2", "resources:PCPU": "2"}, "exclude each other"),
    ],
)
def test_cpus_are_counted_once(extra_specs: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        check({"vcpus": 4, "ram": 1024, "extra_specs": extra_specs}, {})


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        ({"cpu_policy": "dedicated"}, {"cpu_policy": "shared"}),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "^0"}, {"cpu_policy": "shared"}),
        ({"cpu_policy": "dedicated", "cpu_thread_policy": "prefer"}, {"cpu_thread_policy": "isolate"}),
        ({"cpu_max_sockets": "2"}, {"cpu_max_sockets": "1", "cpu_sockets": "3"}),
    ],
)
def test_an_image_may_say_less_than_the_flavor_gives(specs: dict[str, str], properties: dict[str, str]) -> None:
    ask(specs, **properties)


@pytest.mark.parametrize(
    ("specs", "properties"),
    [
        ({"cpu_policy": "shared"}, {"cpu_policy": "dedicated"}),
        ({"cpu_policy": "shared"}, {"cpu_policy": "mixed"}),
        ({"cpu_policy": "mixed", "cpu_dedicated_mask": "0"}, {"cpu_policy": "dedicated"}),
        ({"cpu_policy": "dedicated", "cpu_thread_policy": "require"}, {"cpu_thread_policy": "isolate"}),
        ({"pci_numa_affinity_policy": "legacy"}, {"pci_numa_affinity_policy": "required"}),
        ({}, {"mem_page_size": "2048"}),
        ({"mem_page_size": "small"}, {"mem_page_size": "large"}),
        ({"mem_page_size": "2MB"}, {"mem_page_size": "1GB"}),
    ],
)
def test_an_image_does_not_overrule_the_flavor(specs: dict[str, str], properties: dict[str, str]) -> None:
    with pytest.raises(errors.BadRequest, match="Image property"):
        ask(specs, **properties)


HALVES = {"numa_cpus.0": "0-1", "numa_mem.0": "512", "numa_cpus.1": "2-3", "numa_mem.1": "512"}


@pytest.mark.parametrize(
    ("specs", "properties", "says"),
    [
        (HALVES, {}, "numa_nodes is not set"),
        ({**HALVES, "numa_nodes": "1"}, {}, "numa_nodes is 1"),
        ({**HALVES, "numa_nodes": "3"}, {}, "each of the 3 cells"),
        ({"numa_nodes": "2", "numa_mem.0": "256", "numa_mem.1": "768"}, {}, "each of the 2 cells"),
        ({"numa_nodes": "2", "numa_cpus.0": "0-1", "numa_cpus.1": "2-3"}, {}, "each of the 2 cells"),
        ({**HALVES, "numa_nodes": "2", "numa_cpus.1": "1-3"}, {}, "to one cell each"),
        ({**HALVES, "numa_nodes": "2", "numa_cpus.1": "2"}, {}, "to one cell each"),
        ({**HALVES, "numa_nodes": "2", "numa_mem.1": "513"}, {}, "to one cell each"),
        ({"numa_nodes": "2"}, {"numa_nodes": "2"}, "both set numa_nodes"),
        ({**HALVES, "numa_nodes": "2"}, {"numa_cpus.0": "0"}, "both set numa_cpus"),
        ({"numa_nodes": "0"}, {}, "takes 1 to 4"),
        ({"numa_nodes": "two"}, {}, "takes a number"),
    ],
)
def test_cells_are_said_whole_and_once(specs: dict[str, str], properties: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        ask(specs, **properties)


def test_cells_that_are_said_whole_are_let_in() -> None:
    ask({**HALVES, "numa_nodes": "2"})
    ask({}, **HALVES, numa_nodes="2")


@pytest.mark.parametrize(
    ("specs", "properties", "says"),
    [
        ({"cpu_sockets": "3"}, {}, "4 CPUs cannot be made of sockets 3"),
        ({"cpu_max_sockets": "1", "cpu_max_cores": "1", "cpu_max_threads": "2"}, {}, "any sockets, cores and threads"),
        ({"cpu_max_sockets": "1"}, {"cpu_max_sockets": "2"}, "the flavor allows 1"),
        ({"pmu": "true"}, {"pmu": "false"}, "contradict one another"),
        ({"watchdog_action": "bark"}, {}, "watchdog_action is 'bark'"),
        ({}, {"watchdog_action": "bark"}, "watchdog_action is 'bark'"),
        ({"emulator_threads_policy": "x", "cpu_policy": "dedicated"}, {}, "takes isolate or share"),
    ],
)
def test_hardware_that_cannot_be_is_refused(specs: dict[str, str], properties: dict[str, str], says: str) -> None:
    with pytest.raises(errors.BadRequest, match=says):
        ask(specs, **properties)


@pytest.mark.parametrize("devices", ["a:0", "a:65", "a:x"])
def test_devices_that_cannot_be_counted_are_refused(devices: str) -> None:
    with pytest.raises(errors.BadRequest, match=r"does not say how many|more than"):
        check({"vcpus": 1, "ram": 64, "extra_specs": {"pci_passthrough:alias": devices}}, {})


@pytest.mark.parametrize(
    "spec", ["hw:cpu_realtime=yes", "hw:mem_encryption=true", "hw:tpm_version=2.0", "quota:vif_inbound_peak=1"]
)
def test_a_flavor_made_long_ago_with_a_spec_without_effect_is_refused(spec: str) -> None:
    name, _, value = spec.partition("=")
    with pytest.raises(errors.BadRequest, match="is not supported yet"):
        check({"vcpus": 1, "ram": 64, "extra_specs": {name: value}}, {})


def test_an_image_that_wants_its_memory_encrypted_is_refused() -> None:
    with pytest.raises(errors.BadRequest, match="memory encryption"):
        ask({}, mem_encryption="True")
    ask({}, mem_encryption="false")
