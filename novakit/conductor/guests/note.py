"""What a host keeps of each of its guests, so that a database that never knew the guest can take it over.

The idea: a note holds what the server's row, ports and claim were. The conductor writes it with the build, again
before the end of the build is acknowledged, and again after the server has changed; the host stores it beside the guest
and understands nothing of it.
The invariant: a note is sealed with the deployment's secret, which is in the database alone, and names its host and
guest. So a host can keep a note, lose it or give back an old one; it cannot make one, alter one, or pass on that of
another host as its own.
The cost: one flush on the host for all notes that come at once, 0.3 ms of CPU for one that comes alone, and one
call to the host whenever the server has changed.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from novakit.calls.host import GuestNote, NetworksNote
from novakit.errors import in_words
from novakit.network import PortInfo
from novakit.network.hosts.noted import NotedNetworks
from novakit.network.records import NotedAddress, NotedPort
from novakit.store.deployment import Deployment
from novakit_hookspecs.fields import mapping_field, tuple_field
from novakit_hookspecs.numa import Taken
from novakit_hookspecs.plain import to_plain, to_record

ClaimedAmounts = Mapping[str, Mapping[str, int]]
"""Amounts by the name of the provider and by resource class."""


@attrs.frozen(kw_only=True)
class NotedServer:
    """The columns of a server that make it what it is; moments in ISO 8601."""

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None = None
    hostname: str
    availability_zone: str | None = None
    pinned_availability_zone: str | None = None
    flavor: Mapping[str, Any] = mapping_field()
    vcpus: int
    memory_mb: int
    image_id: str | None = None
    image_properties: Mapping[str, object] = mapping_field()
    key_name: str | None = None
    public_key: str | None = None
    metadata: Mapping[str, object] = mapping_field()
    tags: tuple[str, ...] = tuple_field()
    config_drive: bool = False
    user_data: str | None = None
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    auto_disk_config: bool = False
    locked_by: str | None = None
    locked_reason: str | None = None
    reservation_id: str
    launch_index: int = 0
    root_device_name: str = "/dev/vda"
    scheduler_hints: Mapping[str, object] = mapping_field()
    created_at: str
    launched_at: str | None = None


@attrs.frozen(kw_only=True)
class Note:
    """All that is kept of one guest."""

    deployment: str
    host: str
    operation: str
    """The operation that builds the guest, or the last one that had ended when the note was written again."""
    ended: str | None = None
    """When that operation ended, in ISO 8601; None in the note of a build."""
    server: NotedServer
    ports: tuple[NotedPort, ...] = tuple_field()
    claim: ClaimedAmounts | None = None
    """None in the notes of a build and of its end: it follows from the flavor and the devices."""
    devices: tuple[str, ...] = tuple_field()
    """PCI addresses."""
    numa: tuple[Taken, ...] = tuple_field()


@attrs.frozen
class Heard:
    """A note that a host gave back, and whether it is more than that host's word."""

    note: Note
    is_sealed: bool
    """Whether this database wrote it for this host."""


_MOMENTS = ("created_at", "launched_at")


