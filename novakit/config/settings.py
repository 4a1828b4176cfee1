"""The options of one process: from `novakit.toml` and the command line, checked before anything starts."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from novakit.config import checks, files, nova, options, plugin_names, spellings
from novakit.config.connections import ConnectionOptions, LogOptions, SharingOptions
from novakit.config.database import database_url
from novakit.config.quoting import quoted
from novakit.disk import Disk
from novakit.errors import ConfigError
from novakit.request_spec import device_profiles
from novakit.request_spec.device_profiles import DeviceProfile

ROLES = ("api", "scheduler", "conductor", "agent")
MONITORS = ("cpu.virt_driver", "uptime", "power")
"""What an agent can measure of its machine; reading all of it takes well under a millisecond."""


def _monitors(instance: object, attribute: checks.Option, value: tuple[str, ...]) -> None:
    for name in value:
        if name not in MONITORS:
            raise ValueError(f"{attribute.name} takes {', '.join(MONITORS)}; there is no monitor {quoted(name)}")


def _traits(instance: object, attribute: checks.Option, value: tuple[str, ...]) -> None:
    standard = [name for name in value if not re.fullmatch(r"CUSTOM_[A-Z0-9_]{1,248}", name)]
    if not standard:
        return
    from os_traits import get_traits  # every command reads its options, and few need to know all traits

    for name in standard:
        if name not in get_traits():
            raise ValueError(f"{attribute.name} takes CUSTOM_ and standard traits; {quoted(name)} is neither")


@attrs.frozen(kw_only=True)
class ApiOptions:
    """`[api]`: what is served, and where clients find it."""

    enabled: tuple[str, ...] = attrs.field(
        default=("compute", "metadata"),
        validator=attrs.validators.deep_iterable(attrs.validators.in_(("compute", "metadata"))),
    )
    """Which of the compute and metadata APIs run."""
    max_body: int = attrs.field(default=1 << 20, validator=checks.positive)
    """Bytes of a request body; image uploads are not counted."""
    public_url: str | None = attrs.field(default=None, validator=checks.web_address)
    """How clients reach this service, when not by the listening address: https://cloud.example.org."""
    enable_instance_password: bool = True
    """Whether creating a server answers with adminPass, which a guest with a config drive is told."""
    metrics_open: bool = False
    """Whether everybody may read /metrics and /healthcheck, and not only programs on this machine."""


@attrs.frozen(kw_only=True)
class SchedulerOptions:
    """`[scheduler]`: which filters and weighers, in which order."""

    driver: str = "filter_scheduler"
    """What decides: filter_scheduler means the filters and weighers, any other name is a scheduler driver's."""
    filters: tuple[str, ...] | None = None
    """Names of the filters, in the order in which they are asked; None for novakit's default list."""
    weighers: Mapping[str, float] | None = None
    """Multipliers by name of the weigher; None for novakit's default list."""
    placement_strategy: str = attrs.field(default="spread", validator=checks.strategy)
    """spread prefers emptier hosts, stack fuller ones."""
    max_attempts: int = attrs.field(default=3, validator=checks.positive)
    """Hosts on which a build is tried before the create fails."""
    refresh_every: float = attrs.field(default=0.25, validator=checks.positive)
    """Seconds after which the scheduler looks for changes of hosts that no event told it of."""
    subset: int = attrs.field(default=1, validator=checks.positive)
    """The host is drawn at random from this many best ones; more of them mean fewer conflicts between schedulers."""
    metrics_max_age: float = attrs.field(default=180.0, validator=checks.positive)
    """Seconds after which what a host measured counts as missing."""


@attrs.frozen(kw_only=True)
class ConductorOptions:
    """`[conductor]`: how much at once, and how patiently."""

    workers: int = attrs.field(default=64, validator=checks.positive)
    """Operations that one conductor works on at a time."""
    patience: float = attrs.field(default=300.0, validator=checks.positive)
    """Seconds for which a host that does not answer is asked again before the operation fails."""
    host_down_after: float = attrs.field(default=60.0, validator=checks.positive)
    """Seconds without a heartbeat after which a host counts as down and gets no new servers."""
    bus_group: str | None = None
    """Unix group whose members reach the bus; None is the conductor's user alone. Each needs a credential beside it."""
    shelved_offload_after: float = attrs.field(default=0.0, validator=checks.seconds_or_never)
    """Seconds a shelved server stays on its host; 0 offloads it at once, -1 leaves that to an administrator."""


