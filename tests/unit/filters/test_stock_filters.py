import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novakit_filters import aggregates, amounts, capabilities, groups, images, load, query, standing, zones
from novakit_hookspecs.hosts import PciPool
from novakit_hookspecs.scheduling import Aggregate, GroupAsk, ImageAsk
from novakit_hookspecs.testing.filters import ask, host_table

NUMBER = st.integers(0, 10)


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), max_size=20), NUMBER)
def test_the_amount_filter_agrees_with_a_host_by_host_oracle(rows: list[tuple[int, int, int]], wanted: int) -> None:
    total, used, most = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    free = [have - taken for have, taken in zip(total, used, strict=True)]
    table = host_table(total_memory_mb=total, used_memory_mb=used, free_memory_mb=free, max_unit_memory_mb=most)
    mask = amounts.RAM.mask(table, ask(memory_mb=wanted))
    assert mask.tolist() == [wanted == 0 or (f >= wanted and m >= wanted) for f, m in zip(free, most, strict=True)]


def test_an_aggregate_can_lower_the_allocation_ratio_and_not_raise_it() -> None:
    low = Aggregate(id=1, name="low", metadata={"cpu_allocation_ratio": "1.0"})
    high = Aggregate(id=2, name="high", metadata={"cpu_allocation_ratio": "64"})
    table = host_table(
        total_vcpus=[4, 4, 4],
        used_vcpus=[4, 4, 16],
        free_vcpus=[12, 12, 0],
        max_unit_vcpus=[4, 4, 4],
        aggregates=[(low, ["host0"]), (high, ["host2"])],
    )
    assert kept(amounts.CORE, table, ask(vcpus=1)) == ["host1"]


@pytest.mark.parametrize(
    ("total", "reserved", "used", "ratio", "most"),
    [(10, 2, 3, "1.5", 9), (10, 0, 3, "1.5", 12), (5, 0, 0, "1.5", 7), (3, 0, 0, "0.9", 2), (8, 8, 0, "16", 0)],
)
def test_an_aggregates_ratio_is_of_what_is_not_reserved_and_no_part_of_a_unit_is_given(
    total: int, reserved: int, used: int, ratio: str, most: int
) -> None:
    table = host_table(
        total_vcpus=[total],
        reserved_vcpus=[reserved],
        used_vcpus=[used],
        free_vcpus=[1000],
        max_unit_vcpus=[1000],
        aggregates=[(Aggregate(id=1, name="a", metadata={"cpu_allocation_ratio": ratio}), ["host0"])],
    )
    assert kept(amounts.CORE, table, ask(vcpus=most + 1)) == []
    assert kept(amounts.CORE, table, ask(vcpus=most)) == ["host0"]
    [reason] = amounts.CORE.why(table, ask(vcpus=most + 1))
    assert (reason.available, reason.remedy) == (most, "1 more virtual CPUs free")


def test_the_reason_says_what_was_wanted_and_what_there_is() -> None:
    table = host_table(free_memory_mb=[512, 2048], max_unit_memory_mb=[9999, 9999])
    (reason,) = amounts.RAM.why(table, ask(memory_mb=4096))
    assert reason.message == "lack memory (wanted 4096 MiB, at most 2048 free)"
    assert (reason.count, reason.wanted, reason.available, reason.remedy) == (
        2,
        4096,
        2048,
        "2048 MiB more memory free",
    )


def test_other_resource_classes_are_looked_at_too() -> None:
    table = host_table(free_resource_vgpu=[0, 1], free_resource_custom_x=[5, 5])
    assert kept(amounts.OtherResources(), table, ask(resources={"VGPU": 1, "CUSTOM_X": 5, "VCPU": 99})) == ["host1"]


def test_compute_tells_disabled_from_down_hosts() -> None:
    table = host_table(up=[True, False, True, False], enabled=[True, True, False, False])
    assert kept(standing.ComputeService(), table, ask()) == ["host0"]
    reasons = standing.ComputeService().why(table.some([1, 2, 3]), ask())
    assert {reason.code: reason.count for reason in reasons} == {"disabled": 2, "down": 1}


