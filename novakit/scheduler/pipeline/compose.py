"""From the filters and weighers on offer and the configuration to the pipeline in force."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import structlog

from novakit import errors
from novakit.config.options import LARGEST
from novakit.config.quoting import named, quoted
from novakit.plughost import GROUPS as PLUGIN_GROUPS
from novakit.plughost.build import fill_any, lacks
from novakit.plughost.harvest import describe
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.pipeline import Pipeline
from novakit.scheduler.pipeline.steps import PipelineStep, Spec
from novakit.scheduler.pipeline.view import View
from novakit_hookspecs.ranking import SchedulerSpec
from novakit_hookspecs.scheduling import FilterSpec
from novakit_hookspecs.weighing import WeigherSpec

log = structlog.get_logger(__name__)


@attrs.frozen
class Offered:
    """A record with the distribution it came from; the plugin host has checked that it keeps the contract."""

    spec: Any
    plugin: str = "-"
    """The distribution."""
    stock: bool = False
    """Whether it is one of novakit's own, whose answers are believed without a look at each."""


@attrs.frozen(kw_only=True)
class PipelineOptions:
    """What the configuration says of filters and weighers."""

    filters: Sequence[str] | None = None
    """Names in the order to ask them; None for those that are on by default."""
    weighers: Sequence[str] | None = None
    filter_options: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict)
    """By filter name, the keys of its table; the key `enabled` is the core's, the rest the filter's own."""
    weigher_options: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict)
    """By weigher name; the keys `multiplier` and `enabled` are the core's, the rest the weigher's own."""
    driver_options: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict)
    """By scheduler driver, the keys of its table."""
    placement_strategy: str = "spread"
    """spread fills the emptiest host first, stack the fullest."""


@attrs.define
class Composed:
    """The pipeline, and what was left out or renamed on the way to it."""

    pipeline: Pipeline
    faults: dict[str, str] = attrs.field(factory=dict)
    """By kind and name, as in `filter ram`: why it is not in force."""
    warnings: list[str] = attrs.field(factory=list)
    wrong: list[str] = attrs.field(factory=list)
    """Sentences for which a service must not start: what was asked for by name or guards a promise is not in force."""

    def fault(self, what: str, name: str, why: str, *, wanted: bool) -> None:
        """Note that a filter or weigher is left out; one that is wanted stops the start."""
        self.faults[f"{what} {name}"] = why
        if wanted:
            self.wrong.append(f"The {what} {name} is required and cannot be used: {why.rstrip('.')}. {LOOK}")


def compose(
    filters: Iterable[Offered],
    weighers: Iterable[Offered],
    table: HostTable,
    options: PipelineOptions,
    refused: Mapping[str, Sequence[str]] | None = None,
    driver: Offered | None = None,
) -> Composed:
    """Build the pipeline. Raises ConfigError when a filter or weigher that is named or promised is not in it.

    `refused` says by kind, `filter` and `weigher`, which plugins are installed and not in service, and why.
    `driver` is the plugin that decides in place of them.
    """
    composed = survey(filters, weighers, table, options, refused, driver)
    if composed.wrong:
        raise errors.ConfigError(composed.wrong[0])
    for sentence in composed.warnings:
        log.warning(sentence)
    for name, why in composed.faults.items():
        log.warning("left out of the scheduler", name=name, why=why)
    return composed


def survey(
    filters: Iterable[Offered],
    weighers: Iterable[Offered],
    table: HostTable,
    options: PipelineOptions,
    refused: Mapping[str, Sequence[str]] | None = None,
    driver: Offered | None = None,
) -> Composed:
    """Build what can be built and note what cannot. Raises ConfigError for options that mean nothing at all."""
    composed = Composed(Pipeline([], [], {}))
    known = refused or {}
    offered_filters = {offer.spec.name: offer for offer in filters}
    offered_weighers = {offer.spec.name: offer for offer in weighers}
    chosen_filters = _chosen(
        offered_filters, options.filters, "filter", options.filter_options, composed, known.get("filter", ())
    )
    chosen_weighers = _chosen(
        offered_weighers, options.weighers, "weigher", options.weigher_options, composed, known.get("weigher", ())
    )
    composed.pipeline.filters = _steps(
        chosen_filters, "filter", options.filters, options.filter_options, table, composed
    )
    composed.pipeline.weighers = _steps(
        chosen_weighers, "weigher", options.weighers, options.weigher_options, table, composed
    )
    _unused(offered_filters, options.filter_options, "filter", composed, known.get("filter", ()))
    _unused(offered_weighers, options.weigher_options, "weigher", composed, known.get("weigher", ()))
    composed.pipeline.multipliers = _multipliers(composed.pipeline.weighers, options)
    if driver is not None:
        composed.pipeline.driver = _driver(driver, options, table, composed)
    return composed


