"""Faults on order: what a simulated host does wrong, as its options say."""

from random import Random

import attrs

from novakit_hookspecs.errors import Busy, Refused

HOW = ("refused", "busy", "fault")


class SimulatedFault(Exception):
    """An error no contract foresees, such as a driver's own bug would raise."""


@attrs.frozen(kw_only=True)
class Dice:
    """Decides whether the next piece of work on a host fails."""

    probability: float = 0.0
    hosts: tuple[str, ...] = ()
    """Hosts on which everything fails; empty does not restrict anything."""
    first: int = 0
    """How many of the first attempts on the host fail."""
    how: str = "fault"
    random: Random | None = None
    """Needed for a probability alone: ten thousand hosts without one need no source of chance each."""

    def fails(self, host: str, failed_before: int) -> bool:
        """Return whether this attempt fails."""
        if host in self.hosts or failed_before < self.first:
            return True
        return self.random is not None and self.random.random() < self.probability

    def error(self, what: str) -> Exception:
        """Make the error that was ordered."""
        if self.how == "busy":
            return Busy(f"{what}: the simulated host is busy, as its options say", retry_after=0.1)
        if self.how == "fault":
            return SimulatedFault(f"{what}: a fault, as the options of the simulated host say")
        return Refused(f"{what}: refused, as the options of the simulated host say")


def chance_of(probability: float, seed: int | None, host: str) -> Random | None:
    """Return a host's own source of chance, the same in every run with a seed; None when nothing is left to it."""
    if not probability:
        return None
    return Random() if seed is None else Random(f"{seed}/{host}")
