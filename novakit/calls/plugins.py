"""How plugins stand, as records that cross the bus, and as one list of what several processes said."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

ACTIVE = "active"
NAMED = 3
"""Processes that are named; of the others it is said how many they are."""


@attrs.frozen(kw_only=True)
class PluginRow:
    """One plugin of one process, for people and programs: what it is, how it stands, and why."""

    name: str
    group: str
    distribution: str
    version: str
    state: str
    offers: str
    """Names of what it offers, with commas between."""
    off: str
    """Those of them that are not on."""
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what makes two rows rows of the same plugin."""
        return self.group, self.name, self.distribution


@attrs.frozen(kw_only=True)
class About:
    """With what a service runs."""

    driver: str | None = None
    """The virt driver of the answering process's hosts, else of most hosts; None where no host has reported yet."""
    network: str | None = None
    plugins: tuple[PluginRow, ...] = ()
    drivers: Mapping[str, int] = attrs.field(factory=dict)
    """How many hosts run each virt driver."""
    networks: Mapping[str, int] = attrs.field(factory=dict)


def merged(told: Iterable[tuple[str, Sequence[PluginRow]]]) -> list[PluginRow]:
    """Make one list of what processes, by their names, said of their plugins.

    A plugin is active where one of them has it so. What some say differently than the shown row stands in the reason.
    """
    found: dict[tuple[str, str, str], dict[PluginRow, list[str]]] = {}
    for where, rows in told:
        for row in rows:
            found.setdefault(row.key, {}).setdefault(row, []).append(where)
    return [_one(ways) for _, ways in sorted(found.items())]


def _one(ways: dict[PluginRow, list[str]]) -> PluginRow:
    order = sorted(ways, key=lambda row: (row.state != ACTIVE, row.state, row.version))
    shown, others = order[0], order[1:]
    if not others:
        return shown
    said = [f"{row.version} {row.state} on {_named(ways[row])}" for row in (shown, *others)]
    return attrs.evolve(shown, reason=f"{'; '.join(said)}. {shown.reason}".rstrip())


def _named(places: Sequence[str]) -> str:
    more = f" and {len(places) - NAMED} more" if len(places) > NAMED else ""
    return ", ".join(sorted(places)[:NAMED]) + more
