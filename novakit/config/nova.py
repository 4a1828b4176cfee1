"""Options of nova.conf and what they are here: another option, not needed, or nothing that novakit has.

What is a plugin's says the plugin (`plugin_names`). `understand` is for whoever writes options of nova.conf into
novakit.toml, `novakit config import` for a whole nova.conf.
"""

from collections.abc import Mapping

from novakit.config import devices, plugin_names
from novakit.config.database import database_url
from novakit.config.meanings import (
    Absent,
    Convert,
    Meaning,
    Needless,
    Renamed,
    decimal,
    names,
    number,
    text,
    yes_or_no,
)
from novakit.config.quoting import quoted
from novakit.config.spellings import Document, table_in
from novakit.errors import ConfigError

DEVICES = "pci", "device_spec"
"""Where nova.conf lists the devices of a host that guests may have."""


def _apis(value: object) -> list[str]:
    known = {"osapi_compute": "compute", "metadata": "metadata"}
    if odd := [name for name in names(value) if name not in known]:
        raise ValueError(f"takes osapi_compute and metadata; {quoted(odd[0])} is neither")
    return [known[name] for name in names(value)]


def _database(value: object) -> str:
    return database_url("connection", value)


def _patience(value: object) -> float:
    if (seconds := decimal(value)) == 0.0:
        raise ValueError("0 means not to wait, and here a guest starts only when its network is applied")
    return seconds


_BUS = "the parts of a deployment talk over a socket in the state directory, and there is no broker to set up"
_POOL = "connections to the database are pooled, checked before use and renewed without an option"
_VOLUMES = "there are no volumes, and so no paths to them"
_NOTIFICATIONS = "there are no notifications; a plugin of the group novakit.observers hears of every change"
_PROXY = "the proxies named in [connections] trusted_proxies are believed, and nobody else"
_LISTEN = "say `novakit serve --listen HOST:PORT`, which is one address for all APIs"
_METADATA = "each host answers its own guests"
_PLACEMENT = "the placement service is novakit's own, and nobody logs in to it"
_CORS = "cross-origin headers are the work of the proxy that speaks TLS; set them there"
_LINKS = "links name the host and scheme that the client asked for; have the proxy pass on Host and X-Forwarded-Proto"
_CACHE = ("image_cache", "DEFAULT")
"""Sections in which versions of Nova have their options of cached images."""
_UNUSED = "the agent removes cached images that nobody uses, after [agent] image_cache_unused seconds"

