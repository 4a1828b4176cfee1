"""Filters that demand several things of a host at once: what is lacking, and all that the nearest host would need."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import numpy as np

from novakit_hookspecs.scheduling import Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


@attrs.frozen
class Demand:
    """One thing that a host must have or be."""

    code: str
    message: str
    remedy: str
    fits: "NDArray[np.bool_]"
    """Which hosts have it."""
    wanted: object = None
    there: "Callable[[NDArray[np.bool_]], object] | None" = None
    """Tells what some hosts have instead."""


def unmet(demands: Sequence[Demand]) -> Sequence[Reason]:
    """Return the first demand that each host does not meet; the remedy is all that the nearest such host lacks."""
    lacking = np.array([~demand.fits for demand in demands])
    short = lacking.sum(axis=0)
    first = lacking.argmax(axis=0)
    reasons = []
    for place, demand in enumerate(demands):
        here = lacking[place] & (first == place)
        rows = np.flatnonzero(here)
        if len(rows):
            nearest = rows[short[rows].argmin()]
            remedies = [each.remedy for each, lacks in zip(demands, lacking[:, nearest], strict=True) if lacks]
            reasons.append(
                Reason(
                    code=demand.code,
                    count=len(rows),
                    message=demand.message,
                    wanted=demand.wanted,
                    available=demand.there(here) if demand.there is not None else None,
                    remedy=" and ".join(dict.fromkeys(remedies)),
                    shortfall=float(short[nearest]) / len(demands),
                )
            )
    return reasons
