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