def test_a_zone_keeps_its_hosts_and_no_zone_keeps_all() -> None:
    table = host_table(availability_zone=["a", "b"])
    assert kept(zones.AvailabilityZone(), table, ask(availability_zone="b")) == ["host1"]
    assert not zones.AvailabilityZone().applies(ask())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "host1"}, ["host1"]),
        ({"node": "n0"}, ["host0"]),
        ({"host": "host1", "node": "n0"}, []),
        ({"excluded_hosts": {"host1", "host9"}}, ["host0", "host2"]),
        ({"host": "host1", "excluded_hosts": {"host1"}}, []),
        ({"host": "host1", "excluded_hosts": {"host1"}, "force": True}, ["host1"]),
    ],
)
def test_a_named_host_is_the_only_one_and_an_excluded_one_is_none(fields: Any, expected: list[str]) -> None:
    table = host_table(node=["n0", "n1", "n2"])
    assert kept(standing.RequestedHost(), table, ask(**fields)) == expected


def test_traits_are_required_and_forbidden() -> None:
    table = host_table(["a", "b", "c"], traits={"CUSTOM_X": ["a", "b"], "CUSTOM_Y": ["b"]})
    assert kept(standing.Traits(), table, ask(required_traits={"CUSTOM_X"}, forbidden_traits={"CUSTOM_Y"})) == ["a"]
    assert kept(standing.Traits(), table, ask(required_traits={"CUSTOM_Z"})) == []


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


def test_an_image_goes_to_hosts_with_its_machine_type_and_its_gpus() -> None:
    gpus = (PciPool(kind="a100", free=0),)
    table = host_table(machine_types=[["pc", "q35"], [], ["pc"]], pci=[gpus, gpus, ()])
    for properties, expected in (
        ({"hw_machine_type": "q35"}, ["host0", "host1"]),
        ({"hw_machine_type": "bogus"}, ["host1"]),
        ({"gpu:type": "a100"}, ["host0", "host1"]),
        ({"gpu:type": "h100"}, []),
        ({"gpu:type": "a100", "hw_machine_type": "q35"}, ["host0", "host1"]),
        ({"gpu:type": "a100", "hw_machine_type": "virt"}, ["host1"]),
    ):
        request = ask(image=ImageAsk(id="i", properties=properties))
        assert kept(images.ImageProperties(), table, request) == expected
    (told,) = images.ImageProperties().why(table.some([2]), ask(image=ImageAsk(properties={"gpu:type": "a100"})))
    assert told.message == "cannot run the image (a GPU of type a100)"


def test_operators_read_why_hosts_are_disabled_and_tenants_do_not() -> None:
    reasons = ["rack on fire", "", "upgrade", "rack on fire"]
    table = host_table(enabled=[False, False, False, True], up=[True] * 4, disabled_reason=reasons)
    (told,) = standing.ComputeService().why(table.some([0, 1, 2]), ask())
    assert told.remedy == "one of the hosts enabled again (disabled because: rack on fire; upgrade)"
    assert "fire" not in told.message


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"hw_architecture": "x86_64"}, ["host0"]),
        ({"hw_architecture": "amd64", "img_hv_type": "kvm", "hw_vm_mode": "hvm"}, ["host0"]),
        ({"architecture": "aarch64"}, ["host1"]),
        ({"img_hv_requested_version": ">=8.0.0,<9"}, ["host0"]),
        ({"img_hv_requested_version": "nonsense"}, []),
        ({"os_secure_boot": "required"}, ["host1"]),
        ({"os_distro": "debian"}, ["host0", "host1"]),
    ],
)
def test_an_image_is_kept_off_hosts_that_cannot_run_it(properties: dict[str, str], expected: list[str]) -> None:
    table = host_table(
        supported_instances=[[["x86_64", "kvm", "hvm"]], [["aarch64", "qemu", "hvm"]]],
        hypervisor_version=[8002000, 10000000],
        traits={"COMPUTE_SECURITY_UEFI_SECURE_BOOT": ["host1"]},
    )
    assert kept(images.ImageProperties(), table, ask(image=ImageAsk(properties=properties))) == expected


@pytest.mark.parametrize("image", [None, ImageAsk(properties={"hw_firmware_type": "uefi"})])
def test_a_flavor_requires_secure_boot_as_an_image_does(image: ImageAsk | None) -> None:
    table = host_table(
        ["a", "b", "c"],
        traits={"COMPUTE_SECURITY_UEFI_SECURE_BOOT": ["b"], "COMPUTE_FIRMWARE_UEFI": ["a", "b"]},
    )
    for word, expected in (("required", ["b"]), ("disabled", ["a", "b"]), ("optional", ["a", "b"])):
        wanted = ask(extra_specs={"os:secure_boot": word}, image=image)
        if image is None and word != "required":
            assert not images.ImageProperties().applies(wanted)
        else:
            assert kept(images.ImageProperties(), table, wanted) == expected
    reasons = images.ImageProperties().why(table, ask(extra_specs={"os:secure_boot": "required"}))
    assert [(each.code, "os:secure_boot required" in each.message) for each in reasons] == [("image_property", True)]


