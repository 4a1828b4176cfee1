"""Finds installed plugins by their metadata alone; nothing is imported."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions, version

import attrs
from packaging.requirements import InvalidRequirement, Requirement

from novakit.plughost.offers import GROUPS, Plugin, PluginGroup, State

CONTRACT = "novakit-hookspecs"


@attrs.frozen(eq=False)
class Candidate:
    """An installed entry point, not imported yet."""

    plugin: Plugin
    entry_point: EntryPoint
    default: bool
    """Whether novakit itself depends on its distribution without any extra."""

    @property
    def stock(self) -> bool:
        """Say whether novakit itself depends on its distribution; such a one wins over another of the same name."""
        return self.plugin.stock


def discover(
    groups: Iterable[PluginGroup] = tuple(GROUPS.values()), *, without: Callable[[Plugin], bool] = lambda _: False
) -> list[Candidate]:
    """List the installed plugins of some groups, stock ones first; those that cannot go together are marked so.

    Those that `without` names are listed and stand in nobody's way.
    """
    wanted = {group.entry_points: group for group in groups}
    own = _own()
    found = [
        _candidate(installed, entry_point, wanted[entry_point.group], own)
        for installed, offered in _offering(wanted)
        for entry_point in offered
    ]
    found.sort(key=lambda one: (not one.stock, one.plugin.group.name, one.plugin.distribution, one.plugin.name))
    _mark_duplicates([candidate for candidate in found if not without(candidate.plugin)])
    return found


def _offering(wanted: Container[str]) -> Iterator[tuple[Distribution, Sequence[EntryPoint]]]:
    """Yield each distribution that offers something in a group, once, with what it offers there.

    The first on the path hides later ones of its name, as it does for imports.
    """
    seen: set[str] = set()
    for installed in distributions():
        # Before its name is asked for: to read the metadata of all that is installed takes a quarter of a start.
        offered = [entry_point for entry_point in installed.entry_points if entry_point.group in wanted]
        name = canonical(installed.metadata["Name"] or "") if offered else ""
        if name and name not in seen and _is_first(installed, name):
            seen.add(name)
            yield installed, offered


def _is_first(installed: Distribution, name: str) -> bool:
    return distribution(name).locate_file("") == installed.locate_file("")


def _candidate(
    installed: Distribution, entry_point: EntryPoint, group: PluginGroup, own: Mapping[str, bool]
) -> Candidate:
    name = installed.metadata["Name"]
    stock = canonical(name) in own
    plugin = Plugin(group=group, name=entry_point.name, distribution=name, version=installed.version, stock=stock)
    if why := _unmet(installed):
        plugin.refuse(State.INCOMPATIBLE, why)
    return Candidate(plugin, entry_point, own.get(canonical(name), False))


def _unmet(installed: Distribution) -> str:
    """Say in a sentence why the installed contract is not the one this distribution asks for."""
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


def _mark_duplicates(found: list[Candidate]) -> None:
    by_key: dict[str, list[Candidate]] = {}
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
