"""A table of hosts and the pipeline over it, with the stock filters and weighers and those of a vendor."""

from typing import Any

import numpy as np

from novakit.scheduler.picture.table import HostStock, HostTable
from novakit.scheduler.pipeline.compose import Composed, Offered, PipelineOptions, compose
from novakit.scheduler.pipeline.pipeline import Outcome
from novakit_filters import novakit_filters
from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.testing.asks import ask
from novakit_hookspecs.weighing import WeigherSpec
from novakit_weighers import novakit_weighers

VENDOR = "novakit-acme-filters"


def table_of(free_mb: list[int]) -> HostTable:
    table = HostTable()
    for index, free in enumerate(free_mb):
        row = table.add(f"host{index}", f"provider{index}")
        table.put(row, up=True, enabled=True, availability_zone="nova", supported_instances=[], node=f"node{index}")
        table.set_stock(
            row,
            {
                "MEMORY_MB": HostStock(total=free, capacity=free, max_unit=free),
                "VCPU": HostStock(total=8, capacity=32, max_unit=8),
                "DISK_GB": HostStock(total=100, capacity=100, max_unit=100),
            },
        )
    return table


def composed(table: HostTable, *vendor: Any, refused: Any = None, **options: Any) -> Composed:
    filters = [Offered(spec, "novakit-filters", stock=True) for spec in novakit_filters()]
    filters += [Offered(spec, VENDOR) for spec in vendor if isinstance(spec, FilterSpec)]
    weighers = [Offered(spec, "novakit-weighers", stock=True) for spec in novakit_weighers()]
    weighers += [Offered(spec, VENDOR) for spec in vendor if isinstance(spec, WeigherSpec)]
    return compose(filters, weighers, table, PipelineOptions(**options), refused)


async def run(table: HostTable, *vendor: Any, request: Any = None, **options: Any) -> Outcome:
    return await composed(table, *vendor, **options).pipeline.run(table, request or ask())


def alive(table: HostTable, outcome: Outcome) -> list[str]:
    return [table.names[row] for row in np.flatnonzero(outcome.alive)]
