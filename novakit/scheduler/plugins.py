"""Between the plugin host and the pipeline: which filters and weighers are asked for, and how they stand."""

from collections.abc import Mapping, Sequence
from typing import Any

from novakit import config
from novakit.plughost import PluginHost
from novakit.scheduler.compose import Composed, Offered, SchedulerOptions, survey
from novakit.scheduler.table import HostTable

GROUPS = {"filter": "filters", "weigher": "weighers"}
"""By kind: the plugin host's group."""


def chosen(section: config.SchedulerOptions, options: Mapping[str, Mapping[str, Any]]) -> SchedulerOptions:
    """Give what `[scheduler]`, `[filters.*]` and `[weighers.*]` of a configuration say."""
    return SchedulerOptions(
        filters=section.filters,
        weighers=None if section.weighers is None else tuple(section.weighers),
        filter_options=config.plugin_options(options, "filters"),
        weigher_options=config.weigher_options(options, section.weighers),
        placement_strategy=section.placement_strategy,
    )


def refused(plugins: PluginHost) -> dict[str, Sequence[str]]:
    """Say by kind which plugins are installed and not in service."""
    return {what: plugins.refused(group) for what, group in GROUPS.items()}


def note_use(plugins: PluginHost, composed: Composed) -> None:
    """Tell the plugin host which filters and weighers are in force, and which could not be built."""
    used = {
        "filter": {step.name for step in composed.pipeline.filters},
        "weigher": {step.name for step in composed.pipeline.weighers},
    }
    for what, group in GROUPS.items():
        faults = {
            name.removeprefix(f"{what} "): why for name, why in composed.faults.items() if name.startswith(f"{what} ")
        }
        plugins.note_use(group, used[what], faults)


def look(plugins: PluginHost, options: SchedulerOptions) -> Sequence[str]:
    """Build the pipeline for its own sake and note how each plugin stands; give what would stop a start."""
    filters = [Offered(one.spec, one.plugin.distribution) for one in plugins.filters.values()]
    weighers = [Offered(one.spec, one.plugin.distribution) for one in plugins.weighers.values()]
    composed = survey(filters, weighers, HostTable(), options, refused(plugins))
    note_use(plugins, composed)
    return composed.wrong