def test_affinity_keeps_the_members_hosts_and_anti_affinity_leaves_them() -> None:
    table = host_table(["a", "b", "c"])
    near = ask(group=GroupAsk(id="g", policy="affinity", hosts={"b": 1}))
    far = ask(group=GroupAsk(id="g", policy="anti-affinity", hosts={"b": 1, "c": 2}))
    assert kept(groups.GroupAffinity(), table, near) == ["b"]
    assert kept(groups.GroupAntiAffinity(), table, far) == ["a"]
    assert not groups.GroupAffinity().applies(ask(group=GroupAsk(id="g", policy="affinity")))


def test_the_most_servers_on_one_host_hold_for_every_policy() -> None:
    table = host_table(["a", "b"])
    for policy in ("affinity", "soft-affinity", "soft-anti-affinity"):
        request = ask(group=GroupAsk(id="g", policy=policy, hosts={"a": 3, "b": 2}, max_server_per_host=3))
        assert kept(groups.GroupLimit(), table, request) == ["b"]
    request = ask(group=GroupAsk(id="g", policy="anti-affinity", hosts={"a": 3, "b": 2}, max_server_per_host=3))
    assert kept(groups.GroupAntiAffinity(), table, request) == ["b"]


@pytest.mark.parametrize(
    ("cidr", "near"),
    [(None, ["a"]), ("/24", ["a"]), ("24", ["a"]), ("/16", ["a", "b"]), ("/25", []), ("/8", ["a", "b", "c"])],
)
def test_near_means_the_same_24_bits_unless_the_hint_says_otherwise(cidr: str | None, near: list[str]) -> None:
    table = host_table(["a", "b", "c"], host_ip=["10.0.2.5", "10.0.3.5", "10.1.2.5"])
    hints = {"build_near_host_ip": "10.0.2.200"} | ({"cidr": cidr} if cidr else {})
    assert kept(groups.SimpleCidrAffinity(), table, ask(hints=hints)) == near


def test_hints_name_servers_and_addresses() -> None:
    table = host_table(["a", "b"], host_ip=["10.0.1.5", "10.0.2.5"])
    where = {"s1": "a"}
    assert kept(groups.DifferentHost(), table, ask(hints={"different_host": ["s1"]}, server_hosts=where)) == ["b"]
    assert kept(groups.SameHost(), table, ask(hints={"same_host": "s1"}, server_hosts=where)) == ["a"]
    assert kept(groups.SameHost(), table, ask(hints={"same_host": "foreign"})) == []
    near = ask(hints={"build_near_host_ip": "10.0.2.99", "cidr": "/24"})
    assert kept(groups.SimpleCidrAffinity(), table, near) == ["b"]


def test_aggregate_metadata_meets_extra_specs_in_either_spelling() -> None:
    fast = Aggregate(id=1, name="fast", metadata={"ssd": "true", "rack": "1, 2"})
    table = host_table(["a", "b"], aggregates=[(fast, ["a"])])
    filter = aggregates.InstanceExtraSpecs()
    assert kept(filter, table, ask(extra_specs={"aggregate_instance_extra_specs:ssd": "true"})) == ["a"]
    assert kept(filter, table, ask(extra_specs={"rack": "2"})) == ["a"]
    assert kept(filter, table, ask(extra_specs={"ssd": "false"})) == []
    assert kept(filter, table, ask(extra_specs={"hw:numa_nodes": "1"})) == ["a", "b"]


