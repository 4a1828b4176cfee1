"""Which drivers are in use where nobody names them, as the installed plugins and what novakit depends on say it.

No plugin is known by its name: the standard one of a group is the one that novakit itself depends on, whatever else is
installed, and a virt driver says with which network driver it goes.
"""

from collections.abc import Sequence

import attrs

from novakit.errors import ConfigError
from novakit.plughost.choice import PluginChoice
from novakit.plughost.discover import Offering, PluginCandidate, discover, offerings
from novakit.plughost.load import PluginHost
from novakit.plughost.offers import GROUPS


@attrs.frozen
class Drivers:
    """The drivers that are in use, by name."""

    virt: str
    network: str

    def chosen(self, choice: PluginChoice) -> PluginChoice:
        """Name them in a choice."""
        return attrs.evolve(choice, driver=self.virt, network=self.network)


def settled(choice: PluginChoice, among: Sequence[Offering] | None = None) -> Drivers:
    """Return which drivers a choice comes to. Raises ConfigError where it names none and there is no standard one.

    `among` is what is installed, where somebody has looked already.
    """
    if among is None:
        among = offerings()
    virt = choice.driver or _standard("drivers", among)
    return Drivers(virt, choice.network or _network_of(choice, virt, among))


def best_driver() -> str:
    """Name the virt driver that this machine was most likely made for: one that was installed beside the standard."""
    among = offerings()
    found = [one for one in discover([GROUPS["drivers"]], among=among) if not one.default]
    return min((one.plugin.name for one in found), default="") or _standard("drivers", among)


def _network_of(choice: PluginChoice, driver: str, among: Sequence[Offering]) -> str:
    """Return the network driver that a virt driver goes with, by its own word; the standard one where it has none."""
    looked = PluginHost()
    for candidate in _named("drivers", driver, among):
        # Marks nothing of the real start: one that cannot be loaded has its say there.
        looked.admit(candidate, attrs.evolve(choice, driver=driver))
    offer = looked.offered("drivers", driver)
    return (offer and offer.spec.network) or _standard("networks", among)


def _named(group: str, name: str, among: Sequence[Offering]) -> list[PluginCandidate]:
    return [one for one in discover([GROUPS[group]], among=among) if one.plugin.name == name]


def _standard(group: str, among: Sequence[Offering]) -> str:
    for one in discover([GROUPS[group]], among=among):
        if one.default:
            return one.plugin.name
    raise ConfigError(
        f"No {GROUPS[group].option} is named, and what novakit depends on offers none: "
        f"name one with --{GROUPS[group].option}, or install novakit again."
    )
