"""Who may join the bus: one credential for each role and each host, and none that opens another's door.

The idea: enrolling makes a random secret. It goes into a credential file, which is carried to whoever is to join with
it; the control plane keeps only its digest, so nothing that can be read there lets anybody join.
The invariant: a credential opens one participant's door. Rotating or revoking it ends it at once, for a connection that
it opened too: the hub looks at every beat whether what somebody joined with is still what is enrolled.
The cost: one small file on each side, and one `stat` for each joined process and beat.
"""

import hashlib
import hmac
import json
import re
import tempfile
from datetime import datetime
from pathlib import Path

import attrs

from novakit import durable, world
from novakit.errors import ConfigError

SOCKET = "bus.sock"
"""The hub's socket in the state directory."""
ROLES = ("api", "scheduler")
"""Roles that join from processes of their own; the conductor holds the bus itself."""
HOST_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
"""What a compute host may be called: letters, digits, dots, dashes and underscores, as host names are."""
_SECRET_BYTES = 32
"""256 bits: not to be guessed, and as long as the HMAC's hash."""
_REVOKED = ".revoked"
"""How the file of a credential ends that was revoked, in the place of `.json`."""


def host_name(text: str) -> str:
    """Return a compute host's name. Raises ConfigError for one that is no part of a path and of a target's name."""
    if not re.fullmatch(HOST_NAME, text) or ".." in text:
        raise ConfigError(
            f"A host's name has up to 253 letters, digits, dots, dashes and underscores, not {text[:80]!r}."
        )
    return text


@attrs.frozen(kw_only=True)
class Credential:
    """What lets its holder join the bus as one participant."""

    participant: str
    """`api`, `scheduler` or `agent:HOST`."""
    secret: str = attrs.field(repr=False)
    bus: str
    """Absolute path of the hub's socket, as its holder reaches it."""

    @property
    def file_name(self) -> str:
        """Return what the file is called in a directory of credentials."""
        return self.participant.replace(":", ".")


def directory(state: Path) -> Path:
    """Return where a process looks for its credentials."""
    return state / "credentials"


def read(path: Path) -> Credential:
    """Return the credential of a file. Raises ConfigError for one that is missing, empty or cut off."""
    try:
        text = durable.read(path)
    except OSError as error:
        raise ConfigError(
            f"The credential {path} cannot be read: {error.strerror}; restore it, or have a new one enrolled."
        ) from error
    try:
        told = json.loads(text)
        found = Credential(participant=told["participant"], secret=told["secret"], bus=told["bus"])
        if not re.fullmatch(r"[0-9a-f]{64}", found.secret) or found.file_name != path.name:
            raise ValueError
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a credential of the bus: it was emptied, cut off or renamed."
            " Make a new one with `novakit host rotate` or `novakit role rotate`, and copy it here again."
        ) from error
    return found


def require_place(into: Path) -> None:
    """Make sure that a credential can be written into a directory, before an old one ends. Raises ConfigError."""
    try:
        durable.directory(into, mode=0o700)
        with tempfile.TemporaryFile(dir=into) as probe:
            probe.write(bytes(4096))
            probe.flush()
    except OSError as error:
        raise _unwritable(into, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"The credential {path} cannot be written: {error.strerror}; correct that, or move it away.")


def write(credential: Credential, into: Path) -> Path:
    """Write a credential into a directory, readable by its owner alone; return the file. Raises ConfigError."""
    path = into / credential.file_name
    try:
        durable.directory(into, mode=0o700)
        durable.write(path, json.dumps(attrs.asdict(credential), indent=1).encode() + b"\n")
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def hosts_of(state: Path) -> list[str]:
    """Return the names of the hosts whose credentials a state directory holds."""
    found = (path.name.partition(".") for path in directory(state).glob("agent.*"))
    return sorted(host for _, _, host in found if re.fullmatch(HOST_NAME, host))


@attrs.frozen(kw_only=True)
class Enrolled:
    """What the control plane keeps of a participant."""

    participant: str
    digest: str
    """SHA-256 of the secret, in hexadecimal digits."""
    since: datetime