def test_hosts_are_set_aside_for_tenants_images_and_traits() -> None:
    mine = Aggregate(id=1, name="mine", metadata={"filter_tenant_id": "p1, p2", "trait:CUSTOM_W": "required"})
    debian = Aggregate(id=2, name="debian", metadata={"os_distro": "debian,ubuntu"})
    table = host_table(["a", "b", "c"], aggregates=[(mine, ["a"]), (debian, ["b"])])
    tenancy = aggregates.MultiTenancyIsolation()
    assert kept(tenancy, table, ask(project_id="p2")) == ["a", "b", "c"]
    assert kept(tenancy, table, ask(project_id="p3")) == ["b", "c"]
    required = aggregates.TenantAggregate(aggregates.TenantAggregateOptions(required=True))
    assert kept(required, table, ask(project_id="p1")) == ["a"]
    assert kept(required, table, ask(project_id="p3")) == []
    images_only = aggregates.ImagePropertiesIsolation(aggregates.ImageIsolationOptions())
    assert kept(images_only, table, ask(image=ImageAsk(properties={"os_distro": "fedora"}))) == ["a", "c"]
    assert kept(images_only, table, ask(image=ImageAsk(properties={"os_distro": "ubuntu"}))) == ["a", "b", "c"]
    assert kept(aggregates.IsolatedAggregate(), table, ask()) == ["b", "c"]
    assert kept(aggregates.IsolatedAggregate(), table, ask(required_traits={"CUSTOM_W"})) == ["a", "b", "c"]


def test_isolated_images_and_hosts_keep_to_themselves() -> None:
    table = host_table(["a", "b"])
    filter = aggregates.IsolatedHosts(aggregates.IsolatedHostsOptions(hosts=["a"], images=["i"]))
    assert kept(filter, table, ask(image=ImageAsk(id="i"))) == ["a"]
    assert kept(filter, table, ask(image=ImageAsk(id="j"))) == ["b"]
    loose = aggregates.IsolatedHosts(aggregates.IsolatedHostsOptions(hosts=["a"], images=["i"], restrict=False))
    assert kept(loose, table, ask(image=ImageAsk(id="j"))) == ["a", "b"]


def test_busy_hosts_are_left_and_an_aggregate_can_say_what_busy_is() -> None:
    strict = Aggregate(id=1, name="strict", metadata={"max_io_ops_per_host": "2"})
    table = host_table(io_ops=[1, 3, 3, 8], aggregates=[(strict, ["host1"])])
    assert kept(load.Below("io_ops", "max_io_ops_per_host", 8, "busy", "operations"), table, ask()) == [
        "host0",
        "host2",
    ]


def test_metrics_must_be_there_and_flavors_may_not_mix() -> None:
    table = host_table(metric_watts=[float("nan"), 10.0], flavors=[{"big": 1}, {"m1.small": 2}])
    assert kept(load.Metrics(load.MetricsOptions(required=["watts"])), table, ask()) == ["host1"]
    assert kept(load.TypeAffinity(), table, ask(flavor_name="m1.small")) == ["host1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ([">=", "$free_ram_mb", 1024], ["host1"]),
        (["and", [">=", "$free_ram_mb", 0], ["not", ["=", "$hypervisor_type", "KVM"]]], ["host0"]),
        (["or", ["<", "$free_ram_mb", 1024], ["=", "$hypervisor_type", "KVM"]], ["host0", "host1"]),
        (["in", "$free_ram_mb", 512, 7], ["host0"]),
        (["=", "$hypervisor_hostname", "b"], ["host1"]),
        (["in", "$hypervisor_hostname", "a", "c"], ["host0"]),
        (["not", ["=", "host1", "$host"]], ["host0"]),
        (["=", "$host_ip", "10.0.0.1"], ["host1"]),
        (["<", "$node", "b"], []),
        ([">=", "$secret", 1], []),
        (["and"], []),
        ("free", []),
        ([">=", "$free_ram_mb", "1024"], []),
    ],
)
def test_the_query_hint_is_a_condition_on_facts(text: Any, expected: list[str]) -> None:
    table = host_table(
        free_memory_mb=[512.0, 4096.0], hypervisor_type=["QEMU", "KVM"], node=["a", "b"], host_ip=[None, "10.0.0.1"]
    )
    assert kept(query.Query(), table, ask(hints={"query": json.dumps(text)})) == expected


def test_a_huge_query_is_refused_and_not_worked_on() -> None:
    table = host_table(free_memory_mb=[512.0])
    deep = "[" + '"not",[' * 600 + "1" + "]" * 601
    wide = json.dumps(["or", *([["=", "$free_ram_mb", 1]] * 300)])
    for text in (deep, wide, "[" * 4000):
        assert kept(query.Query(), table, ask(hints={"query": text})) == []
        (reason,) = query.Query().why(table, ask(hints={"query": text}))
        assert reason.code == "query_unreadable"


def test_masks_are_of_their_own_and_never_a_column_itself() -> None:
    table = host_table(up=[True], enabled=[True])
    mask = standing.ComputeService().mask(table, ask())
    assert not np.shares_memory(mask, table.column("up"))