def _chosen(
    offered: Mapping[str, Offered],
    names: Sequence[str] | None,
    what: str,
    options: Mapping[str, Mapping[str, object]],
    composed: Composed,
    refused: Sequence[str],
) -> list[Offered]:
    switched = {name: _switch(offer.spec, what, options) for name, offer in offered.items()}
    if names is None:
        chosen = [offer for name, offer in offered.items() if (switched[name] is None and offer.spec.default)]
        chosen += [offer for name, offer in offered.items() if switched[name]]
        return sorted(chosen, key=lambda offer: getattr(offer.spec, "order", 0))
    by_alias = {alias: offer for offer in offered.values() for alias in offer.spec.aliases}
    found: list[Offered] = []
    for name in names:
        offer = offered.get(name) or by_alias.get(name) or by_alias.get(name.rpartition(".")[2])
        if offer is None:
            if why := composed.faults.get(f"{what} {name}"):
                composed.fault(what, name, why, wanted=True)
            else:
                composed.wrong.append(_unknown(f"[scheduler] {what}s", name, sorted(offered), refused))
            continue
        if name != offer.spec.name:
            composed.warnings.append(f"[scheduler] {what}s names {name}; write {offer.spec.name} instead")
        if offer in found:
            composed.warnings.append(f"[scheduler] {what}s names {offer.spec.name} twice; once is enough")
            continue
        found.append(offer)
    always = [offer for offer in offered.values() if getattr(offer.spec, "always", False) and offer not in found]
    more = [offer for name, offer in offered.items() if switched[name] and offer not in (*always, *found)]
    return [*always, *(offer for offer in found if switched[offer.spec.name] is not False), *more]


def _driver(
    driver: Offered, options: PipelineOptions, table: HostTable, composed: Composed
) -> PipelineStep[SchedulerSpec] | None:
    """Build the plugin that decides; it is asked for by name, so one that cannot be used stops the start."""
    name = driver.spec.name
    steps: list[PipelineStep[SchedulerSpec]] = _steps(
        [driver], "scheduler", [name], options.driver_options, table, composed
    )
    return steps[0] if steps else None


def _unknown(where: str, name: str, offered: Sequence[str], refused: Sequence[str]) -> str:
    """Say that nothing offers a name; a plugin that is installed and out of service may be the one that would."""
    close = difflib.get_close_matches(name, offered, n=1)
    meant = f"; did it mean {close[0]}?" if close else "."
    if refused:
        out = f"Installed but not in service: {' '.join(refused)} {LOOK}"
        return f"{where} names {named(name)}, which no plugin in service offers{meant} {out}"
    there_are = f"There are {', '.join(offered)}."
    return f"{where} names {named(name)}, which no installed plugin offers{meant} {there_are}"


def _unused(
    offered: Mapping[str, Offered],
    options: Mapping[str, Mapping[str, object]],
    what: str,
    composed: Composed,
    refused: Sequence[str],
) -> None:
    """Refuse options for what is not there, unless it may be of a plugin that is installed and out of service.

    Those of what is there and not in use are looked at, too: a misspelt key would change nothing, and say nothing.
    """
    for offer in offered.values():
        _fill(options, offer, what)
    known = {name for offer in offered.values() for name in (offer.spec.name, *offer.spec.aliases)}
    for name in sorted(name for name in options if name.rpartition(".")[2] not in known):
        if options[name].get("enabled") is True:
            if why := composed.faults.get(f"{what} {name}"):
                composed.fault(what, name, why, wanted=True)
            else:
                composed.wrong.append(_unknown(f"[{what}s.{name}] enabled = true", name, sorted(offered), refused))
        elif f"{what} {name}" in composed.faults:
            continue
        elif options[name].get("enabled") is not False and (not refused or difflib.get_close_matches(name, known, n=1)):
            composed.wrong.append(_unknown(f"[{what}s.{name}]", name, sorted(offered), refused))
        else:
            composed.warnings.append(f"[{what}s.{name}] is for no {what} that is installed")


