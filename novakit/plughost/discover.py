"""Finds installed plugins by their metadata alone; nothing is imported."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions, version

import attrs
from packaging.requirements import InvalidRequirement, Requirement

from novakit.plughost.offers import GROUPS, Plugin, PluginGroup, State

CONTRACT = "novakit-hookspecs"


@attrs.frozen(eq=False)
class PluginCandidate:
    """An installed entry point, not imported yet."""

    plugin: Plugin
    entry_point: EntryPoint
    default: bool
    """Whether novakit itself depends on its distribution without any extra."""

    @property
    def stock(self) -> bool:
        """Return whether novakit itself depends on its distribution; such a one wins over another of the same name."""
        return self.plugin.stock


@attrs.frozen(eq=False)
class Offering:
    """An installed distribution that offers plugins, as its metadata say."""

    name: str
    version: str
    entry_points: Sequence[EntryPoint]
    unmet: str
    """Why it does not go with the installed contract, in a sentence; empty where it does."""
    stock: bool
    default: bool
    """Both as of a `Candidate`."""

    def candidates(self, wanted: Mapping[str, PluginGroup]) -> Iterator[PluginCandidate]:
        """Yield what it offers in some groups, by what their entry points are called."""
        for entry_point in self.entry_points:
            if (group := wanted.get(entry_point.group)) is None:
                continue
            plugin = Plugin(
                group=group,
                name=entry_point.name,
                distribution=self.name,
                version=self.version,
                stock=self.stock,
            )
            if self.unmet:
                plugin.refuse(State.INCOMPATIBLE, self.unmet)
            yield PluginCandidate(plugin, entry_point, self.default)


def discover(
    groups: Iterable[PluginGroup] = tuple(GROUPS.values()),
    *,
    without: Callable[[Plugin], bool] = lambda _: False,
    among: Sequence[Offering] | None = None,
) -> list[PluginCandidate]:
    """List the installed plugins of some groups, stock ones first; those that cannot go together are marked so.

    Those that `without` names are listed and stand in nobody's way. Who asks several times hands over what `offerings`
    found: to read what is installed takes 15 ms.
    """
    wanted = {group.entry_points: group for group in groups}
    found = [
        candidate for offering in (offerings() if among is None else among) for candidate in offering.candidates(wanted)
    ]
    found.sort(key=lambda one: (not one.stock, one.plugin.group.name, one.plugin.distribution, one.plugin.name))
    _mark_duplicates([candidate for candidate in found if not without(candidate.plugin)])
    return found


def offerings() -> Sequence[Offering]:
    """List the distributions that offer a plugin of any group, each once.

    The first on the path hides later ones of its name, as it does for imports.
    """
    wanted = {group.entry_points for group in GROUPS.values()}
    own, found = _own(), dict[str, Offering]()
    for installed in distributions():
        # Before its name is asked for: to read the metadata of all that is installed takes a quarter of a start.
        offered = [entry_point for entry_point in installed.entry_points if entry_point.group in wanted]
        spelt = installed.metadata["Name"] or "" if offered else ""
        name = canonical(spelt)
        if name and name not in found and _is_first(installed, name):
            found[name] = Offering(
                spelt, installed.version, offered, _unmet(installed), name in own, own.get(name, False)
            )
    return list(found.values())


def _is_first(installed: Distribution, name: str) -> bool:
    return distribution(name).locate_file("") == installed.locate_file("")


def _unmet(installed: Distribution) -> str:
    """Return why the installed contract is not the one this distribution asks for, as a sentence."""
    have = version(CONTRACT)
    for line in installed.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if canonical(requirement.name) != CONTRACT or not applies:
            continue
        if not requirement.specifier.contains(have, prereleases=True):
            source = f"{installed.metadata['Name']} {installed.version}"
            return (
                f"{source} needs {CONTRACT}{requirement.specifier}, and {have} is installed; "
                f"install a version of it that is made for {have}, or the novakit that it is made for."
            )
    return ""


def _mark_duplicates(found: list[PluginCandidate]) -> None:
    by_key: dict[str, list[PluginCandidate]] = {}
    for candidate in found:
        by_key.setdefault(candidate.plugin.key, []).append(candidate)
    for key, twins in by_key.items():
        if len(twins) == 1:
            continue
        sources = " and ".join(twin.plugin.source for twin in twins)
        names = ", ".join(f'"{twin.plugin.distribution}"' for twin in twins if not twin.stock)
        for twin in twins:
            if not twin.stock:
                twin.plugin.refuse(
                    State.CONFLICTING,
                    f"{key} is offered by {sources}; uninstall one of them, or put {names} in [plugins] disabled.",
                )


def own_distribution(group: PluginGroup, name: str) -> str:
    """Name the house's own distribution that offers a plugin, installed or not; empty for what others publish."""
    known = f"{group.published_as}{canonical(name)}"
    return known if group.published_as and known in _own() else ""


def own_names(group: PluginGroup) -> frozenset[str]:
    """Name the plugins of a group that the house publishes, as far as their distributions bear their names."""
    begin = group.published_as
    return frozenset(name.removeprefix(begin) for name in _own() if begin and name.startswith(begin))


def _own() -> Mapping[str, bool]:
    """Name the distributions that novakit depends on, each with whether it does so without any extra."""
    try:
        lines = distribution("novakit").requires or []
    except PackageNotFoundError:
        return {}
    found = [Requirement(line) for line in lines]
    return {canonical(one.name): one.marker is None or one.marker.evaluate({"extra": ""}) for one in found}


def canonical(name: str) -> str:
    """Write a distribution's name the one way that compares."""
    return re.sub(r"[-_.]+", "-", name).lower()
