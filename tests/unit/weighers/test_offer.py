"""What the distribution offers."""

from novakit_hookspecs.weighing import WeigherSpec
from novakit_weighers import amounts, neighbours, novakit_weighers


def offered() -> dict[str, WeigherSpec]:
    return {one.name: one for one in novakit_weighers()}


def test_who_weighs_by_default_and_how_much() -> None:
    specs = offered()
    assert {name: one.multiplier for name, one in specs.items() if one.default} == {
        "ram": 1.0,
        "cpu": 1.0,
        "disk": 1.0,
        "io_ops": -1.0,
        "build_failure": 1_000_000.0,
        "soft_affinity": 100.0,
        "soft_anti_affinity": 100.0,
        "cross_cell": 1_000_000.0,
        "hypervisor_version": 1.0,
    }
    assert {name: one.multiplier for name, one in specs.items() if not one.default} == {
        "num_instances": -1.0,
        "metrics": 1.0,
        "pci": 1.0,
        "image_properties": 1.0,
        "energy_efficiency": 1.0,
        "production": 1.0,
    }
    assert {name for name, one in specs.items() if one.stacks} == {"ram", "cpu", "disk"}


def test_each_weighs_by_the_fact_of_its_name() -> None:
    built = {name: one.build(None) for name, one in offered().items() if one.options is None}
    assert built["ram"] == amounts.Column("free_memory_mb")
    assert built["cpu"] == amounts.Column("free_vcpus")
    assert built["disk"] == amounts.Column("free_disk_gb")
    assert built["io_ops"] == amounts.Column("io_ops")
    assert built["num_instances"] == amounts.Column("servers")
    assert built["build_failure"] == amounts.Fewest("failed_builds")
    assert built["soft_affinity"] == neighbours.SoftGroup("soft-affinity", 1.0)
    assert built["soft_anti_affinity"] == neighbours.SoftGroup("soft-anti-affinity", -1.0)


def test_an_aggregate_overrides_a_multiplier_by_the_name_that_operators_know() -> None:
    specs = offered()
    assert specs["cross_cell"].aggregate_key == "cross_cell_move_weight_multiplier"
    assert specs["image_properties"].aggregate_key == "image_props_weight_multiplier"
    assert not specs["ram"].aggregate_key, "without one it is made from the name"
