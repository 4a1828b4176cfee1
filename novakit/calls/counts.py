"""What roles count since they started, as records that cross the bus."""

from collections.abc import Mapping

import attrs

from novakit_hookspecs.fields import mapping_field, tuple_field


@attrs.frozen(kw_only=True)
class SpreadCounts:
    """Counts of values by the smallest bound they do not exceed."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    """One more than there are bounds: the last is of the values above all of them."""
    total: float
    """Sum of the values."""


@attrs.frozen(kw_only=True)
class StepCounts:
    """What became of the calls into one filter, weigher or scheduler driver."""

    plugin: str
    calls: int
    seconds: float
    removed: int
    """Hosts, summed over decisions."""
    faults: int
    last_fault: str


@attrs.frozen(kw_only=True)
class SchedulerCounts:
    """What one scheduler did."""

    scheduler: str
    """Its name."""
    hosts: int
    """Compute hosts that it knows."""
    placed: int
    refused: int
    failed: int
    """Requests whose batch raised."""
    conflicts: int
    batches: int
    seconds: float
    """Time spent on all batches."""
    waited: SpreadCounts
    """Seconds from each request to its answer."""
    claimed: SpreadCounts
    """Seconds of each transaction that claims."""
    batched: SpreadCounts
    """Servers decided together."""
    left_out: Mapping[str, str] = mapping_field()
    """Filters and weighers that could not be built, and why."""
    failing: Mapping[str, str] = mapping_field()
    """Those that are not asked any more because they failed, and why."""
    filters: Mapping[str, StepCounts] = mapping_field()
    weighers: Mapping[str, StepCounts] = mapping_field()
    drivers: Mapping[str, StepCounts] = mapping_field()


@attrs.frozen(kw_only=True)
class OperationCounts:
    """How many operations of one kind ended in one state."""

    kind: str
    state: str
    count: int


@attrs.frozen(kw_only=True)
class PluginCounts:
    """The calls of one kind into one plugin of one process."""

    plugin: str
    call: str
    calls: int
    faults: int
    seconds: float


@attrs.frozen(kw_only=True)
class ConductorCounts:
    """What one conductor did."""

    operations: tuple[OperationCounts, ...] = tuple_field()
    running: int
    """Operations under way."""
    plugins: tuple[PluginCounts, ...] = tuple_field()
    """Of the observers in its process."""
