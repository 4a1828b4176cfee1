"""What is known of one plugin: where it comes from, what it offers, and how it stands."""

import enum
from collections.abc import Callable
from typing import Any

import attrs

from novakit.concurrency.own_thread import OwnThread
from novakit_hookspecs import accelerators, networks, observers, ranking, scheduling, virt, weighing


class State(enum.Enum):
    """How a plugin stands, as `novakit plugin list` says it."""

    ACTIVE = "active"
    DISABLED = "disabled"
    """Installed and not asked for."""
    ABSENT = "absent"
    """Asked for and not installed."""
    INCOMPATIBLE = "incompatible"
    """Made for another version of the contract."""
    CONFLICTING = "conflicting"
    """Offers what another one offers already."""
    BROKEN = "broken"
    """Could not be imported, or does not keep the contract."""


@attrs.frozen(kw_only=True)
class PluginGroup:
    """One extension point, as an entry-point group."""

    name: str
    """As in an operator's keys: `drivers` in `drivers:libvirt`."""
    hook: str
    module: Any
    role: str
    """The role that runs its plugins; the others never import them."""
    record: type | None = None
    """What its hook yields; None for a hook that is told something."""
    bodies: tuple[type, ...] = ()
    """Protocols of which the object that a record builds keeps at least one."""
    option: str = ""
    """The field of a choice that says which one plugin of the group is in use; empty where several are."""
    published_as: str = ""
    """How the names of the house's own distributions of this group begin, where each offers one plugin."""

    @property
    def entry_points(self) -> str:
        """Name the entry-point group."""
        return f"novakit.{self.name}"

    @property
    def api(self) -> int:
        """Return which API number this novakit speaks."""
        return int(self.module.API)


GROUPS = {
    group.name: group
    for group in (
        PluginGroup(
            name="filters",
            hook="novakit_filters",
            module=scheduling,
            role="scheduler",
            record=scheduling.FilterSpec,
            bodies=(scheduling.ColumnFilter, scheduling.HostFilter),
        ),
        PluginGroup(
            name="weighers",
            hook="novakit_weighers",
            module=weighing,
            role="scheduler",
            record=weighing.WeigherSpec,
            bodies=(weighing.ColumnWeigher,),
        ),
        PluginGroup(
            name="schedulers",
            hook="novakit_schedulers",
            module=ranking,
            role="scheduler",
            record=ranking.SchedulerSpec,
            bodies=(ranking.Ranker,),
            option="scheduler",
        ),
        PluginGroup(
            name="drivers",
            hook="novakit_drivers",
            module=virt,
            role="agent",
            record=virt.DriverSpec,
            bodies=(virt.VirtDriver,),
            option="driver",
            published_as="novakit-driver-",
        ),
        PluginGroup(
            name="networks",
            hook="novakit_networks",
            module=networks,
            role="agent",
            record=networks.NetworkSpec,
            bodies=(networks.NetworkDriver,),
            option="network",
            published_as="novakit-net-",
        ),
        PluginGroup(
            name="accelerators",
            hook="novakit_accelerators",
            module=accelerators,
            role="agent",
            record=accelerators.AcceleratorSpec,
            bodies=(accelerators.AcceleratorProvider,),
        ),
        PluginGroup(name="observers", hook="novakit_on_server", module=observers, role="conductor"),
    )
}


@attrs.define
class Tally:
    """How often one call into a plugin was made, how long it took and how often it failed."""

    calls: int = 0
    faults: int = 0
    seconds: float = 0.0


@attrs.define(eq=False, kw_only=True)
class Plugin:
    """One entry point of one installed distribution, or one that was asked for and is not there."""

    group: PluginGroup
    name: str
    """The entry point's name."""
    distribution: str = "-"
    version: str = "-"
    stock: bool = False
    """Whether novakit itself depends on its distribution, always or for one of its extras."""
    state: State = State.ACTIVE
    reason: str = ""
    """A sentence on why it is not active, and what to do."""
    records: tuple[str, ...] = ()
    """Names of what it offers."""
    off: frozenset[str] = frozenset()
    """Those of them that the configuration does not ask for."""
    tallies: dict[str, Tally] = attrs.field(factory=dict)

    @property
    def key(self) -> str:
        """Name it as an operator does: `drivers:libvirt`."""
        return f"{self.group.name}:{self.name}"

    @property
    def source(self) -> str:
        """Return where it comes from: `novakit-driver-libvirt 0.1.0`."""
        return f"{self.distribution} {self.version}"

    def refuse(self, state: State, reason: str) -> None:
        """Take it out of service."""
        self.state, self.reason = state, reason


@attrs.frozen(eq=False)
class Offer:
    """A record that a plugin yielded, and whose it is."""

    spec: Any
    plugin: Plugin

    @property
    def name(self) -> str:
        """Name what is offered: `libvirt`, `ram`."""
        return str(self.spec.name)

    @property
    def key(self) -> str:
        """Name the options' section: `drivers.libvirt`."""
        return f"{self.plugin.group.name}.{self.name}"


@attrs.frozen(eq=False)
class Listening:
    """A function of an observer that hears of events."""

    plugin: Plugin
    function: Callable[..., object]
    arguments: tuple[str, ...]
    """Which of the hook's arguments it takes."""
    thread: OwnThread = attrs.field(factory=lambda: OwnThread("its thread"))
    """Where it runs when it is no `async def`."""
