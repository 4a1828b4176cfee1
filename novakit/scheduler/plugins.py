"""Between the plugin host and the pipeline: which filters, weighers and driver are asked for, and how they stand."""

from collections.abc import Mapping, Sequence

from novakit import config
from novakit.plughost import FILTER_SCHEDULER, Offer, PluginHost
from novakit.scheduler.picture.table import HostTable
from novakit.scheduler.pipeline.compose import GROUPS, Composed, Offered, PipelineOptions, survey


def chosen(section: config.SchedulerOptions, options: Mapping[str, Mapping[str, object]]) -> PipelineOptions:
    """Return what `[scheduler]`, `[filters.*]`, `[weighers.*]` and `[schedulers.*]` of a configuration say."""
    return PipelineOptions(
        filters=section.filters,
        weighers=None if section.weighers is None else tuple(section.weighers),
        filter_options=config.plugin_options(options, "filters"),
        weigher_options=config.weigher_options(options, section.weighers),
        driver_options=config.plugin_options(options, "schedulers"),
        placement_strategy=section.placement_strategy,
    )


def offered(offer: Offer) -> Offered:
    """Return what a plugin offers, as the pipeline takes it."""
    return Offered(offer.spec, offer.plugin.distribution, offer.plugin.stock)


def refused(plugins: PluginHost) -> dict[str, Sequence[str]]:
    """Return which plugins are installed and not in service, by kind."""
    return {what: plugins.refused(group) for what, group in GROUPS.items()}


def driver(plugins: PluginHost, section: config.SchedulerOptions) -> Offered | None:
    """Return the plugin that decides, None for the filters and weighers. Raises ConfigError when it cannot be used."""
    if section.driver == FILTER_SCHEDULER:
        return None
    offer = plugins.scheduler(section.driver)
    return offered(offer)


def note_use(plugins: PluginHost, composed: Composed) -> None:
    """Tell the plugin host which filters and weighers are in force, and which could not be built."""
    used = {
        "filter": {step.name for step in composed.pipeline.filters},
        "weigher": {step.name for step in composed.pipeline.weighers},
        "scheduler": {composed.pipeline.driver.name} if composed.pipeline.driver else set(),
    }
    for what, group in GROUPS.items():
        faults = {
            name.removeprefix(f"{what} "): why for name, why in composed.faults.items() if name.startswith(f"{what} ")
        }
        plugins.note_use(group, used[what], faults)


def look(
    plugins: PluginHost, section: config.SchedulerOptions, options: Mapping[str, Mapping[str, object]]
) -> Sequence[str]:
    """Build the pipeline for its own sake and note how each plugin stands. Returns what would stop a start."""
    composed = _composed(plugins, section, options)
    note_use(plugins, composed)
    return composed.wrong


def wrong(
    plugins: PluginHost, section: config.SchedulerOptions, options: Mapping[str, Mapping[str, object]]
) -> Sequence[str]:
    """Return what would stop a start, and change nothing of how plugins stand. Raises ConfigError like `survey`."""
    return _composed(plugins, section, options).wrong


def _composed(
    plugins: PluginHost, section: config.SchedulerOptions, options: Mapping[str, Mapping[str, object]]
) -> Composed:
    filters = [offered(one) for one in plugins.filters.values()]
    weighers = [offered(one) for one in plugins.weighers.values()]
    one = driver(plugins, section)
    return survey(filters, weighers, HostTable(), chosen(section, options), refused(plugins), one)
