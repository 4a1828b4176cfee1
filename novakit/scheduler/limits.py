"""How much the scheduler does at once, and what it counts."""

import attrs

from novakit.monitoring.tallies import Spread


@attrs.frozen(kw_only=True)
class SchedulerLimits:
    """How much the scheduler does at once, and what it keeps."""

    batch: int = 128
    """Requests decided together at most."""
    alternates: int = 3
    subset: int = 1
    """The first host is drawn from this many best ones; more of them mean fewer conflicts between schedulers."""
    tries: int = 10
    """Hosts tried for one server when others claim at the same time."""
    keep_decisions: int = 20000
    keep_days: float = 14.0
    wait: float = 0.0
    """Seconds to wait for further requests before deciding."""


WAITED = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, in seconds; a decision with its claim takes some milliseconds, a conflict doubles it."""
BATCHED = (1, 2, 4, 8, 16, 32, 64, 128)
"""Upper bounds of the buckets, up to `SchedulerLimits.batch`."""


@attrs.define
class Counts:
    """What the scheduler did since it started."""

    placed: int = 0
    refused: int = 0
    failed: int = 0
    """Requests whose batch raised."""
    conflicts: int = 0
    batches: int = 0
    seconds: float = 0.0
    """Time spent on all batches."""
    waited: Spread = attrs.field(factory=lambda: Spread(WAITED))
    """Seconds from each request to its answer."""
    claimed: Spread = attrs.field(factory=lambda: Spread(WAITED))
    """Seconds of each transaction that claims, the wait for other writers included."""
    batched: Spread = attrs.field(factory=lambda: Spread(BATCHED))
    """Servers decided together."""
