"""Options of nova.conf that are a plugin's: it lists them in `nova_conf.toml`, a file of its package.

That is read without importing the plugin, as a process that runs none of it reads its configuration, too.
"""

import functools
import importlib.util
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import structlog

from novakit.config import devices, options
from novakit.config.meanings import (
    Absent,
    Convert,
    Meaning,
    Needless,
    Renamed,
    decimal,
    gigabytes,
    machine_type,
    names,
    number,
    ratio,
    text,
    yes_or_no,
)
from novakit.errors import ConfigError, in_words

log = structlog.get_logger(__name__)

FILE = "nova_conf.toml"
GROUPS = ("drivers", "networks", "accelerators", "filters", "weighers", "schedulers")
"""Of plugins, by the first part of the sections with their options."""
PACKAGE = re.compile(r"\w+")
"""The package that the text of an entry point begins with."""
EVERY = "*"
"""In the place of a name: all of the section that no other line names."""
TAKES: Mapping[str, Convert] = {
    "text": text,
    "number": number,
    "decimal": decimal,
    "ratio": ratio,
    "flag": yes_or_no,
    "names": names,
    "GiB of MiB": gigabytes,
    "machine type": machine_type,
    "devices": devices.devices,
}
"""What the value of an option may be, in the words of such a file."""
ConfigPlace = tuple[str, str]
"""Section and name of an option of nova.conf."""


@attrs.frozen(kw_only=True)
class Line:
    """What a plugin says of one option; one of `option`, `like`, `needless` and `absent`."""

    option: str = ""
    """The option of the plugin that it is."""
    takes: str = attrs.field(default="text", validator=attrs.validators.in_(TAKES))
    words: Mapping[str, str] = attrs.field(factory=dict)
    """Values that the plugin's option has another word for."""
    adds: bool = False
    like: str = ""
    """Another option of nova.conf that it means the same as, as `SECTION.NAME`."""
    needless: str = ""
    """Why the plugin does without."""
    only: tuple[str, ...] = ()
    """Values of which that is true, as a nova.conf writes them; others ask for what the plugin does not have."""
    absent: str = ""
    """Why the plugin does not have what it asks for."""

    def __attrs_post_init__(self) -> None:
        if sum(map(bool, (self.option, self.like, self.needless, self.absent))) != 1:
            raise ValueError("needs one of option, like, needless and absent")


def said(section: str, name: str, known: Mapping[ConfigPlace, Meaning]) -> Meaning | None:
    """Return what an option is for an installed plugin; `known` are the core's own. None where no plugin names it."""
    found = _installed().get((section, name)) or _installed().get((section, EVERY))
    if found is None:
        return None
    own, line = found
    if line.like:
        place, _, key = line.like.partition(".")
        return known.get((place, key))
    if line.needless:
        return Needless(line.needless, only=tuple(map(_meant, line.only)))
    if line.absent:
        return Absent(line.absent)
    return Renamed(own, line.option, _taken(line), adds=line.adds)


def has_section(name: str) -> bool:
    """Return whether an installed plugin knows options of a section."""
    return any(section == name for section, _ in _installed())


def _meant(value: str) -> object:
    """Return the flag, the number or the text that a value is."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdecimal() else value


def _taken(line: Line) -> Convert:
    take = TAKES[line.takes]
    if not line.words:
        return take
    # Its words first: what stands for them is what the option takes, and they themselves need not be.
    return lambda value: take(line.words.get(str(value), value))


@functools.cache
def _installed() -> Mapping[ConfigPlace, tuple[str, Line]]:
    """Read what all installed plugins say; of two that name one option, the first by section counts."""
    found: dict[ConfigPlace, tuple[str, Line]] = {}
    for own, file in sorted(_files()):
        try:
            told = tomllib.loads(file.read_text())
            lines = {
                (section, name): options.fill(f"{file}: [{section}] {name}", Line, values)
                for section, table in told.items()
                for name, values in table.items()
            }
        except (OSError, ValueError, AttributeError, ConfigError) as error:
            # It costs its own plugin alone: whoever has no nova.conf never needs it.
            log.warning("what a plugin says of nova.conf cannot be read", file=str(file), why=in_words(error))
            continue
        for place, line in lines.items():
            found.setdefault(place, (own, line))
    return found


def _files() -> Iterator[tuple[str, Path]]:
    """Find the files of plugins, with the section of each one's options."""
    # Only here: most processes are told nothing in words of nova.conf, and looking at what is installed takes 0.1 s.
    from importlib.metadata import entry_points

    every = entry_points()
    for group in GROUPS:
        for entry_point in every.select(group=f"novakit.{group}"):
            # Not `.module`: of what names none, Python's own class and that of importlib_metadata, which takes its
            # place where it is installed, raise different errors.
            if not (named := PACKAGE.match(entry_point.value)):
                continue  # `novakit plugin list` says so
            try:
                package = importlib.util.find_spec(named[0])
            except (ImportError, ValueError):
                continue
            for folder in (package and package.submodule_search_locations) or ():
                if (file := Path(folder) / FILE).is_file():
                    yield f"{group}.{entry_point.name}", file
