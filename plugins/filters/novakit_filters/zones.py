"""Availability zones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novakit_filters.standing import present, reason
from novakit_hookspecs.scheduling import Ask, HostColumns, Reason

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AvailabilityZone:
    """Keep hosts of the zone that was asked for; without one every zone will do."""

    def applies(self, ask: Ask) -> bool:
        return ask.availability_zone is not None

    def mask(self, hosts: HostColumns, ask: Ask) -> "NDArray[np.bool_]":
        return hosts.where("availability_zone", lambda zone: ask.availability_zone in (None, zone))

    def why(self, hosts: HostColumns, ask: Ask) -> Sequence[Reason]:
        text = f"not in the availability zone {ask.availability_zone}"
        remedy = f"a place in an aggregate of the zone {ask.availability_zone}"
        return present(reason("wrong_zone", ~self.mask(hosts, ask), text, remedy=remedy))