@attrs.frozen
class Notary:
    """Writes notes that nobody else can write."""

    deployment: Deployment
    _begun: hmac.HMAC = attrs.field(init=False, repr=False, eq=False)
    """A seal of nothing yet: to begin one with the secret costs as much as to seal a note with it."""

    @_begun.default
    def _with_secret(self) -> hmac.HMAC:
        return hmac.new(self.deployment.secret, digestmod=hashlib.sha256)

    @property
    def has_lost_its_seal(self) -> bool:
        """Return whether true notes may be there that it cannot tell: it took the place of a database that was lost.

        The secret that these were sealed with was in that one alone.
        """
        return self.deployment.origin == "directory"

    def write(
        self,
        host: str,
        operation: str,
        server: Mapping[Any, Any],
        ports: Sequence[PortInfo],
        *,
        ended: datetime | None = None,
        claim: ClaimedAmounts | None = None,
        devices: Sequence[str] = (),
        numa: Sequence[Taken] = (),
    ) -> GuestNote:
        """Write and seal the note of a server's row with its ports."""
        # A `Note` as `to_plain` writes it: one that is made only to be written costs half as much again.
        note = {
            "deployment": self.deployment.id,
            "host": host,
            "operation": operation,
            "ended": ended.isoformat() if ended else None,
            "server": _noted(server),
            "ports": [to_plain(_port(each)) for each in ports],
            "claim": to_plain(claim),
            "devices": [*devices],
            "numa": to_plain(numa),
        }
        version = self.version(server) if claim is not None else self._ended_by(operation) if ended else ""
        return self._sealed(host, server["id"], version, note)

    def write_ended(self, host: str, operation: str, build: GuestNote, ended: datetime) -> GuestNote:
        """Write the note of a build anew, now that it has ended: nothing else has changed, so that it is read back."""
        plain = orjson.loads(build.text)
        plain["ended"] = plain["server"]["launched_at"] = ended.isoformat()
        return self._sealed(host, build.server, self._ended_by(operation), plain)

    def _ended_by(self, operation: str) -> str:
        return f"{self.deployment.id}/{operation}"

    def _sealed(self, host: str, server: str, version: str, plain: object) -> GuestNote:
        text = orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()
        return GuestNote(server=server, version=version, text=text, seal=self._seal(host, text))

    def write_networks(self, host: str, noted: NotedNetworks) -> NetworksNote:
        """Write and seal the note of the networks around a host's guests."""
        rows = {field.name: getattr(noted, field.name) for field in attrs.fields(NotedNetworks)}
        text = orjson.dumps(rows, option=orjson.OPT_SORT_KEYS).decode()
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        # A database made anew under the same id is told apart, so that the host keeps aside what it cannot write again.
        key = self._seal("*", "")[:8]
        return NetworksNote(
            version=f"{self.deployment.id}/{key}/{digest}", text=text, seal=self._seal(f"{host}\0*", text)
        )

    def version(self, server: Mapping[Any, Any]) -> str:
        """Name the state of a server that a note describes; it differs for every other one."""
        return f"{self.deployment.id}/{server['updated_at'].isoformat()}"

    def is_sealed(self, host: str, kept: GuestNote) -> bool:
        """Return whether this database wrote the note, for this host."""
        return hmac.compare_digest(self._seal(host, kept.text), kept.seal)

    def has_sealed_networks(self, host: str, kept: NetworksNote) -> bool:
        """Return whether this database wrote the note of networks, for this host."""
        return hmac.compare_digest(self._seal(f"{host}\0*", kept.text), kept.seal)

    def _seal(self, host: str, text: str) -> str:
        seal = self._begun.copy()
        seal.update(f"{host}\0{text}".encode())
        return seal.hexdigest()


def read(kept: GuestNote) -> Note:
    """Read a note, whose writer is not known. Raises ValueError for what is not a note, or is another guest's."""
    try:
        note = to_record(orjson.loads(kept.text), Note, tolerant=True)
    except (TypeError, LookupError, orjson.JSONDecodeError) as error:
        raise ValueError(f"The note of {kept.server} cannot be read: {in_words(error)}.") from error
    if note.server.id != kept.server:
        raise ValueError(f"The note of {kept.server} is that of {note.server.id}.")
    return note


def read_networks(kept: NetworksNote) -> NotedNetworks:
    """Read a note of networks, whose writer is not known. Raises ValueError for what is not one."""
    try:
        return to_record(orjson.loads(kept.text), NotedNetworks, tolerant=True)
    except (TypeError, LookupError, orjson.JSONDecodeError) as error:
        raise ValueError(f"The note of networks cannot be read: {in_words(error)}.") from error


def moment(text: str) -> datetime:
    """Read a moment of a note. Raises ValueError."""
    return datetime.fromisoformat(text)


_OF_SERVER = tuple(field.name for field in attrs.fields(NotedServer))


def _noted(server: Mapping[Any, Any]) -> dict[str, object]:
    """Return the columns of a server that a `NotedServer` has."""
    values = {name: server[name] for name in _OF_SERVER}
    for name in _MOMENTS:
        values[name] = values[name] and values[name].isoformat()
    return values


def _port(port: PortInfo) -> NotedPort:
    return NotedPort(
        id=port.id,
        mac=port.mac,
        network_id=port.network_id,
        network_name=port.network_name,
        mtu=port.mtu,
        addresses=tuple(NotedAddress(ip=fixed.ip, subnet=fixed.subnet) for fixed in port.addresses),
        groups=tuple(key for key, _ in port.security_groups),
        tag=port.tag,
        made=port.made,
    )
