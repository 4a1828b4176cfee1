"""What an operator asks of plugins: which are named, required, allowed, disabled."""

from collections.abc import Mapping

import attrs

from novakit.config.quoting import quoted
from novakit.errors import ConfigError
from novakit.plughost.offers import GROUPS, Plugin

FILTER_SCHEDULER = "filter_scheduler"
"""The name of the filters and weighers among scheduler drivers."""
_KEYS = ("required", "allow", "disabled")


@attrs.frozen(kw_only=True)
class PluginChoice:
    """Which plugins run.

    A plugin is named by its key, `drivers:libvirt`, or by its distribution, `novakit-driver-libvirt`, for all of it.
    """

    driver: str | None = None
    network: str | None = None
    scheduler: str | None = None
    """The scheduler driver; None for the filters and weighers."""
    required: frozenset[str] = frozenset()
    """Without these the service does not start."""
    allow: frozenset[str] | None = None
    """When set, nothing else is imported, save what novakit itself depends on."""
    disabled: frozenset[str] = frozenset()
    """Never imported."""

    @classmethod
    def read(
        cls,
        section: Mapping[str, object],
        *,
        driver: str | None = None,
        network: str | None = None,
        scheduler: str | None = None,
    ) -> "PluginChoice":
        """Read the `[plugins]` section. Raises ConfigError naming what is wrong in it."""
        if unknown := [key for key in section if key not in _KEYS]:
            raise ConfigError(f"[plugins] has no key {quoted(unknown[0])}; it takes {', '.join(_KEYS)}.")
        lists = {key: _names(key, section[key]) for key in _KEYS if key in section}
        return cls(
            driver=driver,
            network=network,
            scheduler=None if scheduler == FILTER_SCHEDULER else scheduler,
            required=lists.get("required", frozenset()),
            allow=lists.get("allow"),
            disabled=lists.get("disabled", frozenset()),
        )

    def names(self, plugin: Plugin, among: frozenset[str]) -> bool:
        """Return whether a list names the plugin, by its key or by its distribution."""
        return plugin.key in among or _canonical(plugin.distribution) in {_canonical(name) for name in among}


def _names(key: str, value: object) -> frozenset[str]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
        raise ConfigError(f'[plugins] {key} takes a list of names such as ["drivers:acme", "novakit-acme-gpu"].')
    for name in value:
        group, colon, plugin = name.partition(":")
        if colon and (group not in GROUPS or not plugin):
            raise ConfigError(
                f"[plugins] {key}: {quoted(name)} is not GROUP:NAME with a group of {', '.join(GROUPS)}, "
                "nor the name of a distribution."
            )
    return frozenset(value)


def _canonical(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")
