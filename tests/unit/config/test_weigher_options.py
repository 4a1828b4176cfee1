"""What the configuration says of weighers in two places."""

from novakit.config import weigher_options


def test_multipliers_and_options_of_a_weigher_are_merged() -> None:
    options = {"weighers.metrics": {"weights": {"watts": 1.0}}, "filters.ram": {}}
    merged = weigher_options(options, {"metrics": 2.0, "ram": -1.0})
    assert merged == {"metrics": {"weights": {"watts": 1.0}, "multiplier": 2.0}, "ram": {"multiplier": -1.0}}
