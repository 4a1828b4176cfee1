"""Availability zones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from novakit_filters.standing import present, reason
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY = "availability_zone"
"""The aggregate metadata that makes a zone."""


class AvailabilityZone:
    """Keep hosts of the zone that was asked for; without one every zone will do."""

    def applies(self, ask: Ask) -> bool:
        return ask.availability_zone is not None

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return hosts.where("availability_zone", lambda zone: ask.availability_zone in (None, zone))

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        zone = ask.availability_zone
        text = f"not in the availability zone {zone}"
        zones = hosts.tagged(KEY)
        in_zone = np.zeros(hosts.size, np.bool_)
        for one in zones:
            in_zone |= hosts.in_aggregate(one.id) if KEY in one.metadata else False
        outside = not in_zone.all()
        if not any(one.metadata.get(KEY) == zone for one in zones) and zone in hosts.vocabulary("availability_zone"):
            remedy = "a place in no aggregate of another zone"
        elif outside:
            remedy = f"a place in an aggregate of the zone {zone}"
        else:
            remedy = f"a place in an aggregate of the zone {zone} instead of its own zone's"
        everyone = np.ones(hosts.size, np.bool_)
        return present(reason("wrong_zone", everyone, text, remedy=remedy, shortfall=0.5 if outside else 1.0))
