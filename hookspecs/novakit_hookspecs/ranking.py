"""Scheduler drivers: one plugin decides in place of the filters and weighers.

The core keeps its promises all the same: it asks first what users were promised (host and zone asked for, groups,
traits, NUMA, hosts that are up and have room in the ledger), and claims what was chosen.
A driver is pure: plain data in, an answer out; what it asks an outside allocator, it must ask within its time.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_names, name_field
from novakit_hookspecs.markers import hookspec
from novakit_hookspecs.scheduling import Ask, HostColumns, IfBroken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@runtime_checkable
class Ranker(Protocol):
    """Decides about all hosts at once; with `why`, as of `Explains`, it also says why it refused some."""

    def rank(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        """Return a number for every host; the highest is taken, and NaN or -inf means "not this host"."""


@attrs.frozen(kw_only=True)
class SchedulerSpec:
    """A scheduler driver on offer."""

    name: str = name_field()
    """What the configuration says; lower case, digits and underscores."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[object], Ranker]
    """Called once with the filled options, or None without `options`."""
    reads: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Names of facts from `columns.FACTS`; nothing else can be read."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[schedulers.<name>]`."""
    if_broken: IfBroken = IfBroken.FAIL_REQUEST
    """`SKIP` goes on with the filters and weighers."""
    within: float = 1.0
    """Seconds that one request may spend in it."""


@hookspec
def novakit_schedulers() -> Iterable[SchedulerSpec]:  # type: ignore[empty-body]
    """Offer scheduler drivers."""
