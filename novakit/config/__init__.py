"""The options of one process: their records, where they are read from, and other spellings of them."""

from novakit.config.settings import (
    MONITORS,
    ROLES,
    SECTIONS,
    AgentOptions,
    ApiOptions,
    ConductorOptions,
    Config,
    DiskOptions,
    NetworkOptions,
    PlacementOptions,
    PolicyOptions,
    SchedulerOptions,
    TracingOptions,
    plugin_options,
    read,
    weigher_options,
)

__all__ = [
    "MONITORS",
    "ROLES",
    "SECTIONS",
    "AgentOptions",
    "ApiOptions",
    "ConductorOptions",
    "Config",
    "DiskOptions",
    "NetworkOptions",
    "PlacementOptions",
    "PolicyOptions",
    "SchedulerOptions",
    "TracingOptions",
    "plugin_options",
    "read",
    "weigher_options",
]
