"""What the configuration says of weighers in two places."""

from pathlib import Path

from novakit.config import Config, SchedulerOptions
from novakit.control import weigher_options


def test_multipliers_and_options_of_a_weigher_are_merged() -> None:
    config = Config(
        state=Path("unused"),
        scheduler=SchedulerOptions(weighers={"metrics": 2.0, "ram": -1.0}),
        options={"weighers.metrics": {"weights": {"watts": 1.0}}, "filters.ram": {}},
    )
    merged = weigher_options(config)
    assert merged == {"metrics": {"weights": {"watts": 1.0}, "multiplier": 2.0}, "ram": {"multiplier": -1.0}}