@attrs.frozen(kw_only=True)
class AgentOptions:
    """`[agent]`: this compute host."""

    host: str | None = attrs.field(default=None, validator=checks.host_name)
    """The host's name in the cloud; None takes the machine's."""
    address: str | None = attrs.field(default=None, validator=checks.address)
    """This host's own address, for the hint build_near_host_ip; None takes the one it reaches others from."""
    report_every: float = attrs.field(default=60.0, validator=checks.positive)
    """Seconds between full reports of inventory and guests."""
    heartbeat_every: float = attrs.field(default=10.0, validator=checks.positive)
    """Seconds between heartbeats; with each the network driver checks and repairs what it made."""
    create_within: float = attrs.field(default=600.0, validator=checks.positive)
    """Seconds a virt driver may take to build a guest."""
    snapshot_within: float = attrs.field(default=1800.0, validator=checks.positive)
    """Seconds a virt driver may take to copy a guest's root disk."""
    image_cache_unused: float = attrs.field(default=86400.0, validator=checks.positive)
    """Seconds for which the file of an image that no guest here needs is kept after its last use."""
    image_cache_gb: float = attrs.field(default=0.0, validator=checks.not_negative)
    """GiB of image files beyond which those that no guest needs go, the longest unused first; 0 is no limit."""
    apply_within: float = attrs.field(default=110.0, validator=checks.positive)
    """Seconds a network driver may take for one topology."""
    compute_monitors: tuple[str, ...] = attrs.field(default=MONITORS, validator=_monitors)
    """What the agent measures of the machine; empty for nothing."""
    traits: tuple[str, ...] = attrs.field(default=(), validator=_traits)
    """Traits that this host has besides those that its driver reports."""
    withheld_traits: tuple[str, ...] = attrs.field(default=(), validator=_traits)
    """Traits that are not reported for this host even if its driver reports them."""


@attrs.frozen(kw_only=True)
class PlacementOptions:
    """`[placement]`: the ledger."""

    max_candidates: int = attrs.field(default=100_000, validator=checks.positive)
    """Allocation candidates that one answer has at most; a header says where there were more."""


@attrs.frozen(kw_only=True)
class ImageOptions:
    """`[image]`: what one project may keep; -1 is no limit."""

    images_each: int = attrs.field(default=1000, validator=checks.limit)
    """Images of one project."""
    bytes_each: int = attrs.field(default=1 << 40, validator=checks.limit)
    """Bytes of all images of one project, as they are stored."""
    members_each: int = attrs.field(default=128, validator=checks.limit)
    """Projects with which one image is shared."""


@attrs.frozen(kw_only=True)
class NetworkOptions:
    """`[network]`: the embedded network service."""

    external_cidr: str = attrs.field(default="172.24.4.0/24", validator=checks.network)
    """Range of the `public` network."""
    external_gateway: str = attrs.field(default="172.24.4.1", validator=checks.address)
    """Its gateway: on a single host the address of the bridge of the physical network."""

    def __attrs_post_init__(self) -> None:
        gateway, network = ipaddress.ip_address(self.external_gateway), ipaddress.ip_network(self.external_cidr)
        if gateway not in network:
            raise ValueError(f"external_gateway {self.external_gateway} is not in external_cidr {self.external_cidr}")
        if gateway in (network.network_address, network.broadcast_address):
            raise ValueError(
                f"external_gateway {self.external_gateway} is the first or last address of {self.external_cidr}"
            )


@attrs.frozen(kw_only=True)
class PolicyOptions:
    """`[policy]`: who may do what."""

    file: str | None = None
    """A YAML file with rules that replace defaults; None for policy.yaml in the state directory or beside novakit.toml,
    where there is one. A relative path counts from the directory of novakit.toml."""


@attrs.frozen(kw_only=True)
class TracingOptions:
    """`[tracing]`: where spans go."""

    endpoint: str = attrs.field(default="", validator=checks.web_address)
    """An OTLP collector over HTTP, such as http://127.0.0.1:4318/v1/traces; empty sends nothing."""
    share: float = attrs.field(default=1.0, validator=[attrs.validators.ge(0.0), attrs.validators.le(1.0)])
    """Share of the traces that are kept, 0 to 1, where the client did not decide that already."""


@attrs.frozen(kw_only=True)
class DiskOptions:
    """`[disk]`: how much of the file systems of the state directory is kept free."""

    low_water_mb: int = attrs.field(default=0, validator=checks.not_negative)
    """MiB below which uploads and copies of images stop; 0 is a twentieth of the file system, at most 1024."""
    reserved_mb: int = attrs.field(default=0, validator=checks.not_negative)
    """MiB below which nothing new is made, so that deleting still works; 0 is a sixteenth of the low-water mark."""


