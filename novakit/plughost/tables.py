"""The tables of plugins in a configuration: each names something that is there, and has keys that it takes.

Also those of plugins that are not in use: a table whose name is misspelt would change nothing, and say nothing.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from novakit.errors import ConfigError
from novakit.plughost.build import fill
from novakit.plughost.choice import PluginChoice
from novakit.plughost.discover import PluginCandidate, discover, own_names
from novakit.plughost.load import PluginHost
from novakit.plughost.offers import GROUPS

CHOSEN_BY = {group.name: group.option for group in GROUPS.values() if group.option}
"""Groups of which one plugin is in use, and the field of the choice that says which."""


def check(options: Mapping[str, Mapping[str, object]], choice: PluginChoice, roles: Iterable[str]) -> None:
    """Look at every table of drivers, networks, schedulers and accelerators.

    Raises ConfigError for the first that is wrong.
    """
    running = frozenset(roles)
    for key, raw in options.items():
        group, _, name = key.partition(".")
        if group not in (*CHOSEN_BY, "accelerators"):
            continue
        candidates = discover([GROUPS[group]])
        named = [one for one in candidates if one.plugin.name == name]
        if named:
            _check_keys(named, group, name, choice, raw)
        # Those of the house may stand in a configuration which several machines share, installed here or not.
        elif name not in (ours := own_names(GROUPS[group])):
            installed = sorted({one.plugin.name for one in candidates} | ours)
            _refuse(group, name, installed, certain=GROUPS[group].role in running)


def _check_keys(
    candidates: Iterable[PluginCandidate], group: str, name: str, choice: PluginChoice, raw: Mapping[str, object]
) -> None:
    """Fill the options of one that is installed; one that cannot be loaded has its say when it is chosen."""
    looked = PluginHost()
    wanted: dict[str, Any] = {}
    if option := CHOSEN_BY.get(group):
        if getattr(choice, option) == name:
            return
        wanted = {option: name}
    for candidate in candidates:
        looked.admit(candidate, attrs.evolve(choice, **wanted))
    if offer := looked.offered(group, name):
        fill(offer, raw)


def _refuse(group: str, name: str, installed: list[str], *, certain: bool) -> None:
    close = difflib.get_close_matches(name, installed, n=1)
    if not close and not certain:
        return  # of a plugin that another machine has, for all that is known here
    hint = f" Did you mean [{group}.{close[0]}]?" if close else ""
    raise ConfigError(
        f"[{group}.{name}] is the table of no plugin that is installed; there are {', '.join(installed)}.{hint}"
        " Correct the name, install the plugin, or remove the table."
    )
