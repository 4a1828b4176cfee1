"""Scheduler weighers: which of the hosts that fit is best."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from novakit_hookspecs.fields import frozen_names, name_field, tuple_field
from novakit_hookspecs.markers import hookspec
from novakit_hookspecs.scheduling import Ask, HostColumns, IfBroken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

API = 1
"""The number of this interface; a plugin says for which it was written, and is refused where it speaks another."""


@runtime_checkable
class ColumnWeigher(Protocol):
    """Scores all hosts at once."""

    def score(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.float64]":
        """Return a number for every host, in any unit; more is better.

        The core scales the numbers to 0..1 over the hosts that fit.

        NaN means that nothing is known of a host, which then counts as the middle of the others.
        """


@runtime_checkable
class ScalesItself(Protocol):
    """Facet: its scores are on a scale of their own, which the core leaves as it is."""

    scales_itself: bool
    """True: a score is added as it is, times the multiplier."""


@attrs.frozen(kw_only=True)
class WeigherSpec:
    """A weigher on offer."""

    name: str = name_field()
    """What the configuration says; lower case, digits and underscores."""
    api: int
    """Number of this interface: 1."""
    build: Callable[[object], ColumnWeigher]
    """Called once with the filled options, or None without `options`."""
    reads: frozenset[str] = attrs.field(factory=frozenset, converter=frozen_names)
    """Names of facts from `columns.FACTS`; nothing else can be read."""
    options: type | None = None
    """An attrs class; the core fills and checks it from `[weighers.<name>]`."""
    multiplier: float = 1.0
    """How much its score counts unless the configuration or an aggregate sets it; below 0 the lowest score is best."""
    stacks: bool = False
    """Whether `placement_strategy = "stack"` turns its multiplier around, as for free memory."""
    aggregate_key: str = ""
    """Aggregate metadata that overrides the multiplier; empty means `<name>_weight_multiplier`."""
    if_broken: IfBroken = IfBroken.SKIP
    """What becomes of a request when it fails."""
    within: float = 0.25
    """Seconds that one request may spend in it."""
    default: bool = False
    """Whether it is on when the configuration names no weighers."""
    aliases: tuple[str, ...] = tuple_field()
    """Other names the configuration may use for it, with a warning: RAMWeigher."""


@hookspec
def novakit_weighers() -> Iterable[WeigherSpec]:  # type: ignore[empty-body]
    """Offer scheduler weighers."""
