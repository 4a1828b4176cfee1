"""Scheduler options as guides for other compute services spell them, turned into novakit's own."""

from collections.abc import Callable, Mapping

from novakit.config import meanings
from novakit.config.quoting import quoted
from novakit.errors import ConfigError

Document = dict[str, object]
Take = Callable[[Document, object], str]
"""Puts one value where it belongs and gives what to write instead; raises `ValueError` with what it takes."""

_WEIGHERS = {
    "cross_cell_move": "cross_cell",
    "image_props": "image_properties",
}
"""Weighers whose multiplier is spelt otherwise than they are named."""


def understand(document: Document, place: str) -> list[str]:
    """Rewrite other spellings in a document of `novakit.toml`. Returns a sentence for each.

    Raises ConfigError where a value has no meaning here, or where both spellings are used.
    """
    told = []
    for section in ("scheduler", "filter_scheduler"):
        table = document.get(section)
        if not isinstance(table, dict):
            continue
        for name in list(table):
            take = _SPELLINGS.get(name) or _multiplier(name)
            if take is None:
                continue
            value = table.pop(name)
            try:
                told.append(f"{place}: [{section}] {name} is understood; {take(document, value)}")
            except ValueError as error:
                raise ConfigError(f"{place}: [{section}] {name}: {error}.") from None
    strange = document.pop("filter_scheduler", None)
    if isinstance(strange, dict) and strange:
        known = ", ".join(sorted(_SPELLINGS))
        raise ConfigError(
            f"{place}: [filter_scheduler] {next(iter(strange))} is not known here; known are {known} and "
            "NAME_weight_multiplier."
        )
    own = document.get("agent")
    if isinstance(own, dict) and isinstance(own.get("compute_monitors"), str):
        own["compute_monitors"] = meanings.names(own["compute_monitors"])
        told.append(f"{place}: [agent] compute_monitors is a text; write a list instead")
    own = document.get("scheduler")
    if isinstance(own, dict) and isinstance(own.get("weighers"), list):
        try:
            own["weighers"] = dict.fromkeys(meanings.names(own["weighers"]), 1.0)
        except ValueError as error:
            raise ConfigError(f"{place}: [scheduler] weighers: {error}.") from None
        told.append(f"{place}: [scheduler] weighers is a list; write a table of multipliers instead: {{ ram = 1.0 }}")
    return told


def knows(name: str) -> bool:
    """Return whether an option of a scheduler has another spelling here."""
    return name in _SPELLINGS or _multiplier(name) is not None


def table_in(document: Document, section: str) -> Document:
    """Return a table of a document, made where it is not there; `a.b` is one in another. Raises ValueError."""
    for part in section.split(".") if section else ():
        found = document.setdefault(part, {})
        if not isinstance(found, dict):
            raise ValueError(f"[{section}] is not a table")
        document = found
    return document


def _put(document: Document, section: str, key: str, value: object) -> str:
    table = table_in(document, section)
    if key in table:
        raise ValueError(f"[{section}] {key} says the same; leave one of them out")
    table[key] = value
    return f"write [{section}] {key} instead"


def _moved(section: str, key: str) -> Take:
    return lambda document, value: _put(document, section, key, value)


def _filters(document: Document, value: object) -> str:
    return _put(document, "scheduler", "filters", meanings.names(value))


def _classes(document: Document, value: object) -> str:
    """Take names of weighers; `all_weighers` is what is on without any list."""
    names = meanings.names(value)
    if [name.rpartition(".")[2] for name in names] == ["all_weighers"]:
        return "leave it out; without it novakit's own weighers are used"
    return _put(document, "scheduler", "weighers", dict.fromkeys(names, 1.0))


def _multiplier(name: str) -> Take | None:
    prefix, mark, rest = name.partition("_weight_multiplier")
    if not mark or rest or not prefix:
        return None
    return _moved(f"weighers.{_WEIGHERS.get(prefix, prefix)}", "multiplier")


def _shuffling(document: Document, value: object) -> str:
    if value is not True:
        raise ValueError("takes true alone: among equally good hosts one is always chosen at random")
    return "leave it out, among equally good hosts one is always chosen at random"


def _tracking(document: Document, value: object) -> str:
    if not isinstance(value, bool):
        raise ValueError(f"takes true or false, not {quoted(value)}")
    return "leave it out, where servers stand is always read from the ledger"


def _tenants(*, required: bool) -> Take:
    def take(document: Document, value: object) -> str:
        if not isinstance(value, bool):
            raise ValueError(f"takes true or false, not {quoted(value)}")
        if not value:
            return "leave it out, projects are not bound to aggregates without it"
        table_in(document, "filters.tenant_aggregate")["enabled"] = True
        if not required:
            return "write [filters.tenant_aggregate] enabled = true instead"
        _put(document, "filters.tenant_aggregate", "required", True)
        return "write [filters.tenant_aggregate] enabled = true and required = true instead"

    return take


_SPELLINGS: Mapping[str, Take] = {
    "periodic_task_interval": _moved("scheduler", "refresh_every"),
    "enabled_filters": _filters,
    "weight_classes": _classes,
    "track_instance_changes": _tracking,
    "shuffle_best_same_weighed_hosts": _shuffling,
    "limit_tenants_to_placement_aggregate": _tenants(required=False),
    "placement_aggregate_required_for_tenants": _tenants(required=True),
    "host_subset_size": _moved("scheduler", "subset"),
    "max_io_ops_per_host": _moved("filters.io_ops", "max_io_ops_per_host"),
    "max_instances_per_host": _moved("filters.num_instances", "max_instances_per_host"),
    "isolated_hosts": _moved("filters.isolated_hosts", "hosts"),
    "isolated_images": _moved("filters.isolated_hosts", "images"),
    "restrict_isolated_hosts_to_isolated_images": _moved("filters.isolated_hosts", "restrict"),
    "aggregate_image_properties_isolation_namespace": _moved(
        "filters.aggregate_image_properties_isolation", "namespace"
    ),
    "aggregate_image_properties_isolation_separator": _moved(
        "filters.aggregate_image_properties_isolation", "separator"
    ),
}