OPTIONS: Mapping[tuple[str, str], Meaning] = {
    ("DEFAULT", "enabled_apis"): Renamed("api", "enabled", _apis),
    ("DEFAULT", "max_request_body_size"): Renamed("api", "max_body", number),
    ("oslo_middleware", "max_request_body_size"): Renamed("api", "max_body", number),
    ("DEFAULT", "compute_monitors"): Renamed("agent", "compute_monitors", names),
    ("DEFAULT", "host"): Renamed("agent", "host", text),
    ("DEFAULT", "my_ip"): Renamed("agent", "address", text),
    ("DEFAULT", "shelved_offload_time"): Renamed("conductor", "shelved_offload_after", decimal),
    ("DEFAULT", "service_down_time"): Renamed("conductor", "host_down_after", decimal),
    ("DEFAULT", "report_interval"): Renamed("agent", "heartbeat_every", decimal),
    ("DEFAULT", "update_resources_interval"): Renamed("agent", "report_every", decimal),
    ("DEFAULT", "osapi_compute_workers"): Needless(
        "one process serves all requests; for more run `novakit serve --role api` again"
    ),
    ("DEFAULT", "metadata_workers"): Needless(_METADATA),
    ("DEFAULT", "osapi_compute_listen"): Needless(_LISTEN),
    ("DEFAULT", "osapi_compute_listen_port"): Needless(_LISTEN),
    ("DEFAULT", "metadata_listen"): Needless(_METADATA),
    ("DEFAULT", "metadata_listen_port"): Needless(_METADATA),
    ("DEFAULT", "use_forwarded_for"): Needless(_PROXY),
    ("api", "use_forwarded_for"): Needless(_PROXY),
    ("oslo_middleware", "enable_proxy_headers_parsing"): Needless(_PROXY),
    ("DEFAULT", "enable_instance_password"): Renamed("api", "enable_instance_password", yes_or_no),
    ("api", "enable_instance_password"): Renamed("api", "enable_instance_password", yes_or_no),
    ("DEFAULT", "force_config_drive"): Absent(
        "users ask for a config drive when they create a server, with --config-drive true; the metadata service tells"
        " all others the same"
    ),
    ("DEFAULT", "default_availability_zone"): Needless("a host without a zone is in the zone nova", only=("nova",)),
    ("DEFAULT", "default_schedule_zone"): Absent(
        "a server for which no zone is asked may go to any zone; have its owner say --availability-zone"
    ),
    ("DEFAULT", "transport_url"): Needless(_BUS),
    ("DEFAULT", "allow_resize_to_same_host"): Needless("a server keeps the flavor it has; there is no resize"),
    ("DEFAULT", "secure_proxy_ssl_header"): Needless(_PROXY),
    ("DEFAULT", "secure_proxy_ssl_header_value"): Needless(_PROXY),
    ("DEFAULT", "compute_manager"): Needless("the agent is part of novakit and cannot be exchanged"),
    ("DEFAULT", "debug"): Needless("the log has what an operator needs, one JSON object a line"),
    ("DEFAULT", "log_dir"): Needless("say `novakit serve --log FILE`"),
    ("DEFAULT", "log_file"): Needless("say `novakit serve --log FILE`"),
    ("DEFAULT", "state_path"): Needless("say `novakit serve --state DIR`"),
    ("DEFAULT", "instances_path"): Needless("guests are kept below agents/ in the state directory"),
    ("DEFAULT", "compute_driver"): Needless("say `novakit serve --driver NAME`"),
    ("DEFAULT", "use_neutron"): Needless("networks are served by novakit itself"),
    ("api", "auth_strategy"): Needless("every call needs a token", only=("keystone",)),
    ("api", "max_limit"): Needless("a page has at most 1000", only=(1000,)),
    ("api", "compute_link_prefix"): Needless(_LINKS),
    ("api", "glance_link_prefix"): Needless(_LINKS),
    ("wsgi", "api_paste_config"): Needless("the API has no paste pipeline to configure"),
    ("wsgi", "secure_proxy_ssl_header"): Needless(_PROXY),
    ("cors", "allowed_origin"): Absent(_CORS),
    ("cors", "allow_credentials"): Absent(_CORS),
    ("cors", "expose_headers"): Absent(_CORS),
    ("scheduler", "driver"): Renamed("scheduler", "driver", text),
    ("scheduler", "max_attempts"): Renamed("scheduler", "max_attempts", number),
    ("conductor", "workers"): Needless(
        "one process works on many operations, and [conductor] workers of novakit.toml is how many at a time"
    ),
    ("conductor", "task_log"): Needless(
        "every operation's steps are logged and shown by `openstack server event show`"
    ),
    ("conductor", "instance_sync_time"): Needless("hosts report every [agent] report_every seconds"),
    ("database", "connection"): Renamed("", "database", _database),
    ("database", "slave_connection"): Needless("one database is read and written"),
    ("database", "max_pool_size"): Needless(_POOL),
    ("database", "max_overflow"): Needless(_POOL),
    ("database", "pool_timeout"): Needless(_POOL),
    ("database", "pool_recycle"): Needless(_POOL),
    ("database", "connection_recycle_time"): Needless(_POOL),
    ("database", "pool_pre_ping"): Needless(_POOL),
    ("database", "max_retries"): Needless(_POOL),
    ("database", "retry_interval"): Needless(_POOL),
    ("database", "db_max_retries"): Needless(_POOL),
    ("database", "db_retry_interval"): Needless(_POOL),
    ("api_database", "connection"): Needless("one database holds everything; `database` names it"),
    ("api_database", "slave_connection"): Needless("one database holds everything; `database` names it"),
    ("cells", "call_timeout"): Needless("there is one cell, so there are no calls across cells"),
    ("cells", "capabilities"): Needless("hosts report what they can do as traits"),
    ("upgrade_levels", "compute"): Needless("all parts of a deployment are of one version"),
    ("DEFAULT", "vif_plugging_timeout"): Renamed("agent", "apply_within", _patience),
    ("DEFAULT", "vif_plugging_is_fatal"): Needless(
        "a guest starts when its network is applied, and not before", only=(True,)
    ),
    **dict.fromkeys([(section, "remove_unused_base_images") for section in _CACHE], Needless(_UNUSED, only=(True,))),
    **dict.fromkeys(
        [(section, "remove_unused_original_minimum_age_seconds") for section in _CACHE],
        Renamed("agent", "image_cache_unused", number),
    ),
    ("pci", "alias"): Needless("the name is the kind of its rule in the driver's list `pci`"),
    ("devices", "enabled_vgpu_types"): Absent(
        "mediated devices are not given to guests; whole devices are, by rules of the driver for PCI devices"
    ),
    ("devices", "enabled_mdev_types"): Absent(
        "mediated devices are not given to guests; whole devices are, by rules of the driver for PCI devices"
    ),
}

