"""Asks a loaded plugin for its records, under containment: whatever goes wrong costs only that plugin."""

import difflib
import itertools
from collections.abc import Iterable
from typing import Any

import attrs
import pluggy

from novakit.plughost.offers import GROUPS, Listening, Offer, Plugin, PluginGroup, State
from novakit_hookspecs import columns
from novakit_hookspecs.markers import PROJECT

_MOST_RECORDS = 1000
"""Far above what any plugin offers; one that yields without end must not hang the start."""


class Unfit(Exception):
    """The plugin cannot be used; its sentence is the reason that operators read."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


def hookimpls(plugin: Plugin, loaded: object) -> list[pluggy.HookImpl]:
    """Return the plugin's implementations of its group's hook. Raises Unfit when there is none or a hook is misspelt.

    Each plugin gets a pluggy manager of its own, so a registration that fails half way leaves nothing behind.
    """
    manager = pluggy.PluginManager(PROJECT)
    for group in GROUPS.values():
        manager.add_hookspecs(group.module)
    try:
        manager.register(loaded, name=plugin.key)
    except pluggy.PluginValidationError as error:
        raise Unfit(State.BROKEN, f"{plugin.source}: {_one_line(error)}.") from error
    for caller in manager.get_hookcallers(loaded) or ():
        pending = [one for one in caller.get_hookimpls() if not one.optionalhook]
        if not caller.has_spec() and pending:
            raise Unfit(
                State.BROKEN, f"{plugin.source} implements {caller.name}, which is not a hook{_meant(caller.name)}"
            )
    found = list(getattr(manager.hook, plugin.group.hook).get_hookimpls())
    if not found:
        raise Unfit(
            State.BROKEN,
            f"{plugin.source} implements no {plugin.group.hook}; mark the function with @hookimpl and name it so.",
        )
    if any(one.hookwrapper or one.wrapper for one in found):
        raise Unfit(State.BROKEN, f"{plugin.source} wraps {plugin.group.hook}; novakit's hooks take no wrappers.")
    return found


def offers(plugin: Plugin, impls: Iterable[pluggy.HookImpl]) -> list[Offer]:
    """Collect and check the plugin's records. Raises Unfit for the first that is wrong."""
    offered: dict[str, Offer] = {}
    for impl in impls:
        try:
            specs = list(itertools.islice(_records(impl), _MOST_RECORDS + 1))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            raise Unfit(State.BROKEN, f"{plugin.source}: {plugin.group.hook} raised {describe(error)}.") from error
        if len(specs) > _MOST_RECORDS:
            raise Unfit(State.BROKEN, f"{plugin.source}: {plugin.group.hook} yields more than {_MOST_RECORDS} records.")
        for spec in specs:
            _check(plugin, spec)
            if spec.name in offered:
                raise Unfit(
                    State.CONFLICTING, f"{plugin.source} offers {spec.name} twice; give each record its own name."
                )
            offered[spec.name] = Offer(spec, plugin)
    return list(offered.values())


def listenings(plugin: Plugin, impls: Iterable[pluggy.HookImpl]) -> list[Listening]:
    """Return the functions of an observer in the order in which they are told."""
    return [Listening(plugin, impl.function, tuple(impl.argnames)) for impl in impls]


def _records(impl: pluggy.HookImpl) -> Iterable[Any]:
    yielded: Any = impl.function()
    return yielded  # type: ignore[no-any-return]


def _check(plugin: Plugin, spec: object) -> None:
    group: PluginGroup = plugin.group
    if group.record is None or not isinstance(spec, group.record):
        wanted = group.record.__name__ if group.record else "nothing"
        raise Unfit(State.BROKEN, f"{plugin.source}: {group.hook} yielded {type(spec).__name__}, not {wanted}.")
    known: Any = spec
    if known.api != group.api:
        other = "an older" if known.api < group.api else "a newer"
        raise Unfit(
            State.INCOMPATIBLE,
            f"{plugin.source}: {known.name} speaks API {known.api} of {group.name}, this novakit speaks {group.api}; "
            f"it was made for {other} novakit, so install the version of it made for this one.",
        )
    if known.options is not None and not attrs.has(known.options):
        raise Unfit(State.BROKEN, f"{plugin.source}: the options of {known.name} are not an attrs class.")
    unknown = columns.unknown(frozenset(getattr(known, "reads", ())))
    if unknown:
        raise Unfit(
            State.BROKEN, f"{plugin.source}: {known.name} reads {unknown[0]}, which is not a fact{_fact(unknown[0])}"
        )


def describe(error: BaseException) -> str:
    """Name an error in one line: its kind and its words."""
    words = _one_line(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _one_line(error: BaseException) -> str:
    try:
        words = " ".join(str(error).split())
    except Exception:
        words = "(its message cannot be shown)"
    return words.rstrip(".")[:500]


def _meant(name: str) -> str:
    close = difflib.get_close_matches(name, [group.hook for group in GROUPS.values()], n=1)
    return f"; did it mean {close[0]}?" if close else "; the hooks are in the reference."


def _fact(name: str) -> str:
    close = difflib.get_close_matches(name, list(columns.FACTS), n=1)
    return f"; did it mean {close[0]}?" if close else "."
