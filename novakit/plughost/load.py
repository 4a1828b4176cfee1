"""Loads exactly the plugins that are asked for, each contained, and remembers of every one how it stands."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint

import attrs
import structlog
from stevedore.named import NamedExtensionManager

from novakit.calls.plugins import PluginRow
from novakit.config import quoting
from novakit.errors import ConfigError
from novakit.plughost.choice import PluginChoice
from novakit.plughost.discover import Offering, PluginCandidate, discover, own_distribution
from novakit.plughost.harvest import Unfit, describe, hookimpls, listenings, offers
from novakit.plughost.offers import GROUPS, Listening, Offer, Plugin, PluginGroup, State

log = structlog.get_logger(__name__)

ROLES = frozenset(group.role for group in GROUPS.values())
_CHOOSE = {"drivers": "--driver {}", "networks": "--network {}", "schedulers": '[scheduler] driver = "{}"'}


@attrs.define(eq=False)
class PluginHost:
    """The plugins of this process.

    `load` is called once, before anything else starts; afterwards this only answers.
    """

    plugins: list[Plugin] = attrs.field(factory=list)
    _offers: dict[str, dict[str, Offer]] = attrs.field(factory=lambda: {name: {} for name in GROUPS})
    observers: list[Listening] = attrs.field(factory=list)
    """Whom `call.tell_all` tells."""

    @classmethod
    def load(
        cls, choice: PluginChoice, roles: Iterable[str] = ROLES, among: Sequence[Offering] | None = None
    ) -> "PluginHost":
        """Load what the choice and the roles of this process ask for.

        `among` is what is installed, where somebody has looked already. Raises ConfigError with the plugin's reason
        when a required one is not active; any other costs only itself.
        """
        host = cls.survey(choice, roles, among)
        for plugin in host.plugins:
            if plugin.state not in (State.ACTIVE, State.DISABLED):
                log.warning("a plugin is not used", plugin=plugin.key, state=plugin.state.value, why=plugin.reason)
        host._insist(choice)
        return host

    @classmethod
    def survey(
        cls, choice: PluginChoice, roles: Iterable[str] = ROLES, among: Sequence[Offering] | None = None
    ) -> "PluginHost":
        """Load the same and stop at nothing, for those who only want to look."""
        host = cls()
        running = frozenset(roles)
        groups = [group for group in GROUPS.values() if group.role in running]
        for candidate in discover(groups, without=lambda plugin: choice.names(plugin, choice.disabled), among=among):
            host.plugins.append(candidate.plugin)
            host.admit(candidate, choice)
        host._note_absent(choice, groups)
        return host

    def driver(self, name: str) -> Offer:
        """Return the virt driver of that name. Raises ConfigError saying why it cannot be used and what to do."""
        return self._single("drivers", name)

    def network(self, name: str) -> Offer:
        """Return the network driver of that name. Raises ConfigError saying why it cannot be used and what to do."""
        return self._single("networks", name)

    def scheduler(self, name: str) -> Offer:
        """Return the scheduler driver of that name. Raises ConfigError saying why it cannot be used and what to do."""
        return self._single("schedulers", name)

    def offered(self, group: str, name: str) -> Offer | None:
        """Return what is on offer under a name, or None."""
        return self._offers[group].get(name)

    @property
    def filters(self) -> Mapping[str, Offer]:
        """Return every scheduler filter on offer by name."""
        return self._offers["filters"]

    @property
    def weighers(self) -> Mapping[str, Offer]:
        """Return every weigher on offer by name."""
        return self._offers["weighers"]

    @property
    def accelerators(self) -> Mapping[str, Offer]:
        """Return every accelerator provider on offer by name."""
        return self._offers["accelerators"]

    def refused(self, group: str) -> list[str]:
        """Return a sentence for each plugin of a group that is installed and not in service."""
        return [
            f"{plugin.key} of {plugin.source} is {plugin.state.value}: {plugin.reason.rstrip('.')}."
            for plugin in self.plugins
            if plugin.group.name == group and plugin.state is not State.ACTIVE
        ]

    def note_use(self, group: str, used: Collection[str], faults: Mapping[str, str]) -> None:
        """Take down which records of a group are in force, and by record why others could not be."""
        for plugin in self.plugins:
            if plugin.group.name != group or plugin.state is not State.ACTIVE:
                continue
            plugin.off = frozenset(plugin.records) - frozenset(used)
            if whys := [faults[name] for name in plugin.records if name in faults]:
                plugin.refuse(State.BROKEN, " ".join(f"{why.rstrip('.')}." for why in whys))
            elif plugin.records and plugin.off == frozenset(plugin.records):
                plugin.refuse(State.DISABLED, f"Nothing that it offers is on; name it in [scheduler] {group}.")

    def rows(self, *groups: str) -> Sequence[PluginRow]:
        """Return one row for each plugin, or for each one of some groups."""
        return [
            PluginRow(
                name=plugin.name,
                group=plugin.group.name,
                distribution=plugin.distribution,
                version=plugin.version,
                state=plugin.state.value,
                offers=", ".join(plugin.records),
                off=", ".join(name for name in plugin.records if name in plugin.off),
                reason=plugin.reason,
            )
            for plugin in sorted(self.plugins, key=lambda one: (one.group.name, one.name, one.distribution))
            if not groups or plugin.group.name in groups
        ]

    def admit(self, candidate: PluginCandidate, choice: PluginChoice) -> None:
        """Load one plugin if the choice asks for it; whatever is wrong with it costs itself alone."""
        plugin = candidate.plugin
        if why := _unwanted(candidate, choice):
            plugin.refuse(State.DISABLED, why)
        if plugin.state is not State.ACTIVE:
            return
        try:
            impls = hookimpls(plugin, _import(candidate))
            if plugin.group.record is None:
                self.observers += listenings(plugin, impls)
                return
            found = offers(plugin, impls)
            self._check_names(plugin, found)
        except Unfit as unfit:
            plugin.refuse(unfit.state, str(unfit))
            return
        self._offers[plugin.group.name] |= {offer.name: offer for offer in found}
        plugin.records = tuple(offer.name for offer in found)

    def _check_names(self, plugin: Plugin, found: Sequence[Offer]) -> None:
        taken = self._offers[plugin.group.name]
        for offer in found:
            if other := taken.get(offer.name):
                raise Unfit(
                    State.CONFLICTING,
                    f"{plugin.source} offers {offer.name}, which {other.plugin.source} offers already; "
                    f"uninstall one of them, or put one's distribution in [plugins] disabled.",
                )
        if plugin.group.option and plugin.name not in [offer.name for offer in found]:
            names = ", ".join(offer.name for offer in found) or "nothing"
            raise Unfit(
                State.BROKEN,
                f"{plugin.source} offers {names} and not {plugin.name}; an entry point of {plugin.group.entry_points} "
                "has the name of its record.",
            )

    def _note_absent(self, choice: PluginChoice, groups: Sequence[PluginGroup]) -> None:
        """Add a row for everything that was asked for by key and is not installed."""
        asked = set(choice.required)
        asked |= {f"drivers:{choice.driver}"} if choice.driver else set()
        asked |= {f"networks:{choice.network}"} if choice.network else set()
        asked |= {f"schedulers:{choice.scheduler}"} if choice.scheduler else set()
        for key in sorted(asked):
            group, colon, name = key.partition(":")
            if colon and GROUPS[group] in groups and not any(plugin.key == key for plugin in self.plugins):
                absent = Plugin(group=GROUPS[group], name=name)
                absent.refuse(State.ABSENT, f"Nothing installed offers {quoting.named(key)}; {_remedy(key)}.")
                self.plugins.append(absent)

    def _insist(self, choice: PluginChoice) -> None:
        for name in sorted(choice.required):
            named = [plugin for plugin in self.plugins if choice.names(plugin, frozenset({name}))]
            if not named and ":" not in name:
                raise ConfigError(
                    f"[plugins] required: {quoting.named(name)} is not installed, or has no plugin for these roles."
                )
            for plugin in named:
                if plugin.state is not State.ACTIVE:
                    raise ConfigError(
                        f"Required plugin {quoting.named(plugin.key)} is {plugin.state.value}: {plugin.reason}"
                    )

    def _single(self, group: str, name: str) -> Offer:
        if offer := self._offers[group].get(name):
            return offer
        for plugin in self.plugins:
            if plugin.group.name == group and plugin.name == name and plugin.state is not State.ACTIVE:
                raise ConfigError(f"{quoting.named(plugin.key)} is {plugin.state.value}: {plugin.reason}")
        raise ConfigError(f"Nothing installed offers {group}:{quoting.named(name)}; {_remedy(f'{group}:{name}')}.")


def _unwanted(candidate: PluginCandidate, choice: PluginChoice) -> str:
    """Return why nobody asked for this one, as a sentence."""
    plugin = candidate.plugin
    if choice.names(plugin, choice.disabled):
        return "Listed in [plugins] disabled."
    if choice.allow is not None and not candidate.stock and not choice.names(plugin, choice.allow):
        return f'Not listed in [plugins] allow; add "{plugin.key}" to use it.'
    option = plugin.group.option
    if option and plugin.name != getattr(choice, option):
        return f"Not the {option} in use; choose it with {_CHOOSE[plugin.group.name].format(plugin.name)}."
    return ""


def _remedy(key: str) -> str:
    group, _, name = key.partition(":")
    if known := own_distribution(GROUPS[group], name):
        return f"install {known}, or novakit[host] with everything for real hosts"
    return "install the distribution that does, or correct the name"


class _One(NamedExtensionManager[object]):
    """stevedore's loader for the one entry point that was found, without its cache, which forgets distributions."""

    def __init__(self, entry_point: EntryPoint, failed: Callable[[object, object, BaseException], None]) -> None:
        self._found = entry_point
        super().__init__(entry_point.group, [entry_point.name], on_load_failure_callback=failed)

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._found]


def _import(candidate: PluginCandidate) -> object:
    """Import the plugin; whatever that raises, leaving the program included, becomes a reason."""
    failures: list[BaseException] = []
    loaded: list[object] = []
    try:
        manager = _One(candidate.entry_point, lambda _manager, _entry_point, error: failures.append(error))
        loaded = [extension.plugin for extension in manager.extensions]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failures.append(error)
    if failures or not loaded:
        source = candidate.plugin.source
        why = describe(failures[0]) if failures else "nothing was loaded"
        raise Unfit(
            State.BROKEN,
            f"{source} cannot be imported from {candidate.entry_point.value}: {why}; "
            f"reinstall {candidate.plugin.distribution} with what it needs, or remove it.",
        )
    return loaded[0]
