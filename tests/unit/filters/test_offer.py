"""What the distribution offers, and when it runs."""

from novakit_filters import amounts, novakit_filters


def test_the_order_in_which_filters_run_and_those_that_nobody_switches_off() -> None:
    on = sorted((one for one in novakit_filters() if one.default), key=lambda one: one.order)
    assert [(one.order, one.name) for one in on] == [
        (5, "requested_host"),
        (10, "compute"),
        (15, "availability_zone"),
        (20, "traits"),
        (25, "compute_capabilities"),
        (30, "image_properties"),
        (35, "isolated_aggregate"),
        (40, "different_host"),
        (41, "same_host"),
        (45, "group_affinity"),
        (46, "group_anti_affinity"),
        (47, "group_limit"),
        (60, "ram"),
        (61, "core"),
        (62, "disk"),
        (63, "resources"),
        (64, "provider_tree"),
        (70, "numa_topology"),
        (71, "pci_passthrough"),
        (72, "gpu_affinity"),
    ]
    assert {one.name for one in on if one.always} == {
        "requested_host",
        "traits",
        "group_affinity",
        "group_anti_affinity",
        "group_limit",
        "resources",
        "provider_tree",
        "numa_topology",
    }
    assert {one.name for one in on if one.when_forced} == {"requested_host", "traits"}
    assert {one.name for one in on if one.before_driver} == {"compute", "availability_zone", "ram", "core", "disk"}


def test_filters_that_an_operator_switches_on_come_after_the_others() -> None:
    off = {one.name: one.order for one in novakit_filters() if not one.default}
    assert off == dict.fromkeys(
        (
            "io_ops",
            "num_instances",
            "aggregate_instance_extra_specs",
            "aggregate_image_properties_isolation",
            "aggregate_multitenancy_isolation",
            "tenant_aggregate",
            "isolated_hosts",
            "json",
            "metrics",
            "type_affinity",
            "simple_cidr_affinity",
        ),
        100,
    )


def test_each_amount_is_looked_at_by_the_filter_of_its_name() -> None:
    built = {one.name: one.build(None) for one in novakit_filters() if one.name in ("ram", "core", "disk")}
    assert built == {"ram": amounts.RAM, "core": amounts.CORE, "disk": amounts.DISK}
