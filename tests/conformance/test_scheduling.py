"""The shipped suites over the stock filters and weighers."""

from typing import Any

import pytest

from novakit_filters import aggregates, load, novakit_filters
from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.testing.filters import FilterConformance
from novakit_hookspecs.testing.weighers import WeigherConformance
from novakit_hookspecs.weighing import WeigherSpec
from novakit_weighers import amounts, neighbours, novakit_weighers

FILTERS = {spec.name: spec for spec in novakit_filters()}
WEIGHERS = {spec.name: spec for spec in novakit_weighers()}
FILTER_OPTIONS: dict[str, Any] = {
    "isolated_hosts": aggregates.IsolatedHostsOptions(hosts=("host0", "host3"), images=("image-a",)),
    "tenant_aggregate": aggregates.TenantAggregateOptions(required=True),
    "metrics": load.MetricsOptions(required=("power_usage_watts",)),
}
WEIGHER_OPTIONS: dict[str, Any] = {
    "metrics": amounts.MetricsWeigherOptions(weights={"cpu_percent": -1.0, "uptime_hours": 0.5}),
    "image_properties": neighbours.ImagePropertiesOptions(weights={"os_distro": 2.0}),
}


class TestStockFilters(FilterConformance):
    sizes = (1, 40)
    seeds = (1, 2)
    within_ms = 20.0

    @pytest.fixture(params=FILTERS)
    def spec(self, request: pytest.FixtureRequest) -> FilterSpec:
        return FILTERS[request.param]

    @pytest.fixture
    def options(self, spec: FilterSpec) -> Any:
        return FILTER_OPTIONS.get(spec.name, spec.options() if spec.options else None)


class TestStockWeighers(WeigherConformance):
    sizes = (1, 40)
    seeds = (1, 2)
    within_ms = 20.0

    @pytest.fixture(params=WEIGHERS)
    def spec(self, request: pytest.FixtureRequest) -> WeigherSpec:
        return WEIGHERS[request.param]

    @pytest.fixture
    def options(self, spec: WeigherSpec) -> Any:
        return WEIGHER_OPTIONS.get(spec.name, spec.options() if spec.options else None)