@attrs.frozen(kw_only=True)
class RetentionOptions:
    """`[retention]`: for how long the database keeps what has ended. A negative number keeps it for ever."""

    deleted_servers_days: float = attrs.field(default=30.0, validator=checks.days)
    """Days for which a deleted server and what was done to it can still be asked for."""
    operations_days: float = attrs.field(default=90.0, validator=checks.days)
    """Days for which what was done to a server that lives can be asked for; the latest of each kind stays."""
    decisions_days: float = attrs.field(default=14.0, validator=checks.days)
    """Days for which the scheduler's decisions are kept."""
    deleted_images_days: float = attrs.field(default=365.0, validator=checks.days)
    """Days for which the id of a deleted image cannot be used again; longer while a server was made from the image."""
    every: float = attrs.field(default=3600.0, validator=checks.positive)
    """Seconds between two looks at what is too old."""


@attrs.frozen(kw_only=True)
class Config:
    """All options of one process."""

    state: Path
    """Directory under which all state lives."""
    host: str = "127.0.0.1"
    port: int = 8774
    roles: tuple[str, ...] = ROLES
    name: str | None = None
    """What the scheduler of this process is called; None is the first free one of scheduler-1, scheduler-2, ..."""
    driver: str = ""
    """The virt driver; empty for the standard one."""
    network: str = ""
    """The network driver; empty for the one that goes with the virt driver."""
    simulate: int = 1
    """Compute hosts of this process, where its driver can have several."""
    store_url: str | None = None
    """None is SQLite in the state directory."""
    api: ApiOptions = attrs.field(factory=ApiOptions)
    scheduler: SchedulerOptions = attrs.field(factory=SchedulerOptions)
    conductor: ConductorOptions = attrs.field(factory=ConductorOptions)
    agent: AgentOptions = attrs.field(factory=AgentOptions)
    placement: PlacementOptions = attrs.field(factory=PlacementOptions)
    networks: NetworkOptions = attrs.field(factory=NetworkOptions)
    image: ImageOptions = attrs.field(factory=ImageOptions)
    tracing: TracingOptions = attrs.field(factory=TracingOptions)
    connections: ConnectionOptions = attrs.field(factory=ConnectionOptions)
    sharing: SharingOptions = attrs.field(factory=SharingOptions)
    log: LogOptions = attrs.field(factory=LogOptions)
    disk: DiskOptions = attrs.field(factory=DiskOptions)
    retention: RetentionOptions = attrs.field(factory=RetentionOptions)
    policy: PolicyOptions = attrs.field(factory=PolicyOptions)
    directory: Path | None = None
    """Where the file of these options was found; None without a file."""
    plugins: Mapping[str, Any] = attrs.field(factory=dict)
    """`[plugins]`: required, allow, disabled; read by plughost."""
    options: Mapping[str, Mapping[str, object]] = attrs.field(factory=dict)
    """Options of single plugins by `group.name`: `drivers.libvirt`, `filters.ram`."""
    device_profiles: Mapping[str, DeviceProfile] = attrs.field(factory=dict)
    """What `accel:device_profile` in a flavor means, by name."""
    warnings: tuple[str, ...] = ()
    """A sentence for each option that has another spelling here."""

    @property
    def url(self) -> str:
        """Return where clients reach this service, without a trailing slash."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        there = f"[{host}]" if ":" in host else host
        return (self.api.public_url or f"http://{there}:{self.port}").rstrip("/")

    def disk_of(self, directory: Path) -> Disk:
        """Return the file system of a directory, with the marks of `[disk]`."""
        return Disk(directory=directory, low_water_mb=self.disk.low_water_mb, reserved_mb=self.disk.reserved_mb)

    @property
    def policy_file(self) -> Path:
        """Return the path of the file with rules that replace the defaults, also where there is no such file."""
        places = [self.state] if self.directory is None else [self.state, self.directory]
        if self.policy.file is not None:
            return (places[-1] / self.policy.file).absolute()
        found = [place / "policy.yaml" for place in places if os.path.lexists(place / "policy.yaml")]
        return found[0] if found else self.state / "policy.yaml"

    @property
    def database(self) -> str:
        """Return which database is used."""
        return self.store_url or f"sqlite+aiosqlite:///{self.state}/novakit.db"


SECTIONS = {
    "api": ApiOptions,
    "scheduler": SchedulerOptions,
    "conductor": ConductorOptions,
    "agent": AgentOptions,
    "placement": PlacementOptions,
    "network": NetworkOptions,
    "image": ImageOptions,
    "tracing": TracingOptions,
    "connections": ConnectionOptions,
    "sharing": SharingOptions,
    "log": LogOptions,
    "disk": DiskOptions,
    "retention": RetentionOptions,
    "policy": PolicyOptions,
}


def read(path: Path) -> dict[str, Any]:
    """Read `novakit.toml` into the fields of `Config`; a missing file is an empty one. Raises ConfigError."""
    return {**understood(parse(path), path), "directory": path.absolute().parent}


def understood(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return what a document says, as fields of `Config`; `path` is named in errors. Raises ConfigError."""
    fields: dict[str, Any] = {"plugins": _table(path, "plugins", document.pop("plugins", {})), "options": {}}
    own = {section: frozenset(attrs.fields_dict(kind)) for section, kind in SECTIONS.items()}
    if warnings := [*nova.understand(document, str(path), own), *spellings.understand(document, str(path))]:
        fields["warnings"] = tuple(warnings)
    if "database" in document:
        fields["store_url"] = database_url(f"{path}: database", document.pop("database"))
    for group in plugin_names.GROUPS:
        for name, values in _table(path, group, document.pop(group, {})).items():
            _table(path, f"{group}.{name}", values)
            fields["options"][f"{group}.{name}"] = values
    if profiles := _table(path, "device_profiles", document.pop("device_profiles", {})):
        if strange := [name for name in profiles if not device_profiles.NAME.fullmatch(name)]:
            raise ConfigError(
                f"{path}: a device profile's name has up to 255 letters, digits, dots, dashes and _, "
                f"not {quoted(strange[0])}."
            )
        fields["device_profiles"] = {
            name: options.fill(f"{path}: [device_profiles.{name}]", DeviceProfile, values)
            for name, values in profiles.items()
        }
    for section, kind in SECTIONS.items():
        if section in document:
            key = "networks" if section == "network" else section
            fields[key] = options.fill(f"{path}: [{section}]", kind, document.pop(section))
    if document:
        known = ", ".join([*SECTIONS, *plugin_names.GROUPS, "device_profiles", "plugins", "database"])
        raise ConfigError(f"{path}: unknown [{next(iter(document))}]; known are {known}.")
    if slow := _too_slow(path, fields):
        fields["warnings"] = (*fields.get("warnings", ()), *slow)
    return fields