def _switch(spec: FilterSpec | WeigherSpec, what: str, options: Mapping[str, Mapping[str, object]]) -> bool | None:
    """Return whether the configuration switches one on or off by itself, beside the list; None where it does not."""
    wanted = _own(options, spec).get("enabled")
    if wanted is not None and not isinstance(wanted, bool):
        raise errors.ConfigError(f"[{what}s.{spec.name}] enabled takes true or false, not {quoted(wanted)}.")
    if wanted is False and getattr(spec, "always", False):
        raise errors.ConfigError(
            f"[{what}s.{spec.name}] enabled is false, and users are promised this {what}: leave enabled out."
        )
    return wanted


LOOK = "`novakit plugin list` shows every plugin, its state and the reason."
GROUPS = {"filter": "filters", "weigher": "weighers", "scheduler": "schedulers"}
"""By kind: the plugin host's group."""
CORE_KEYS = frozenset({"multiplier", "enabled"})
"""What a filter's or weigher's table says to the core."""


def _steps(
    offers: Sequence[Offered],
    what: str,
    names: Sequence[str] | None,
    options: Mapping[str, Mapping[str, object]],
    table: HostTable,
    composed: Composed,
) -> list[PipelineStep[Spec]]:
    """Build those that are chosen; one that nobody named and users were not promised costs only itself."""
    steps: list[PipelineStep[Spec]] = []
    bodies = PLUGIN_GROUPS[GROUPS[what]].bodies
    for offer in offers:
        spec = offer.spec
        filled = _fill(options, offer, what)
        wanted = names is not None or getattr(spec, "always", False) or bool(_switch(spec, what, options))
        try:
            work = spec.build(filled)
        except Exception as error:
            composed.fault(
                what, spec.name, f"{spec.name} of {offer.plugin} could not be built: {describe(error)}", wanted=wanted
            )
            continue
        if why := lacks(spec, bodies, work):
            composed.fault(what, spec.name, f"{spec.name} of {offer.plugin} cannot be used: {why}", wanted=wanted)
            continue
        steps.append(PipelineStep(spec, work, View(table, spec.reads), offer.plugin, offer.stock))
    return steps


def _own(options: Mapping[str, Mapping[str, object]], spec: FilterSpec | WeigherSpec | SchedulerSpec) -> dict[str, Any]:
    """Return what the configuration says of a record, by its name or one of its aliases."""
    merged: dict[str, object] = {}
    for name in (*getattr(spec, "aliases", ()), spec.name):
        merged.update(options.get(name, {}))
    return merged


def _fill(options: Mapping[str, Mapping[str, object]], offer: Offered, what: str) -> object:
    """Make the options of a plugin, without what its table says to the core. Raises ConfigError."""
    own = {key: value for key, value in _own(options, offer.spec).items() if key not in CORE_KEYS}
    return fill_any(f"[{what}s.{offer.spec.name}]", offer.spec.options, own, stock=offer.stock)


def _multipliers(steps: Sequence[PipelineStep[WeigherSpec]], options: PipelineOptions) -> dict[str, float]:
    if options.placement_strategy not in ("spread", "stack"):
        raise errors.ConfigError(
            f"[scheduler] placement_strategy is {options.placement_strategy}; it takes spread or stack."
        )
    multipliers: dict[str, float] = {}
    for step in steps:
        given = _own(options.weigher_options, step.spec).get("multiplier")
        if given is not None:
            if isinstance(given, bool) or not isinstance(given, int | float):
                raise errors.ConfigError(f"[weighers.{step.name}] multiplier takes a number, not {quoted(given)}.")
            if not -LARGEST <= given <= LARGEST:
                raise errors.ConfigError(
                    f"[weighers.{step.name}] multiplier takes a finite number, not {quoted(given)}."
                )
            multipliers[step.name] = float(given)
        elif options.placement_strategy == "stack" and step.spec.stacks:
            multipliers[step.name] = -step.spec.multiplier
    return multipliers
