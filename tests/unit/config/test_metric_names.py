"""Names of measurements in the options of filter and weigher."""

import pytest

from novakit.config import options
from novakit.errors import ConfigError
from novakit_filters.load import MetricsOptions as Required
from novakit_hookspecs.columns import find, metric_name
from novakit_weighers.amounts import MetricsWeigherOptions as Weights


@pytest.mark.parametrize("name", ["cpu.percent", "power_usage_watts", "power-usage", "a", "a" * 56])
def test_a_name_with_dots_and_dashes_is_that_of_a_column(name: str) -> None:
    column = metric_name(name)
    assert column is not None and find(f"metric_{column}") is not None
    assert options.fill("[filters.metrics]", Required, {"required": [name]}).required == (name,)
    assert options.fill("[weighers.metrics]", Weights, {"weights": {name: -1.0}}).weights == {name: -1.0}


@pytest.mark.parametrize("name", ["", "*", "cpu percent", "CPU", ".cpu", "9", "a" * 57])
def test_what_can_be_no_name_is_refused_with_an_example(name: str) -> None:
    assert metric_name(name) is None
    for table, kind, plain in (
        ("[filters.metrics]", Required, {"required": ["cpu.percent", name]}),
        ("[weighers.metrics]", Weights, {"weights": {name: 1.0}}),
    ):
        with pytest.raises(ConfigError, match=r"is not a name of a metric; write one such as cpu\.percent"):
            options.fill(table, kind, plain)