@attrs.frozen
class Enrolments:
    """Everybody who is enrolled: one file each, below the control plane's state directory."""

    state: Path

    @property
    def bus(self) -> Path:
        """The hub's socket."""
        return self.state / SOCKET

    def enrol(self, participant: str, *, bus: Path | None = None) -> Credential:
        """Enrol somebody, and return the credential to carry there. Raises ConfigError for one that is enrolled."""
        credential, enrolled = self._new(participant, bus)
        if not self._made(participant, enrolled):
            raise ConfigError(
                f"{participant} is enrolled already; rotate its credential, or revoke it and enrol it again."
            )
        return credential

    def rotate(self, participant: str, *, bus: Path | None = None) -> Credential:
        """Replace a credential; the old one opens nothing from now on. Raises ConfigError for one not enrolled."""
        self._known(participant)
        credential, enrolled = self._new(participant, bus)
        durable.write(self._path(participant), enrolled)
        return credential

    def revoke(self, participant: str) -> None:
        """End a credential at once. Raises ConfigError for one that is not enrolled."""
        path = self._known(participant)
        # Written first: killed in between, asking again ends the credential. The conductor finds it and gives back
        # what the host held.
        durable.write(path.with_suffix(_REVOKED), world.now().isoformat().encode())
        path.unlink(missing_ok=True)
        durable.sync_directory(path.parent)

    def stamp(self, host: str) -> str:
        """Return what stands for the credential that a host has now; nothing for a host that is not enrolled."""
        found = self._find(f"agent:{host}")
        return found.digest if found is not None else ""

    def is_revoked(self, host: str) -> bool:
        """Return whether a host's credential was revoked and it was not enrolled again."""
        path = self._path(f"agent:{host}")
        return path.with_suffix(_REVOKED).exists() and not path.exists()

    def revoked_hosts(self) -> list[str]:
        """Return the hosts whose credentials were revoked and who were not enrolled again, by name."""
        found = sorted(self._folder.glob(f"agent.*{_REVOKED}")) if self._folder.is_dir() else []
        return [path.stem.partition(".")[2] for path in found if not path.with_suffix(".json").exists()]

    def ensure_roles(self) -> None:
        """Enrol the roles of this control plane that are not, their credentials beside its state."""
        for role in ROLES:
            # What is enrolled is written first: killed in between, the next start makes both anew; the other way round
            # a credential would be there that opens nothing.
            if not (directory(self.state) / role).exists():
                credential, enrolled = self._new(role, None)
                durable.directory(self._folder, mode=0o700)
                durable.write(self._path(role), enrolled)
                write(credential, directory(self.state))

    def everybody(self) -> list[Enrolled]:
        """Return everybody who is enrolled, by name; whose file cannot be read is left out."""
        paths = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        return [found for path in paths if (found := _enrolled(path)) is not None]

    def admits(self, identity: str, secret: str) -> str | None:
        """Return what stands for the credential while it is good, or None where it opens nothing."""
        found = self._find(identity)
        if found is None or not hmac.compare_digest(found.digest, _digest(secret)):
            return None
        return found.digest

    def still_admits(self, identity: str, stamp: str) -> bool:
        """Return whether the credential that `admits` took is still the one that is enrolled."""
        found = self._find(identity)
        return found is not None and found.digest == stamp

    def _find(self, identity: str) -> Enrolled | None:
        # Several schedulers have names of their own and one credential; a host has one of its own.
        participant = identity if identity.startswith("agent:") else identity.partition(":")[0]
        if participant not in ROLES and not re.fullmatch(f"agent:{HOST_NAME}", participant):
            return None
        found = _enrolled(self._path(participant))
        return found if found is not None and found.participant == participant else None

    def _new(self, participant: str, bus: Path | None) -> tuple[Credential, bytes]:
        secret = world.chance().randbytes(_SECRET_BYTES).hex()
        enrolled = {"participant": participant, "digest": _digest(secret), "since": world.now().isoformat()}
        place = (bus or self.bus).absolute()
        return Credential(participant=participant, secret=secret, bus=str(place)), json.dumps(enrolled).encode()

    def _made(self, participant: str, enrolled: bytes) -> bool:
        try:
            durable.directory(self._folder, mode=0o700)
            made = durable.make(self._path(participant), enrolled)
            self._path(participant).with_suffix(_REVOKED).unlink(missing_ok=True)
            return made
        except OSError as error:
            raise ConfigError(
                f"{self._folder} cannot be written: {error.strerror}; correct that, or move it away."
            ) from error

    def _known(self, participant: str) -> Path:
        path = self._path(participant)
        if not path.exists():
            named = ", ".join(each.participant for each in self.everybody()) or "nobody"
            raise ConfigError(f"{participant} is not enrolled at {self.state}; {named} is.")
        return path

    @property
    def _folder(self) -> Path:
        return self.state / "enrolled"

    def _path(self, participant: str) -> Path:
        return self._folder / f"{participant.replace(':', '.')}.json"


def _digest(secret: str) -> str:
    # Guessing 32 random bytes is hopeless however fast the digest is, so it need not be a slow one.
    return hashlib.sha256(secret.encode()).hexdigest()


def _enrolled(path: Path) -> Enrolled | None:
    try:
        told = json.loads(durable.read(path))
        return Enrolled(
            participant=told["participant"], digest=told["digest"], since=datetime.fromisoformat(told["since"])
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None