PLACEMENT_CLIENT = (
    *("auth_section", "auth_type", "auth_url", "certfile", "cafile", "keyfile", "insecure", "timeout", "username"),
    *("user_id", "user_domain_id", "user_domain_name", "password", "project_id", "project_name", "project_domain_id"),
    *("project_domain_name", "domain_id", "domain_name", "default_domain_id", "default_domain_name", "tenant_id"),
    *("tenant_name", "trust_id", "system_scope", "service_type", "service_name", "valid_interfaces", "region_name"),
    *("os_region_name", "os_interface", "endpoint_override", "connect_retries", "connect_retry_delay"),
    *("status_code_retries", "status_code_retry_delay", "collect_timing", "split_loggers", "min_version"),
    *("max_version", "retriable_status_codes"),
)
"""How Nova logs in to the placement service. By name, as `[placement]` is a section of novakit.toml, too."""

SECTIONS: Mapping[str, Meaning] = {
    "quota": Absent(
        "what a project may have is kept in the database; set it for each project with `openstack quota set`"
    ),
    "oslo_messaging_rabbit": Needless(_BUS),
    "oslo_messaging_notifications": Needless(_NOTIFICATIONS),
    "notifications": Needless(_NOTIFICATIONS),
    "keystone_authtoken": Needless("the identity service is novakit's own"),
    "service_user": Needless("the identity service is novakit's own"),
    "keystone": Needless("the identity service is novakit's own"),
    "glance": Needless("the image service is novakit's own"),
    "neutron": Needless("the network service is novakit's own"),
    "cinder": Needless(_VOLUMES),
    "barbican": Needless("there is no key manager"),
    "oslo_concurrency": Needless("locks are files in the state directory"),
    "oslo_policy": Needless("write [policy] file instead; policy.yaml in the state directory is found without it"),
    "spice": Needless("there is no SPICE"),
    "serial_console": Needless("`openstack console log show` has what a guest prints"),
    "cells": Needless("there is one cell"),
    "cache": Needless("novakit uses no cache outside itself"),
    "image_cache": Needless(_UNUSED),
    "privsep": Needless("drivers call programs with lists of arguments"),
}
"""What all options of a section are that has no names above."""