def _too_slow(path: Path, fields: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each wait that is shorter than what hosts take; they may follow another file."""
    agent: AgentOptions = fields.get("agent", AgentOptions())
    conductor: ConductorOptions = fields.get("conductor", ConductorOptions())
    scheduler: SchedulerOptions = fields.get("scheduler", SchedulerOptions())
    said = []
    if agent.heartbeat_every >= conductor.host_down_after:
        said.append(
            f"{path}: [agent] heartbeat_every is not below [conductor] host_down_after, so a host that follows it"
            " counts as down between two heartbeats"
        )
    if agent.report_every >= scheduler.metrics_max_age:
        said.append(
            f"{path}: [agent] report_every is not below [scheduler] metrics_max_age, so what a host that follows it"
            " measures counts as missing between two reports"
        )
    return said


def parse(path: Path) -> dict[str, Any]:
    """Read a TOML file; a missing one is an empty one. Raises ConfigError."""
    text = files.read_text(path)
    try:
        return tomllib.loads(text or "")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{path} cannot be read: it is not TOML: {error}. Correct that line, or remove the file."
        ) from error
    except RecursionError as error:
        raise ConfigError(
            f"{path} cannot be read as TOML: its values are nested too deep. Write plain tables of keys."
        ) from error
    except ValueError as error:  # a number of thousands of digits, a date that no calendar has
        raise ConfigError(
            f"{path} cannot be read: a value in it is not valid: {str(error).partition(';')[0]}. Correct it."
        ) from error


def plugin_options(options: Mapping[str, Mapping[str, object]], group: str) -> dict[str, dict[str, object]]:
    """Return the options of each plugin of a group, by its name, out of those by `group.name`."""
    return {key.partition(".")[2]: dict(values) for key, values in options.items() if key.startswith(f"{group}.")}


def weigher_options(
    options: Mapping[str, Mapping[str, object]], multipliers: Mapping[str, float] | None
) -> dict[str, dict[str, object]]:
    """Put the multipliers of `[scheduler] weighers` beside the options of `[weighers.<name>]`."""
    merged = plugin_options(options, "weighers")
    for name, multiplier in (multipliers or {}).items():
        merged.setdefault(name, {}).setdefault("multiplier", multiplier)
    return merged


def _table(path: Path, name: str, values: object) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: [{name}] is a table of keys, not {quoted(values)}.")
    return values
