"""What operators say of hosts through aggregates."""

from typing import Any

from novakit_filters import aggregates
from novakit_hookspecs.scheduling import Aggregate, ImageAsk
from novakit_hookspecs.testing.filters import ask, host_table


def kept(filter: Any, table: Any, request: Any) -> list[str]:
    mask = filter.mask(table, request)
    return [name for name, passed in zip(table.names, mask, strict=True) if passed]


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


def test_what_keeps_a_host_off_is_said_with_what_would_let_it_in() -> None:
    debian = Aggregate(id=1, name="d", metadata={"os_distro": "debian", "filter_tenant_id": "p1"})
    licensed = Aggregate(id=2, name="l", metadata={"trait:CUSTOM_W": "required", "trait:CUSTOM_X": "maybe"})
    table = host_table(["a", "b"], aggregates=[(debian, ["a"]), (licensed, ["b"])])
    only = table.some([0])
    images_only = aggregates.ImagePropertiesIsolation(aggregates.ImageIsolationOptions())
    (told,) = images_only.why(only, ask(image=ImageAsk(properties={"os_distro": "fedora"})))
    assert (told.code, told.message) == ("aggregate_image_properties", "kept for images with other properties")
    assert told.remedy == "fedora in the aggregate metadata os_distro"
    (told,) = aggregates.IsolatedAggregate().why(table.some([1]), ask())
    assert (told.code, told.count, told.remedy) == (
        "isolated_aggregate",
        1,
        "the trait CUSTOM_W required by flavor or image",
    )
    (told,) = aggregates.MultiTenancyIsolation().why(only, ask(project_id="p3"))
    assert (told.code, told.remedy) == ("other_tenant", "the project among the aggregate's tenants")
    tenants = aggregates.TenantAggregate(aggregates.TenantAggregateOptions())
    for project, text in (
        ("p1", "outside the project's aggregates"),
        ("p3", "closed to projects without an aggregate of their own"),
    ):
        (told,) = tenants.why(table, ask(project_id=project))
        assert (told.code, told.message) == ("tenant_aggregate", text)
    (told,) = aggregates.IsolatedHosts(aggregates.IsolatedHostsOptions(hosts=["a"])).why(only, ask())
    assert (told.code, told.count, told.message) == ("isolated_hosts", 1, "not meant for this image")


def test_a_flavors_wish_that_no_aggregate_meets_names_the_metadata() -> None:
    fast = Aggregate(id=1, name="fast", metadata={"ssd": "true", "iops": "100"})
    table = host_table(["a"], aggregates=[(fast, ["a"])])
    filter = aggregates.InstanceExtraSpecs()
    (told,) = filter.why(table, ask(extra_specs={"ssd": "false"}))
    assert told.message == "in no aggregate with ssd = false, as the flavor wants"
    assert told.remedy == "aggregate metadata ssd = false"
    (told,) = filter.why(table, ask(extra_specs={"iops": ">= 200"}))
    assert told.remedy == "aggregate metadata iops that satisfies >= 200"
    assert not filter.applies(ask(extra_specs={"group_policy": "none", "hide_hypervisor_id": "true"}))
    assert not filter.applies(ask(extra_specs={"aggregate_instance_extra_specs:": "x"}))


def test_a_namespace_leaves_other_metadata_out_of_what_images_are_kept_by() -> None:
    mixed = Aggregate(id=1, name="m", metadata={"os_distro": "debian", "img.os_type": "linux"})
    table = host_table(["a", "b"], aggregates=[(mixed, ["a"])])
    spoken = aggregates.ImagePropertiesIsolation(aggregates.ImageIsolationOptions(namespace="img"))
    assert kept(spoken, table, ask(image=ImageAsk(properties={"os_distro": "fedora"}))) == ["a", "b"]
    assert kept(spoken, table, ask(image=ImageAsk(properties={"img.os_type": "windows"}))) == ["b"]
    assert kept(spoken, table, ask(image=ImageAsk(properties={"img.os_type": "linux"}))) == ["a", "b"]
    assert not spoken.applies(ask(image=ImageAsk())) and not spoken.applies(ask())


def test_hosts_are_isolated_with_or_without_images() -> None:
    table = host_table(["a", "b"])
    nothing = aggregates.IsolatedHosts(aggregates.IsolatedHostsOptions())
    assert not nothing.applies(ask()) and kept(nothing, table, ask()) == ["a", "b"]
    images_alone = aggregates.IsolatedHosts(aggregates.IsolatedHostsOptions(images=["i"]))
    assert images_alone.applies(ask()) and kept(images_alone, table, ask(image=ImageAsk(id="i"))) == []
    assert kept(images_alone, table, ask()) == ["a", "b"]
