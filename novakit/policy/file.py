"""An operator's policy.yaml: read at the start, and again when it changes."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path

import attrs
import structlog

from novakit import world
from novakit.config import files
from novakit.config.quoting import located, named, quoted
from novakit.errors import ConfigError
from novakit.policy import language
from novakit.policy.checks import attributes, fault_among, fault_of, lacking, reached, references
from novakit.policy.rules import GIVEN

log = structlog.get_logger(__name__)

LOOKED_EVERY = 1.0
"""Seconds between looks at the file's time of change."""
MOST_BYTES = 1 << 20
"""A file with every rule of every service has less than 200 kB."""
_KIND = files.FileKind("a policy", "name one, or remove it", "name another file")

Tables = Mapping[str, Mapping[str, str]]
"""By service, the default check of each of its rules. Services have rules of one name that say different things."""
Stamp = tuple[int, int, int] | None
"""Device, size and time of change in nanoseconds; None where there is no file."""


@attrs.define
class PolicyFile:
    """Rules that say otherwise than the tables. A file that is spoilt while the service runs changes nothing."""

    path: Path | None = None
    """None is no file at all: the defaults stand."""
    required: bool = False
    """Whether the path was named by the operator, so that a missing file is a mistake."""
    known: Tables = attrs.field(factory=dict)
    told: Mapping[str, Collection[str]] = attrs.field(factory=dict)
    """By service, what it tells of its things beside what all tell."""
    overrides: Mapping[str, str] = attrs.field(factory=dict, init=False)
    revision: int = attrs.field(default=0, init=False)
    """Grows with each change that was taken up."""
    _stamp: Stamp = attrs.field(default=None, init=False)
    _looked: float = attrs.field(default=0.0, init=False)

    @classmethod
    def open(
        cls, path: Path, *, required: bool, known: Tables, told: Mapping[str, Collection[str]] | None = None
    ) -> "PolicyFile":
        """Read the file. Raises ConfigError when it is not understood, or missing though it was named."""
        file = cls(path=path, required=required, known=known, told=told or {})
        file._stamp, file._looked = file._seen(), world.monotonic()
        file.overrides = file._read()
        file._tell_unknown()
        return file

    def refresh(self) -> None:
        """Take up a changed file; keep the rules that stand and log a sentence when it is not understood."""
        if self.path is None or world.monotonic() - self._looked < LOOKED_EVERY:
            return
        self._looked = world.monotonic()
        try:
            seen = self._seen()
            if seen == self._stamp:
                return
            self._stamp = seen
            self.overrides = self._read()
        except ConfigError as error:
            log.error("the policy file has an error and is ignored; the rules stay as they were", why=str(error))
            return
        self.revision += 1
        self._tell_unknown()
        log.info("the policy file was loaded", file=str(self.path), rules=len(self.overrides))

    @property
    def unknown(self) -> list[str]:
        """Name the rules in the file that no service asks and no rule refers to."""
        if not self.overrides:  # and most have none: reading every check apart takes a tenth of a start
            return []
        texts = (*(text for table in self.known.values() for text in table.values()), *self.overrides.values())
        referred = {name for text in texts for name in references(text)}
        return sorted(set(self.overrides) - self._names - referred)

    @property
    def _names(self) -> set[str]:
        return set().union(*self.known.values())

    @property
    def _shown(self) -> str:
        return located(self.path) if self.path is not None else "no policy file"

    def _tell_unknown(self) -> None:
        for name in self.unknown:
            close = difflib.get_close_matches(name, self._names, n=1)
            log.warning("policy file has a rule that no service uses", rule=name, close=close[0] if close else "")

    def _seen(self) -> Stamp:
        if self.path is None:
            return None
        try:
            found = self.path.stat()
        except (OSError, ValueError):
            return None  # who reads it says why
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self) -> dict[str, str]:
        text = files.read_text(self.path, MOST_BYTES, _KIND) if self.path is not None else ""
        if text is None:
            if self.required:
                raise ConfigError(f"{self._shown}, which [policy] file names, does not exist; correct the name.")
            return {}
        try:
            document = language.document(text)
        except RecursionError as error:
            raise ConfigError(
                f"{self._shown} cannot be read: its values are nested too deep; write one rule a line."
            ) from error
        except language.Repeated as error:
            raise ConfigError(f"{self._shown} {error}.") from error
        except ValueError as error:
            said = " ".join(str(error).partition("; use sys.")[0].split())[:300]
            raise ConfigError(f"{self._shown} is not YAML: {said}. Correct that, or remove the file.") from error
        if not isinstance(document, dict):
            raise ConfigError(f'{self._shown} takes one rule a line, such as "os_compute_api:servers:create": "!".')
        return self._checked(document)

    def _checked(self, document: Mapping[object, object]) -> dict[str, str]:
        rules: dict[str, str] = {}
        by_default = {name for table in self.known.values() for text in table.values() for name in attributes(text)}
        for name, text in document.items():
            if not isinstance(name, str) or not isinstance(text, str):
                raise ConfigError(
                    f'{self._shown}: the rule {quoted(name)} takes a check as a string, such as "role:member", '
                    f"not {quoted(text)}."
                )
            if fault := fault_of(text, None):
                raise ConfigError(f"{self._shown}: the rule {quoted(name)}: {fault}.")
            rules[name] = text
        for service, table in self.known.items():
            told = {*GIVEN, *by_default, *self.told.get(service, ())}
            # What nobody asks may be about things that only the public services have.
            for name in sorted(reached({**table, **rules}, table) & set(rules)):
                if fault := fault_of(rules[name], told):
                    raise ConfigError(f"{self._shown}: the rule {quoted(name)}, for the {service} service: {fault}.")
            self._check_references({**table, **rules}, table, service)
        every = {name: text for table in self.known.values() for name, text in table.items()}
        # What is in no table, a service meets only where a rule of its own refers to it; it may be meant for any.
        apart = [name for name in rules if name not in self._names]
        self._check_references({**every, **rules}, apart)
        return rules

    def _check_references(self, checks: Mapping[str, str], asked: Collection[str], service: str = "") -> None:
        if lack := lacking(checks, asked):
            raise ConfigError(f"{self._shown}: {self._not_there(*lack, service)}.")
        if fault := fault_among(checks, asked):
            raise ConfigError(f"{self._shown}: {fault}.")

    def _not_there(self, name: str, wanted: str, service: str) -> str:
        """Say that a rule refers to one that its service does not have, though another service may."""
        refers = f"the rule {quoted(name)} refers to rule:{named(wanted)}, which"
        if wanted not in self._names:
            return f"{refers} nothing defines; correct the name, or define it"
        table = self.known[service]
        own = {one for text in table.values() for one in references(text)}
        # Where it has none, every rule that oslo.policy does not find is `default`, which may let everybody.
        nearest = difflib.get_close_matches(wanted, sorted(own), n=3, cutoff=0)
        such = ", ".join(f"rule:{one}" for one in nearest) or "none"
        return f"{refers} the {service} service does not have; write the check itself, or one of its own ({such})"