def meaning(section: str, name: str) -> Meaning | None:
    """Return what an option of nova.conf is here, or for a plugin; None for one that is not known."""
    if section == "placement" and name in PLACEMENT_CLIENT:
        return Needless(_PLACEMENT)
    if own := OPTIONS.get((section, name)):
        return own
    return plugin_names.said(section, name, OPTIONS) or SECTIONS.get(section)


def told(place: str, found: Needless | Absent, value: object) -> str:
    """Return why an option is left out. Raises ConfigError for one that asks for what novakit does not have."""
    if isinstance(found, Absent) or (found.only and not any(_says(value, one) for one in found.only)):
        raise ConfigError(f"{place} = {quoted(value)} is not supported: {found.why}. Remove it.")
    return f"{place} is not needed; {found.why}"


def _says(value: object, meant: object) -> bool:
    """Return whether a value of a file says this text, flag or number."""
    take: Convert = yes_or_no if isinstance(meant, bool) else number if isinstance(meant, int) else text
    try:
        return take(value) == meant
    except ValueError:
        return False


def put(document: Document, moved: Renamed, value: object) -> str:
    """Put a value where it belongs, and return what to write instead. Raises ValueError."""
    table = table_in(document, moved.section)
    where = f"[{moved.section}] {moved.key}" if moved.section else moved.key
    converted = moved.convert(value)
    if moved.key in table:
        known = table[moved.key]
        if not (moved.adds and isinstance(known, list) and isinstance(converted, list)):
            raise ValueError(f"{where} says the same; leave one of them out")
        converted = [*known, *converted]
    table[moved.key] = converted
    return f"write {where} instead"


def understand(document: Document, place: str, own: Mapping[str, frozenset[str]]) -> list[str]:
    """Rewrite options of nova.conf in a document of `novakit.toml`; return a sentence for each.

    `own` has the keys of novakit's own sections: what has a meaning of its own here keeps it.
    Raises ConfigError for one that asks for what novakit does not have.
    """
    sentences: list[str] = []
    pci = document.get("pci")
    named = pci.get("alias") if isinstance(pci, dict) else None
    for section, table in [(name, table) for name, table in document.items() if isinstance(table, dict)]:
        if not table and not _is_section(section):
            continue
        del document[section]
        for name in list(table):
            is_ours = section in plugin_names.GROUPS or name in own.get(section, ())
            found = None if is_ours else meaning(section, name)
            if found is not None:
                sentences.append(_understood(document, found, f"{place}: [{section}] {name}", table.pop(name)))
        if table and section == "database":
            raise ConfigError(
                f"{place}: [database] has no key {quoted(next(iter(table)))}; write database = URL at the top."
            )
        if table or section in own:
            table_in(document, section).update(table)
    if named is not None:
        sentences += _named(document, f"{place}: [pci] alias", named)
    return sentences


def _is_section(name: str) -> bool:
    """Return whether nova.conf has a section of this name, so that an empty one here says nothing."""
    return name in SECTIONS or any(section == name for section, _ in OPTIONS) or plugin_names.has_section(name)


def rules_of(document: Document) -> object:
    """Return the rules of PCI devices that a document has, where some driver takes them."""
    taken = meaning(*DEVICES)
    if not isinstance(taken, Renamed):
        return []
    table: object = document
    for part in taken.section.split("."):
        table = table.get(part, {}) if isinstance(table, dict) else {}
    return table.get(taken.key, []) if isinstance(table, dict) else []


def _named(document: Document, where: str, value: object) -> list[str]:
    try:
        return [f"{where}: {why}" for why in devices.name_kinds(rules_of(document), devices.aliases(value))]
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.") from None


def _understood(document: Document, found: Meaning, where: str, value: object) -> str:
    if not isinstance(found, Renamed):
        return told(where, found, value)
    try:
        return f"{where} is understood; {put(document, found, value)}"
    except ValueError as error:
        raise ConfigError(f"{where}: {error}.") from None
