"""Options as other services' guides spell them, in novakit.toml."""

import pytest

from novakit import config
from novakit.errors import ConfigError
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit_filters import novakit_filters
from novakit_weighers import novakit_weighers

GUIDE = """
[scheduler]
driver = "filter_scheduler"
max_attempts = 10
periodic_task_interval = 60

[filter_scheduler]
enabled_filters = "AvailabilityZoneFilter, ComputeFilter, ComputeCapabilitiesFilter, ImagePropertiesFilter, CoreFilter, RamFilter, DiskFilter, NumaTopologyFilter, ServerGroupAntiAffinityFilter, ServerGroupAffinityFilter, PciPassthroughFilter, NUMATopologyFilter, AggregateInstanceExtraSpecFilter"
weight_classes = "nova.scheduler.weights.all_weighers"
ram_weight_multiplier = 1.0
cpu_weight_multiplier = 1.0
disk_weight_multiplier = 1.0
io_ops_weight_multiplier = -1.0
track_instance_changes = true
placement_aggregate_required_for_tenants = true
"""  # noqa: E501


def read(tmp_path, text):
    path = tmp_path / "novakit.toml"
    path.write_text(text)
    return config.Config(state=tmp_path, **config.read(path))


def composed(made: config.Config) -> Composed:
    return compose(
        [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()],
        [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()],
        HostTable(),
        PipelineOptions(
            filters=made.scheduler.filters,
            weighers=None if made.scheduler.weighers is None else tuple(made.scheduler.weighers),
            filter_options=config.plugin_options(made.options, "filters"),
            weigher_options=config.weigher_options(made.options, made.scheduler.weighers),
        ),
    )


def test_the_whole_of_a_guide_is_understood_and_each_line_is_told_what_to_write(tmp_path):
    made = read(tmp_path, GUIDE)
    result = composed(made)
    names = [step.name for step in result.pipeline.filters]
    for name in ("availability_zone", "compute", "compute_capabilities", "image_properties", "core", "ram", "disk"):
        assert name in names
    assert {"aggregate_instance_extra_specs", "pci_passthrough", "numa_topology", "tenant_aggregate"} <= set(names)
    assert names.count("numa_topology") == 1
    tenants = next(step for step in result.pipeline.filters if step.name == "tenant_aggregate")
    assert tenants.work.options.required
    assert result.pipeline.multipliers == {"ram": 1.0, "cpu": 1.0, "disk": 1.0, "io_ops": -1.0}
    assert (made.scheduler.max_attempts, made.scheduler.refresh_every) == (10, 60)
    assert len(made.warnings) == 9
    assert made.warnings[0].endswith(
        "[scheduler] periodic_task_interval is understood; write [scheduler] refresh_every instead"
    )


def test_named_weighers_are_used_with_the_multipliers_beside_them(tmp_path):
    text = "[filter_scheduler]\nweight_classes = ['nova.scheduler.weights.ram.RAMWeigher', 'CpuWeigher']\n"
    result = composed(read(tmp_path, text + "ram_weight_multiplier = -2.0"))
    assert [step.name for step in result.pipeline.weighers] == ["ram", "cpu"]
    assert result.pipeline.multipliers == {"ram": -2.0, "cpu": 1.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[filter_scheduler]\nenabled_filters = 3", "enabled_filters: takes a list of names, not 3"),
        ("[filter_scheduler]\ntrack_instance_changes = 'no'", "takes true or false"),
        ("[filter_scheduler]\ncolour = 3", r"\[filter_scheduler\] colour is not known here"),
        (
            "[scheduler]\nfilters = ['ram']\n[filter_scheduler]\nenabled_filters = ['RamFilter']",
            r"\[scheduler\] filters says the same",
        ),
    ],
)
def test_what_has_no_meaning_stops_the_start(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        read(tmp_path, text)


def test_monitors_may_be_a_text_and_stand_where_guides_put_them(tmp_path):
    for text in (
        '[DEFAULT]\ncompute_monitors = "cpu.virt_driver"\n',
        '[agent]\ncompute_monitors = "cpu.virt_driver"\n',
    ):
        made = read(tmp_path, text)
        assert made.agent.compute_monitors == ("cpu.virt_driver",) and len(made.warnings) == 1
    with pytest.raises(ConfigError, match=r"unknown \[DEFAULT\]"):
        read(tmp_path, '[DEFAULT]\ncompute_monitors = "uptime"\nnope = "192.0.2.1"\n')


def test_weighers_may_be_a_list_of_names(tmp_path):
    made = read(tmp_path, '[scheduler]\nweighers = ["RAMWeigher", "cpu"]\n')
    assert [step.name for step in composed(made).pipeline.weighers] == ["ram", "cpu"]
    assert "write a table of multipliers instead" in made.warnings[0]


def test_a_key_that_means_nothing_here_is_named_with_those_that_do(tmp_path):
    with pytest.raises(
        ConfigError, match=r"\[filter_scheduler\] nonsense is not known here; known are .*enabled_filters"
    ):
        read(tmp_path, "[filter_scheduler]\nnonsense = 1\n")
    assert read(tmp_path, "[filter_scheduler]\nshuffle_best_same_weighed_hosts = true\n").warnings
    with pytest.raises(ConfigError, match="one is always chosen at random"):
        read(tmp_path, "[filter_scheduler]\nshuffle_best_same_weighed_hosts = false\n")


@pytest.mark.parametrize("multiplier", ["inf", "-inf", "nan"])
def test_a_multiplier_is_a_finite_number(tmp_path, multiplier):
    with pytest.raises(ConfigError, match="takes a finite number"):
        composed(read(tmp_path, f"[weighers.ram]\nmultiplier = {multiplier}\n"))
